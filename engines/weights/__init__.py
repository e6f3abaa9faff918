"""Weights: where they are found, fetched and packed."""
