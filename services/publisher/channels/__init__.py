"""One module per channel, all of one shape."""
