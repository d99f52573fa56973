"""The auditor: measures the bus, counts the log again beside the aggregator, and writes the nightly export."""
