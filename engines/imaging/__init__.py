"""Pictures and films: read, written, coloured, cut into tiles."""
