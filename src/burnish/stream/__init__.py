"""Texts without end: ingested once into an index folder, asked later, audited and timed."""
