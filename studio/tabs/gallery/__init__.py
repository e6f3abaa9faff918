"""The tab gallery, and what only it has."""
