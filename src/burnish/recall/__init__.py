"""How far back a model remembers: copy and language-model curves, memory lengths, limits."""
