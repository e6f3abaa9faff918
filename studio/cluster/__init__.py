"""Runs on other machines: who they are, what goes there, how it comes back."""
