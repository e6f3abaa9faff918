"""What networks are made and trained with."""
