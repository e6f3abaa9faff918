"""Token-by-token generation."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engines.core.frames import Frame, Frames
from engines.core.messages import message
from engines.language_model.config import SamplingConfig
from engines.language_model.sampling import TokenDistribution, filter_logits, gumbel_noise, token_distribution
from engines.language_model.tokenizers import END

if TYPE_CHECKING:
    from engines.language_model.model import LanguageModel


@dataclass(frozen=True)
class Generation:
    """A generated text so far.

    Attributes:
        temperature: sampling temperature.
        pieces: the text of each token after the prompt.
        distributions: the distribution that each token was sampled from.
        finish_reason: "" while the text is unfinished, "end" for the end token, or "stop" for a stop string.
    """

    temperature: float
    pieces: tuple[str, ...]
    distributions: tuple[TokenDistribution, ...]
    finish_reason: str = ""

    @property
    def tokens(self) -> tuple[int, ...]:
        """The tokens after the prompt."""
        return tuple(one.token for one in self.distributions)


def generate(
    prompt: str, config: SamplingConfig, model: LanguageModel, continuation: Sequence[int] = ()
) -> Frames[SamplingConfig]:
    """Continue a text, yielding a frame for each token.

    A changed config applies from the next token, except for `tokens`, `seed` and the number of `temperatures`. The
    noise depends only on the seed and the position, so continuing from `continuation` gives the same text as not
    stopping.

    Args:
        prompt: any text; "" starts a new one.
        model: network and tokeniser.
        continuation: tokens that already follow the prompt.

    Yields:
        frames with `written`: a `Generation` for each temperature. Metrics: `perplexity` of the first one, under the
        model.

    Raises:
        ValueError: a changed config has another number of temperatures.
    """
    sequences = [
        _Sequence(prompt, tuple(continuation), config, i, model) for i in range(max(1, len(config.temperatures)))
    ]
    if continuation:
        for sequence in sequences:
            for distribution in score_tokens(
                sequence.tokens, sequence.first, config, sequence.temperature(config), model
            ):
                sequence.add(distribution)
    state = model.decoder.begin([sequence.tokens for sequence in sequences])
    for step in range(1, config.tokens + 1):
        noise = gumbel_noise(config.seed, len(continuation) + step - 1, model.tokeniser.vocab_size)
        for sequence, logits in zip(sequences, state.logits, strict=True):
            sequence.choose(logits, noise, config)
        done = all(sequence.finish_reason for sequence in sequences)
        written = tuple(sequence.generation(config) for sequence in sequences)
        changed = yield Frame(
            step=step,
            total=step if done else config.tokens,
            metrics={"perplexity": sequences[0].perplexity},
            written=written,
            text=_saved_text(prompt, written),
        )
        if done or step == config.tokens:
            return
        if changed is not None:
            if len(changed.temperatures) != len(config.temperatures):
                raise ValueError(message("The number of temperatures cannot be changed during a run."))
            config = dataclasses.replace(changed, tokens=config.tokens, seed=config.seed)
        state.next([sequence.tokens for sequence in sequences])


def _saved_text(prompt: str, written: Sequence[Generation]) -> str:
    """The text to save: prompt and continuation, or with several temperatures each under a heading."""
    texts = [prompt + "".join(generation.pieces) for generation in written]
    if len(texts) == 1:
        return texts[0]
    return "\n\n".join(f"Temperature {w.temperature:g}\n\n{text}" for w, text in zip(written, texts, strict=True))


class _Sequence:
    """One text being generated.

    Attributes:
        tokens: END, the prompt's tokens, and the tokens after it.
        first: index of the first token after the prompt.
        finish_reason: as in `Generation`.
    """

    def __init__(
        self, prompt: str, continuation: tuple[int, ...], config: SamplingConfig, index: int, model: LanguageModel
    ):
        self._model, self._index = model, index
        self.tokens = [END, *map(int, model.tokeniser.encode(prompt))]
        self.first = len(self.tokens)
        self.tokens += continuation
        self.finish_reason = ""
        self._distributions: list[TokenDistribution] = []
        self._nats = 0.0
        self._pieces: list[str] = []
        self._detokeniser = model.tokeniser.detokeniser()
        self._stopped_pieces: tuple[str, ...] = ()
        self._in_text = np.zeros(model.tokeniser.vocab_size, bool)
        self._in_text[self.tokens] = True

    def temperature(self, config: SamplingConfig) -> float:
        return config.temperatures[self._index] if config.temperatures else config.temperature

    @property
    def perplexity(self) -> float:
        """Perplexity of the tokens after the prompt, under the model."""
        return math.exp(self._nats / len(self._distributions))

    def add(self, distribution: TokenDistribution) -> None:
        """Append a token with its distribution."""
        self._distributions.append(distribution)
        self._nats -= math.log(max(distribution.before, 1e-300))
        self._pieces.append(self._detokeniser.add(distribution.token))

    def choose(self, logits: np.ndarray, noise: np.ndarray, config: SamplingConfig) -> None:
        """Sample a token. A finished text is padded with END, so that all texts stay equally long."""
        if self.finish_reason:
            self.tokens.append(END)
            return
        forbidden = _forbidden(self._model, config)
        after = filter_logits(logits, config, self.temperature(config), forbidden, self._in_text)
        token = int(np.argmax(after + noise))
        self.tokens.append(token)
        self._in_text[token] = True
        self.add(token_distribution(token, logits, after))
        if token == END:
            self.finish_reason = "end"
        elif any(config.stop) and self._truncate_at_stop(config):
            self.finish_reason = "stop"

    def _truncate_at_stop(self, config: SamplingConfig) -> bool:
        """Truncate the text at the first stop string; returns whether there was one."""
        pieces = self._all_pieces()
        text = "".join(pieces)
        positions = [position for stop in config.stop if stop and (position := text.find(stop)) >= 0]
        if not positions:
            return False
        remaining = min(positions)
        kept = []
        for piece in pieces:
            kept.append(piece[:remaining])
            remaining -= len(kept[-1])
        self._stopped_pieces = tuple(kept)
        return True

    def _all_pieces(self) -> tuple[str, ...]:
        return (*self._pieces[:-1], self._pieces[-1] + self._detokeniser.pending)

    def generation(self, config: SamplingConfig) -> Generation:
        return Generation(
            self.temperature(config),
            self._stopped_pieces or self._all_pieces(),
            tuple(self._distributions),
            self.finish_reason,
        )


def _forbidden(model: LanguageModel, config: SamplingConfig) -> list[int]:
    unknown = [] if model.tokeniser.unknown is None else [model.tokeniser.unknown]
    return unknown if config.ends else [END, *unknown]


def score_tokens(
    tokens: Sequence[int], first: int, config: SamplingConfig, temperature: float, model: LanguageModel
) -> list[TokenDistribution]:
    """The distribution at each token from index `first` on."""
    in_text = np.zeros(model.tokeniser.vocab_size, bool)
    in_text[list(tokens[:first])] = True
    distributions = []
    for position, logits in model.decoder.all_logits(tokens, first):
        after = filter_logits(logits, config, temperature, _forbidden(model, config), in_text)
        distributions.append(token_distribution(int(tokens[position]), logits, after))
        in_text[tokens[position]] = True
    return distributions
