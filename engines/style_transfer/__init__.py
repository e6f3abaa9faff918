"""Neural style transfer: a photo in the style of one or more images."""

from engines.style_transfer.config import LAYERS, MAX_STYLES, StyleConfig
from engines.style_transfer.engine import BOOK, presets, resolve, stylize

__all__ = ["BOOK", "LAYERS", "MAX_STYLES", "StyleConfig", "presets", "resolve", "stylize"]
