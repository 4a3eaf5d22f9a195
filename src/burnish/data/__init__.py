"""Tasks and their checkers, splits, chat templates, packing: what goes into models, and truth."""
