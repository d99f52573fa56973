"""How many are inside, how long the wait is, and how sure we are.

Read in this order: `layout` (what is known of a library), `observation` and `window` (what was seen lately, minute by
minute), `crowd` (people inside: a Kalman filter between anchors), `head_count` (is this a typing error?), `sensors`
(how much to believe a camera), `lane`, `gates` and `turning` (which gate is dead, one-way, the wrong way round),
`profile` and `habits` (what a day usually looks like), `throughput`, `demand` and `queue` (how many wait and how fast
they are let in), `waiting` (how long that takes), `forecasts` (how good that was), `levels` (when a level begins and
ends), `journal` (what was put right), `core` (one minute of all of it), `estimator` (late and repeated events, answers)
and `written` (all of it in few bytes).
"""
