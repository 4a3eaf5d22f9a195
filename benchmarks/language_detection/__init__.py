"""Training of the language detector: its texts and its fit. The model is in `burnish.sandbox`."""
