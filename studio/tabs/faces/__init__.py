"""The tab faces, and what only it has."""
