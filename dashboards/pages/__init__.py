"""Routes by page."""
