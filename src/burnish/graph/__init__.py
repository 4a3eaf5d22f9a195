"""Asking with a graph: a graph network picks the labelled examples that a prompt shows."""
