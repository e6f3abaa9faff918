"""The tab style transfer, and what only it has."""
