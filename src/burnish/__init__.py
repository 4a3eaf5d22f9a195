"""burnish: improve an open language model on checkable work, and prove that it got better."""

__version__ = "0.1.0"
