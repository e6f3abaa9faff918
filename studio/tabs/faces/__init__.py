"""Faces tab: a generative adversarial network."""
