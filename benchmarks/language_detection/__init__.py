"""Training of the language detector: its texts and its fit. The model ships in `burnish.sandbox`."""
