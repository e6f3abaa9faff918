"""What pages are made of: our own components, forms of settings, toasts."""
