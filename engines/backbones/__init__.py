"""Pretrained networks as feature extractors, the bundled one and how it is trained."""
