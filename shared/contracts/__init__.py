"""What two processes must agree on: subjects, streams, events, and the configuration file."""
