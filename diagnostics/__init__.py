"""What is true and what may happen: one Django app, one migration history, a room for each step of the way."""
