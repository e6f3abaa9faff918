"""DeepDream tab."""
