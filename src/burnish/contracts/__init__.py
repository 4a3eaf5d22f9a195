"""Protocols and frozen value types, one file per kind. No behaviour beyond validation."""
