"""Style transfer tab."""
