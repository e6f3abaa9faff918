"""What every engine is made with: frames, settings, files."""
