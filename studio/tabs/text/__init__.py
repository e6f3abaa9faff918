"""Text tab: language models."""
