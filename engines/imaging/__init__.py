"""Pictures and videos: reading, writing, colours, tiles."""
