"""Models tab."""
