"""Run views: display and control of a run."""
