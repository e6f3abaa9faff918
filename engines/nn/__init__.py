"""Layers, number formats and training loops."""
