"""Draws: a page of value types becomes HTML, terminal text or one zip. It never computes."""
