"""What days, weeks, months and years of a library come to: visits, occupancy and waits. Pure.

Read `day.py` first: one local day in figures. `period.py` adds days up and says what is missing, `comparison.py` sets
two spans side by side, `waits.py` holds how long people waited, `spans.py` knows where weeks and months begin.

The rule of all of it: an unknown day is unknown and a closed day is closed; neither is a zero.
"""
