"""The tab home, and what only it has."""
