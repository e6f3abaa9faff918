"""Photos and paintings to begin with, drawn by the studio itself."""
