"""One module a tab, one `build` each."""
