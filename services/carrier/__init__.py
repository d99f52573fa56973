"""The carrier: brings what branches have stored into the centre's log, and the configuration to the branches."""
