"""Settings for sampling and training. Importing this does not load TensorFlow."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from engines.core.configs import setting, validate
from engines.core.messages import message
from engines.data.text import clean_text

# As in `engines.language_model.networks.NETWORKS`.
MODELS = ("ours", "notes")
# As in `engines.language_model.tokenizers.TOKENISERS`.
TOKENISERS = ("subwords", "words", "characters")
OPTIMIZERS = ("muon", "rmsprop")
# Fields that may change while a training runs, or when it resumes.
STEERABLE = ("rate_factor", "prompt")
# Fields that may change when a training resumes, so that it can be extended before the learning rate has started to
# fall.
EXTENSIBLE = ("tokens", "falling")


MAX_PROMPT = 100_000
MAX_BEGUN = 20_000
# As in the callback of the book.
TEMPERATURES = (0.2, 0.5, 0.7, 1.0, 1.5)


def _clean_prompt(text: str) -> str:
    """Clean a prompt as the training texts were; raises ValueError if it is too long."""
    prompt = clean_text(text)
    if len(prompt) > MAX_PROMPT:
        raise ValueError(
            message(
                "The prompt has {count:,} characters; at most {most:,} are taken.",
                count=len(prompt),
                most=MAX_PROMPT,
            )
        )
    return prompt


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """Settings for sampling. All but `tokens`, `seed` and the number of `temperatures` can be steered."""

    tokens: int = setting(200, "How many tokens it writes at most.", low=1, high=5000)
    temperature: float = setting(
        0.7, "Below 1 what is likely becomes likelier; at 0 always the likeliest (greedy).", low=0.0, high=10.0
    )
    temperatures: tuple[float, ...] = setting(
        (), "Instead of one: several, written side by side from the same noise.", low=0.0, high=10.0
    )
    top_k: int = setting(0, "Choose among this many likeliest tokens only; 0 for all.", low=0, high=10**6)
    top_p: float = setting(
        1.0, "Choose among the fewest likeliest tokens that have this share of the probability.", low=0.0, high=1.0
    )
    min_p: float = setting(
        0.0, "Leave out what has less than this share of the likeliest token's probability.", low=0.0, high=1.0
    )
    repetition_penalty: float = setting(
        1.0, "Above 1 tokens that are there already become less likely.", low=0.1, high=10.0
    )
    stop: tuple[str, ...] = setting((), "Texts at which it stops, without writing them.")
    ends: bool = setting(True, "Whether it stops where the model ends its text; otherwise it may not end it.")
    seed: int = setting(0, "Of the noise that chooses.", low=0, high=2**31 - 1)

    def __post_init__(self):
        validate(self)
        if len(self.temperatures) > 8:
            raise ValueError(
                message("At most 8 temperatures are written side by side, not {given}.", given=len(self.temperatures))
            )
        object.__setattr__(self, "stop", tuple(map(clean_text, self.stop)))


@dataclass(frozen=True, kw_only=True)
class WritingConfig(SamplingConfig):
    """Settings for continuing a text."""

    prompt: str = setting("", "Your opening words. The model only sees the last part of a long text.")
    begun: tuple[int, ...] = setting((), "Tokens that stand after the prompt already.", low=0, high=10**6)

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "prompt", _clean_prompt(self.prompt))
        if len(self.begun) > MAX_BEGUN:
            raise ValueError(
                message(
                    "{count:,} tokens are begun with; at most {most:,} are taken.",
                    count=len(self.begun),
                    most=MAX_BEGUN,
                )
            )


@dataclass(frozen=True, kw_only=True)
class LanguageTrainingConfig:
    """Settings for training a language model. None means the model's own default: see `MODEL_DEFAULTS`."""

    model: str = setting("ours", "Which architecture.", choices=MODELS)
    tokens: int = setting(2_000_000, "How many tokens it reads in all.", low=1000, high=10**10)
    tokeniser: str | None = setting(None, "What a text is cut into.", choices=TOKENISERS)
    vocab_size: int | None = setting(None, "How many different tokens there are at most.", low=64, high=60_000)
    block_size: int | None = setting(None, "How many tokens it sees at most.", low=8, high=1024)
    embed_dim: int | None = setting(None, "Width of its stream of activations.", low=16, high=1024)
    num_layers: int | None = setting(None, "How many blocks it has.", low=1, high=24)
    num_heads: int | None = setting(None, "Heads of each attention.", low=1, high=16)
    dense_dim: int | None = setting(None, "Width of the layers between the attentions.", low=16, high=8192)
    batch_tokens: int | None = setting(None, "Tokens a step.", low=64, high=1 << 20)
    optimizer: str | None = setting(
        None, "Muon for the matrices and Adam for the rest, or the book's RMSprop.", choices=OPTIMIZERS
    )
    learning_rate: float | None = setting(None, "The optimiser's rate.", low=1e-6, high=1.0)
    weight_decay: float | None = setting(
        None, "By what share of Muon's rate its matrices shrink at each step.", low=0.0, high=1.0
    )
    falling: float | None = setting(
        None, "Over which last share of the training the rate falls to nothing.", low=0.0, high=1.0
    )
    rate_factor: float = setting(1.0, "Of the rate; may be moved while it runs.", low=0.0, high=10.0)
    prompt: str = setting("", "What its samples go on from; may be changed while it runs.")
    interval: int = setting(250, "Steps between samples and checkpoints.", low=1, high=1_000_000)
    seed: int = setting(0, "Order of the texts and initial weights.", low=0, high=2**31 - 1)

    def __post_init__(self):
        validate(self)
        object.__setattr__(self, "prompt", _clean_prompt(self.prompt))
        filled = self.filled() if any(getattr(self, name) is None for name in MODEL_DEFAULTS[self.model]) else self
        if filled.model == "ours" and (filled.embed_dim or 0) % (2 * (filled.num_heads or 1)):
            raise ValueError(
                message(
                    "Embed dim must be a multiple of twice the number of heads, not {embed_dim} with {heads} heads.",
                    embed_dim=filled.embed_dim,
                    heads=filled.num_heads,
                )
            )

    def filled(self) -> LanguageTrainingConfig:
        """A copy with every None replaced by the model's default."""
        defaults = MODEL_DEFAULTS[self.model]
        missing = {name: value for name, value in defaults.items() if getattr(self, name) is None}
        return dataclasses.replace(self, **missing)


MODEL_DEFAULTS: dict[str, dict[str, Any]] = {
    "ours": {
        "tokeniser": "subwords",
        "vocab_size": 8192,
        "block_size": 256,
        "embed_dim": 256,
        "num_layers": 6,
        "num_heads": 4,
        "dense_dim": 1024,
        "batch_tokens": 4096,
        "optimizer": "muon",
        "learning_rate": 0.02,
        "weight_decay": 0.02,
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
        "batch_tokens": 256 * 100,
        "optimizer": "rmsprop",
        "learning_rate": 1e-3,
        "weight_decay": 0.0,
        "falling": 0.0,
    },
}
