"""Generate text and score text: the one decode loop."""
