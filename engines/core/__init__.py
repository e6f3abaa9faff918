"""Shared by all engines: frames, settings, options, files."""
