"""Example photos and paintings, drawn by code."""
