"""Results: written, kept, shown small, deleted in time."""
