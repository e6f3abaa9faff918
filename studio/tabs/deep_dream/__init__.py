"""The tab deep dream, and what only it has."""
