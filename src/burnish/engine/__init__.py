"""Generates and scores text, with the one decode loop."""
