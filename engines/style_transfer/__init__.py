"""Neural style transfer: a photo painted in the manner of paintings."""

from engines.style_transfer.config import LAYERS, StyleConfig
from engines.style_transfer.engine import BOOK, MOST_STYLES, presets, resolve, stylize

__all__ = ["BOOK", "LAYERS", "MOST_STYLES", "StyleConfig", "presets", "resolve", "stylize"]
