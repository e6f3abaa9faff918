"""The settings of language models, apart so that a page may know them before anything heavy is imported."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from engines.configs import setting, validate

# As in `engines.parts.transformers.NETWORKS`.
MODELS = ("ours", "notes")
# As in `engines.parts.tokenisers.TOKENISERS`.
TOKENISERS = ("subwords", "words", "characters")
OPTIMIZERS = ("muon", "rmsprop")
# Fields that may be changed while a training runs, or when it goes on.
STEERABLE = ("rate_factor",)
# Fields that a checkpoint does not depend on as long as the rate has not begun to fall: a training may be made longer.
EXTENSIBLE = ("tokens", "falling")


@dataclass(frozen=True, kw_only=True)
class LanguageTrainingConfig:
    """How a language model is trained. What is None is as the model has it: see `MODELS_OWN`."""

    model: str = setting("ours", "Which architecture.", choices=MODELS)
    tokens: int = setting(2_000_000, "How many tokens it reads in all.", low=1000, high=10**10)
    tokeniser: str | None = setting(None, "What a text is cut into.", choices=TOKENISERS)
    vocab_size: int | None = setting(None, "How many different tokens there are at most.", low=64, high=60_000)
    block_size: int | None = setting(None, "How many tokens it sees at most.", low=8, high=1024)
    embed_dim: int | None = setting(None, "Width of its stream of activations.", low=16, high=1024)
    num_layers: int | None = setting(None, "How many blocks it has.", low=1, high=24)
    num_heads: int | None = setting(None, "Heads of each attention.", low=1, high=16)
    dense_dim: int | None = setting(None, "Width of the layers between the attentions.", low=16, high=8192)
    batch_tokens: int = setting(4096, "Tokens a step.", low=64, high=1 << 20)
    optimizer: str | None = setting(
        None, "Muon for the matrices and Adam for the rest, or the book's RMSprop.", choices=OPTIMIZERS
    )
    learning_rate: float | None = setting(None, "The optimiser's rate.", low=1e-6, high=1.0)
    falling: float | None = setting(
        None, "Over which last share of the training the rate falls to nothing.", low=0.0, high=1.0
    )
    rate_factor: float = setting(1.0, "Of the rate; may be moved while it runs.", low=0.0, high=10.0)
    interval: int = setting(250, "Steps between samples and checkpoints.", low=1, high=1_000_000)
    seed: int = setting(0, "Order of the texts and initial weights.", low=0, high=2**31 - 1)

    def __post_init__(self):
        validate(self)
        filled = self.filled() if any(getattr(self, name) is None for name in MODELS_OWN[self.model]) else self
        if filled.model == "ours" and (filled.embed_dim or 0) % (2 * (filled.num_heads or 1)):
            raise ValueError(
                f"Embed dim must be a multiple of twice the number of heads, "
                f"not {filled.embed_dim} with {filled.num_heads} heads."
            )

    def filled(self) -> LanguageTrainingConfig:
        """The same with what is None as the model has it."""
        own = MODELS_OWN[self.model]
        return dataclasses.replace(self, **{name: own[name] for name in own if getattr(self, name) is None})


MODELS_OWN: dict[str, dict[str, Any]] = {
    "ours": {
        "tokeniser": "subwords",
        "vocab_size": 8192,
        "block_size": 256,
        "embed_dim": 256,
        "num_layers": 6,
        "num_heads": 4,
        "dense_dim": 1024,
        "optimizer": "muon",
        "learning_rate": 0.02,
        "falling": 0.5,
    },
    # Chollet's listing, section 12.1.
    "notes": {
        "tokeniser": "words",
        "vocab_size": 15_000,
        "block_size": 100,
        "embed_dim": 256,
        "num_layers": 1,
        "num_heads": 2,
        "dense_dim": 2048,
        "optimizer": "rmsprop",
        "learning_rate": 1e-3,
        "falling": 0.0,
    },
}
