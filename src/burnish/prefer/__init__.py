"""Preference alignment that does not learn to be long."""
