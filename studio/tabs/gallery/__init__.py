"""Gallery tab."""
