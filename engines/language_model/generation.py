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
from engines.language_model.sampling import TokenDistribution, dice, filter_logits, noise
from engines.language_model.tokenizers import END

if TYPE_CHECKING:
    from engines.language_model.model import LanguageModel


@dataclass(frozen=True)
class Generation:
    """A text as it stands, with what each of its tokens was chosen from.

    Attributes:
        temperature: that it is written at.
        pieces: what each token after the prompt adds to the text.
        dice: what each was chosen from.
        ended: why it is over: "" as long as it is not, "end" of the text, or "stop" for a stop string.
    """

    temperature: float
    pieces: tuple[str, ...]
    dice: tuple[TokenDistribution, ...]
    ended: str = ""

    @property
    def tokens(self) -> tuple[int, ...]:
        """The tokens after the prompt."""
        return tuple(one.token for one in self.dice)


def generate(
    prompt: str, config: SamplingConfig, model: LanguageModel, begun: Sequence[int] = ()
) -> Frames[SamplingConfig]:
    """Go on with a text, yielding a frame a token.

    A changed config takes effect with the next token, but for `tokens`, `seed` and the number of `temperatures`. The
    same seed chooses the same wherever a text is cut in two: to go on is the same as never to have stopped.

    Args:
        prompt: any text, or none: then a text begins.
        model: network and tokeniser.
        begun: tokens that stand after the prompt already.

    Yields:
        frames with `written`: a `Generation` for the temperature, or for each of several. Metrics: `perplexity` of what
        the first of them has written, by the model itself.
    """
    rows = [_Row(prompt, tuple(begun), config, i, model) for i in range(max(1, len(config.temperatures)))]
    if begun:
        for row in rows:
            for one in looked_at(row.tokens, row.first, config, row.temperature(config), model):
                row.add(one)
    reading = model.reader.begin([row.tokens for row in rows])
    for step in range(1, config.tokens + 1):
        chooser = noise(config.seed, len(begun) + step - 1, model.tokeniser.vocab_size)
        for row, of_row in zip(rows, reading.logits, strict=True):
            row.choose(of_row, chooser, config)
        over = all(row.ended for row in rows)
        written = tuple(row.writing(config) for row in rows)
        changed = yield Frame(
            step=step,
            total=step if over else config.tokens,
            metrics={"perplexity": rows[0].perplexity},
            written=written,
            text=_kept(prompt, written),
        )
        if over or step == config.tokens:
            return
        if changed is not None:
            if len(changed.temperatures) != len(config.temperatures):
                raise ValueError(
                    message("How many temperatures are written side by side cannot be changed while they are.")
                )
            config = dataclasses.replace(changed, tokens=config.tokens, seed=config.seed)
        reading.next([row.tokens for row in rows])


def _kept(prompt: str, written: Sequence[Generation]) -> str:
    """What a person keeps: prompt and text, or those of each temperature under its name."""
    texts = [prompt + "".join(writing.pieces) for writing in written]
    if len(texts) == 1:
        return texts[0]
    return "\n\n".join(f"Temperature {w.temperature:g}\n\n{text}" for w, text in zip(written, texts, strict=True))


class _Row:
    """One text that is being written.

    Attributes:
        tokens: END, those of the prompt, and those after it.
        first: where those after the prompt begin.
    """

    def __init__(self, prompt: str, begun: tuple[int, ...], config: SamplingConfig, index: int, model: LanguageModel):
        self._model, self._index = model, index
        self.tokens = [END, *map(int, model.tokeniser.encode(prompt))]
        self.first = len(self.tokens)
        self.tokens += begun
        self.ended = ""
        self._dice: list[TokenDistribution] = []
        self._surprise = 0.0
        self._pieces: list[str] = []
        self._speller = model.tokeniser.speller()
        self._stopped: tuple[str, ...] = ()
        self._there = np.zeros(model.tokeniser.vocab_size, bool)
        self._there[self.tokens] = True

    def temperature(self, config: SamplingConfig) -> float:
        return config.temperatures[self._index] if config.temperatures else config.temperature

    @property
    def perplexity(self) -> float:
        """Of what stands after the prompt, by the model itself."""
        return math.exp(self._surprise / len(self._dice))

    def add(self, one: TokenDistribution) -> None:
        """Put a token that the model has been asked about after those after the prompt."""
        self._dice.append(one)
        self._surprise -= math.log(max(one.before, 1e-300))
        self._pieces.append(self._speller.add(one.token))

    def choose(self, logits: np.ndarray, chooser: np.ndarray, config: SamplingConfig) -> None:
        """Add a token; one that has ended only grows longer unseen, so that all rows are of one length."""
        if self.ended:
            self.tokens.append(END)
            return
        forbidden = _forbidden(self._model, config)
        after = filter_logits(logits, config, self.temperature(config), forbidden, self._there)
        token = int(np.argmax(after + chooser))
        self.tokens.append(token)
        self._there[token] = True
        self.add(dice(token, logits, after))
        if token == END:
            self.ended = "end"
        elif any(config.stop) and self._stop_at(config):
            self.ended = "stop"

    def _stop_at(self, config: SamplingConfig) -> bool:
        """Cut off the first stop string that is there, and whatever of the last token is behind it."""
        pieces = self._spelled()
        text = "".join(pieces)
        places = [place for stop in config.stop if stop and (place := text.find(stop)) >= 0]
        if not places:
            return False
        left = min(places)
        kept = []
        for piece in pieces:
            kept.append(piece[:left])
            left -= len(kept[-1])
        self._stopped = tuple(kept)
        return True

    def _spelled(self) -> tuple[str, ...]:
        return (*self._pieces[:-1], self._pieces[-1] + self._speller.unfinished)

    def writing(self, config: SamplingConfig) -> Generation:
        return Generation(self.temperature(config), self._stopped or self._spelled(), tuple(self._dice), self.ended)


def _forbidden(model: LanguageModel, config: SamplingConfig) -> list[int]:
    unknown = [] if model.tokeniser.unknown is None else [model.tokeniser.unknown]
    return unknown if config.ends else [END, *unknown]


def looked_at(
    tokens: Sequence[int], first: int, config: SamplingConfig, temperature: float, model: LanguageModel
) -> list[TokenDistribution]:
    """What each token from `first` on would have been chosen from."""
    there = np.zeros(model.tokeniser.vocab_size, bool)
    there[list(tokens[:first])] = True
    found = []
    for place, logits in model.reader.all_logits(tokens, first):
        after = filter_logits(logits, config, temperature, _forbidden(model, config), there)
        found.append(dice(int(tokens[place]), logits, after))
        there[tokens[place]] = True
    return found
