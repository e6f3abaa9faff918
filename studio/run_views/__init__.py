"""What shows a run as it goes, and its buttons."""
