"""Pictures and films: reading, writing, colours, tiles."""
