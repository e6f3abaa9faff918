"""Images and videos: reading, writing, colours, tiles."""
