"""Neural style transfer: a photo painted in the manner of paintings."""

from engines.style_transfer.engine import BOOK, LAYERS, MOST_STYLES, StyleConfig, presets, resolve, stylize

__all__ = ["BOOK", "LAYERS", "MOST_STYLES", "StyleConfig", "presets", "resolve", "stylize"]
