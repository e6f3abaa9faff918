"""Runs: whose turn it is, how they are stopped, steered and looked back at."""
