"""Serves the latest status of every library: JSON, SSE and pages. It never computes a status."""
