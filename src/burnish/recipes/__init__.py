"""Functions that return full settings and compose disciplines; the only place they meet."""
