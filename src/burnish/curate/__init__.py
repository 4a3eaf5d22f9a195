"""Choosing training data by complexity, quality and diversity; catching benchmark leaks."""
