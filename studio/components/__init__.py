"""Building blocks of the page: HTML components, config forms, toasts."""
