"""Queue runs, advance them, and keep what pages show of them."""
