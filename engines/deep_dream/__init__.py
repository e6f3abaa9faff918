"""DeepDream: what a network sees in a photo, made stronger."""

from engines.deep_dream.engine import PRESETS, DreamConfig, dream, presets, resolve

__all__ = ["PRESETS", "DreamConfig", "dream", "presets", "resolve"]
