"""Results: writing, listing, thumbnails, retention, visitors."""
