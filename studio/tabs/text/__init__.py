"""The tab text, and what only it has."""
