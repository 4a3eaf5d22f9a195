"""Runs, judges and explains programs in many languages, without Docker and without root."""
