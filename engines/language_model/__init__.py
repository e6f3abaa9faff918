"""Language models: text written token by token, and text scored."""

from engines.language_model.engine import SamplingConfig, WritingConfig, generate, resolve, score

__all__ = ["SamplingConfig", "WritingConfig", "generate", "resolve", "score"]
