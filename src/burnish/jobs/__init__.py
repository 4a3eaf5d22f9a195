"""Jobs: steps in a run folder, and the result, page and verification that follow from them."""
