"""Memories that bring far tokens back: spans, their index, the choice of spans, and the store."""
