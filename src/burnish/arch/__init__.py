"""Models of one's own: pretraining from text, sizes and costs, comparisons of blocks."""
