"""Owns the truth: one writer per library, from readings to status and changes."""
