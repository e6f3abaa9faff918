"""Training data: pictures and texts, and the archives that they come in."""
