"""Takes readings in: who sends, what they mean, stored before it answers."""
