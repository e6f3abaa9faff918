"""Home tab."""
