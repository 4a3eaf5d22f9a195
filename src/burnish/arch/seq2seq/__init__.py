"""From one language, or any text, to another: encoder-decoder models trained on aligned pairs."""
