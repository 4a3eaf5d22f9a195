"""A critic that finds the first wrong step: its data, its training and its use."""
