"""How many are inside, how long the wait is, and how sure we are.

Read in this order: `layout` (what is known of a library), `observation` and `window` (what was seen lately, minute by
minute), `crowd` (people inside: a Kalman filter between anchors), `head_count` (is this a typing error?), `gates`
(which gate is dead, one-way, swapped), `profile` (what a day usually looks like), `throughput` and `queue` (how many
wait and how fast they are let in), `waiting` (how long that takes), `levels` (when a level begins and ends), `core`
(one minute of all of it) and `estimator` (late and repeated events, answers).
"""
