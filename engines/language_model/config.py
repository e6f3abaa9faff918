"""Settings for sampling and training. Importing this does not load TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engines.core.configs import SettingError, setting, validate, with_defaults
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
                "The prompt has {count:,} characters; the limit is {most:,}.",
                count=len(prompt),
                most=MAX_PROMPT,
            )
        )
    return prompt


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """Settings for sampling. All but `tokens`, `seed` and the number of `temperatures` can be steered."""

    tokens: int = setting(200, "Maximum number of tokens to write.", label="Length", low=1, high=5000)
    temperature: float = setting(
        0.7, "Below 1 favours likely tokens; 0 always picks the likeliest (greedy).", low=0.0, high=10.0
    )
    temperatures: tuple[float, ...] = setting(
        (), "Several temperatures instead of one, sampled side by side with the same noise.", low=0.0, high=10.0
    )
    top_k: int = setting(
        0, "Sample from this many of the likeliest tokens; 0 uses all.", label="Top-k", low=0, high=10**6
    )
    top_p: float = setting(
        1.0,
        "Sample from the fewest likeliest tokens that reach this total probability.",
        label="Top-p",
        low=0.0,
        high=1.0,
    )
    min_p: float = setting(
        0.0, "Drop tokens below this fraction of the likeliest token's probability.", label="Min-p", low=0.0, high=1.0
    )
    repetition_penalty: float = setting(
        1.0, "Above 1, tokens already in the text become less likely.", low=0.1, high=10.0
    )
    stop: tuple[str, ...] = setting((), "Stop before writing any of these texts.", label="Stop sequence")
    ends: bool = setting(
        True, "Stop when the model ends its text; if off, the model cannot end it.", label="Allow end of text"
    )
    seed: int = setting(0, "Seed for sampling.", low=0, high=2**31 - 1)

    def __post_init__(self):
        validate(self)
        if len(self.temperatures) > 8:
            raise ValueError(
                message("Use at most 8 temperatures side by side, not {given}.", given=len(self.temperatures))
            )
        object.__setattr__(self, "stop", tuple(map(clean_text, self.stop)))


@dataclass(frozen=True, kw_only=True)
class WritingConfig(SamplingConfig):
    """Settings for continuing a text."""

    prompt: str = setting("", "The text to continue. The model only sees the end of a long text.")
    begun: tuple[int, ...] = setting(
        (), "Tokens already written after the prompt.", label="Tokens written so far", low=0, high=10**6
    )

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "prompt", _clean_prompt(self.prompt))
        if len(self.begun) > MAX_BEGUN:
            raise ValueError(
                message(
                    "{count:,} tokens are already written; the limit is {most:,}.",
                    count=len(self.begun),
                    most=MAX_BEGUN,
                )
            )


@dataclass(frozen=True, kw_only=True)
class LanguageTrainingConfig:
    """Settings for training a language model. None means the model's own default: see `MODEL_DEFAULTS`."""

    model: str = setting("ours", "Model architecture.", choices=MODELS)
    tokens: int = setting(2_000_000, "Total number of tokens to train on.", label="Total tokens", low=1000, high=10**10)
    tokeniser: str | None = setting(None, "How the text is split into tokens.", choices=TOKENISERS)
    vocab_size: int | None = setting(
        None, "Maximum number of different tokens.", label="Vocabulary", low=64, high=60_000
    )
    block_size: int | None = setting(
        None, "Maximum context length in tokens.", label="Context length", low=8, high=1024
    )
    embed_dim: int | None = setting(
        None, "Width of the embeddings and hidden states.", label="Width", low=16, high=1024
    )
    num_layers: int | None = setting(None, "Number of blocks.", label="Blocks", low=1, high=24)
    num_heads: int | None = setting(None, "Number of attention heads.", label="Heads", low=1, high=16)
    dense_dim: int | None = setting(
        None, "Width of the dense layers between the attention layers.", label="Feed-forward width", low=16, high=8192
    )
    batch_tokens: int | None = setting(None, "Tokens per step.", label="Tokens per step", low=64, high=1 << 20)
    optimizer: str | None = setting(
        None,
        "Muon for matrices and Adam for the rest, or RMSprop as in Chollet's book.",
        label="Optimiser",
        choices=OPTIMIZERS,
    )
    learning_rate: float | None = setting(None, "The optimiser's learning rate.", low=1e-6, high=1.0)
    weight_decay: float | None = setting(
        None, "Weight decay of Muon's matrices per step, as a fraction of Muon's learning rate.", low=0.0, high=1.0
    )
    falling: float | None = setting(
        None,
        "Final fraction of the training over which the learning rate decays to zero.",
        label="Decay fraction",
        low=0.0,
        high=1.0,
    )
    rate_factor: float = setting(
        1.0,
        "Multiplies the learning rate; can be changed during the run.",
        label="Learning rate multiplier",
        low=0.0,
        high=10.0,
    )
    prompt: str = setting("", "Prompt for the samples; can be changed during the run.", label="Sample prompt")
    interval: int = setting(
        250, "Steps between samples and checkpoints.", label="Steps between samples", low=1, high=1_000_000
    )
    seed: int = setting(0, "Seed for the order of texts and the initial weights.", low=0, high=2**31 - 1)

    def __post_init__(self):
        validate(self)
        object.__setattr__(self, "prompt", _clean_prompt(self.prompt))
        filled = self.filled() if any(getattr(self, name) is None for name in MODEL_DEFAULTS[self.model]) else self
        if filled.model == "ours" and (filled.embed_dim or 0) % (2 * (filled.num_heads or 1)):
            raise SettingError(
                message(
                    "Width must be a multiple of twice the number of heads, not {width} with {heads} heads.",
                    width=filled.embed_dim,
                    heads=filled.num_heads,
                ),
                "embed_dim",
            )

    @property
    def network(self) -> str:
        """Name of the trained network: the model, and the tokeniser unless it is that of the bundled networks."""
        tokeniser = self.filled().tokeniser
        return self.model if tokeniser == "subwords" else f"{self.model}_{tokeniser}"

    def filled(self) -> LanguageTrainingConfig:
        """A copy with every None replaced by the model's default."""
        return with_defaults(self, MODEL_DEFAULTS[self.model])


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
