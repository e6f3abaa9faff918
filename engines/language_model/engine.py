"""Language models: generate text token by token, and score given text.

Vaswani et al., "Attention is all you need" (2017); Chollet, "Deep Learning with Python", section 12.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engines.core.frames import Frames
from engines.core.messages import message
from engines.data.text import plain
from engines.language_model.config import SamplingConfig, WritingConfig
from engines.language_model.generation import Generation, generate, looked_at
from engines.language_model.sampling import TokenDistribution
from engines.language_model.tokenizers import END

if TYPE_CHECKING:
    from engines.language_model.model import LanguageModel

__all__ = [
    "Generation",
    "SamplingConfig",
    "Scored",
    "WritingConfig",
    "generate",
    "resolve",
    "score",
    "write",
]

# The longest text that is scored, in characters.
MOST_SCORED = 10_000


@dataclass(frozen=True)
class Scored:
    """How likely a model finds each token of a text.

    Attributes:
        pieces: what each token adds to the text.
        dice: each token with what might have stood in its place.
        perplexity: a token, the end of the text not counted.
        bits_per_character: the same for each character, which makes tokenisers comparable.
    """

    pieces: tuple[str, ...]
    dice: tuple[TokenDistribution, ...]
    perplexity: float
    bits_per_character: float


def resolve(config: WritingConfig, model: LanguageModel) -> WritingConfig:
    """The config, if it suits a model.

    Raises:
        ValueError: tokens that the model does not have.
    """
    if config.begun and max(config.begun) >= model.tokeniser.vocab_size:
        raise ValueError(
            message(
                "This model has {count:,} tokens; {token:,} is none of them.",
                count=model.tokeniser.vocab_size,
                token=max(config.begun),
            )
        )
    return config


def write(config: WritingConfig, backbone: LanguageModel) -> Frames[WritingConfig]:
    """`generate` as a job."""
    yield from generate(config.prompt, config, backbone, config.begun)


def score(text: str, config: SamplingConfig, model: LanguageModel) -> Scored:
    """How likely a model finds a text, token by token.

    Raises:
        ValueError: nothing to score, or too much.
    """
    text = plain(text)
    if len(text) > MOST_SCORED:
        raise ValueError(
            message(
                "This text has {count:,} characters; at most {most:,} are scored at once.",
                count=len(text),
                most=MOST_SCORED,
            )
        )
    tokens = [END, *map(int, model.tokeniser.encode(text))]
    if len(tokens) < 2:
        raise ValueError(message("There is no text to score; type or paste some."))
    looked = looked_at(tokens, 1, config, config.temperature, model)
    nats = -np.log([max(one.before, 1e-300) for one in looked])
    return Scored(
        pieces=tuple(model.tokeniser.pieces(tokens[1:])),
        dice=tuple(looked),
        perplexity=float(np.exp(nats.mean())),
        bits_per_character=float(nats.sum() / np.log(2) / len(text)),
    )
