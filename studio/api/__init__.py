"""The API: endpoints, their parameters and results, progress of runs."""
