"""Mathematical answers: read safely, typed, and compared through one canonical key each."""
