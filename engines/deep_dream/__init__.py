"""DeepDream: amplify what a network detects in a photo."""

from engines.deep_dream.config import DreamConfig
from engines.deep_dream.engine import dream, resolve
from engines.deep_dream.preset_configs import PRESETS, presets

__all__ = ["PRESETS", "DreamConfig", "dream", "presets", "resolve"]
