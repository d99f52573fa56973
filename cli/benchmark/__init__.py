"""Measuring the whole road on this machine, beside a reference from the same run."""
