"""Training data: images and texts, and the archives that they come in."""
