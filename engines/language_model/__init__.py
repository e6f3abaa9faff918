"""Language models: generate text token by token, and score text."""

from engines.language_model.config import SamplingConfig, WritingConfig
from engines.language_model.engine import resolve, score, write
from engines.language_model.generation import generate

__all__ = ["SamplingConfig", "WritingConfig", "generate", "resolve", "score", "write"]
