"""Language models: generate text token by token, and score given text.

Vaswani et al., "Attention is all you need" (2017); Chollet, "Deep Learning with Python", section 12.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engines.core.frames import Frames
from engines.core.messages import message
from engines.data.text import clean_text
from engines.language_model.config import SamplingConfig, WritingConfig
from engines.language_model.generation import Generation, generate, score_tokens
from engines.language_model.sampling import TokenDistribution
from engines.language_model.tokenizers import END

if TYPE_CHECKING:
    from engines.language_model.model import LanguageModel

__all__ = [
    "Generation",
    "SamplingConfig",
    "ScoredText",
    "WritingConfig",
    "generate",
    "resolve",
    "score",
    "write",
]

# In characters.
MAX_SCORED = 10_000


@dataclass(frozen=True)
class ScoredText:
    """The likelihood of a text under a model.

    Attributes:
        pieces: the text of each token.
        distributions: the distribution at each token.
        perplexity: per token, without the end of the text.
        bits_per_character: cross-entropy per character, comparable across tokenisers.
    """

    pieces: tuple[str, ...]
    distributions: tuple[TokenDistribution, ...]
    perplexity: float
    bits_per_character: float


def resolve(config: WritingConfig, model: LanguageModel) -> WritingConfig:
    """Check a config against the model, and return it.

    Raises:
        ValueError: tokens outside the model's vocabulary.
    """
    if config.begun and max(config.begun) >= model.tokeniser.vocab_size:
        raise ValueError(
            message(
                "This model has {count:,} tokens; token {token:,} does not exist.",
                count=model.tokeniser.vocab_size,
                token=max(config.begun),
            )
        )
    return config


def write(config: WritingConfig, backbone: LanguageModel) -> Frames[WritingConfig]:
    """Run `generate` as a job."""
    yield from generate(config.prompt, config, backbone, config.begun)


def score(text: str, config: SamplingConfig, model: LanguageModel) -> ScoredText:
    """Score a text, token by token.

    Raises:
        ValueError: the text is empty or too long.
    """
    text = clean_text(text)
    if len(text) > MAX_SCORED:
        raise ValueError(
            message(
                "The text has {count:,} characters; at most {most:,} can be scored at once.",
                count=len(text),
                most=MAX_SCORED,
            )
        )
    tokens = [END, *map(int, model.tokeniser.encode(text))]
    if len(tokens) < 2:
        raise ValueError(message("There is no text to score; type or paste some."))
    distributions = score_tokens(tokens, 1, config, config.temperature, model)
    nats = -np.log([max(one.before, 1e-300) for one in distributions])
    return ScoredText(
        pieces=tuple(model.tokeniser.pieces(tokens[1:])),
        distributions=tuple(distributions),
        perplexity=float(np.exp(nats.mean())),
        bits_per_character=float(nats.sum() / np.log(2) / len(text)),
    )
