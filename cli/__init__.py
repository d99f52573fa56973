"""The `placelibre` command: runs all of it, applies configuration, replays, simulates, looks for trouble."""
