"""Load, save and count causal language models."""
