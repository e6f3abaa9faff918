"""Panels that several tabs share."""
