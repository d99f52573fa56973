"""How right the estimates are: many simulated days with their truth, our core and the usual methods side by side."""
