"""The pure core: readings in, status and decisions out. No clock, no I/O, no framework; standard library only."""
