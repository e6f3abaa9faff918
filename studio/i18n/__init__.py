"""Translation of the page."""
