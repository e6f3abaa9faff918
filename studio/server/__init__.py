"""HTTP serving of the page."""
