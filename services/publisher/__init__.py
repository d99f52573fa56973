"""Decides what is worth saying, composes it, and says it once."""
