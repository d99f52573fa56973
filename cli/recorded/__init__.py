"""Recorded days from files, as the same readings that gates send: pure, text in and readings out."""
