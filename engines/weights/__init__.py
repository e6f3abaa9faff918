"""Weights: find, download and store them."""
