"""The tab models, and what only it has."""
