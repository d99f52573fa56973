"""Simulated library days with their ground truth: pure, with time and randomness as arguments."""
