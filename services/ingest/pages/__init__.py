"""The staff's pages: the tablet at `/staff`, the devices at `/devices`; nothing from anywhere else.

The tablet's scripts, in the order in which to read them: `staff-store.js` keeps what was tapped, `staff-line.js` talks
to the server and knows its time, `staff-sender.js` brings taps there once and in order, `staff-pin.js` checks a PIN
without a connection, `staff-words.js` says things in the tablet's language, `staff-acts.js` puts the record together,
`staff-pads.js` and `staff-screens.js` draw, and `staff.js` starts it all. `staff-sw.js` opens the page offline.
"""
