"""Tokenizers: subwords, words or characters.

Token 0 is the same in all: it stands before each text and, as an end is a beginning, after it. A model that says it has
ended what it was writing.
"""

from __future__ import annotations

import codecs
import json
import re
import string
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

import numpy as np
import tokenizers

from engines.core.messages import message
from engines.core.preparation import check
from engines.data.text import without_surrogates
from engines.language_model.byte_pairs import learnt_elsewhere, pairs_learnt

END = 0
# Texts are cut up so many characters at a time, so that it can be stopped between.
CHARACTERS_AT_ONCE = 1 << 18
# To learn from more than this takes seconds, and may take minutes: a process of its own can be ended meanwhile.
MOST_LEARNT_HERE = 1 << 18
# Where no tokeniser sees what comes before: every one begins a token with a space, or ends one before it.
_BETWEEN = re.compile(r"(?<=\S)(?=[ \t\n\r])")
_PUNCTUATION = re.compile(f"[{re.escape(string.punctuation)}]")


class Speller(ABC):
    """Spells a text that comes a token at a time."""

    @abstractmethod
    def add(self, token: int) -> str:
        """What one more token adds to the text."""

    @property
    def unfinished(self) -> str:
        """What would end the text if no token came any more."""
        return ""


class Tokeniser(ABC):
    """A text as numbers below `vocab_size`, END not among them, and back."""

    kind: ClassVar[str]
    # The token for what is not in the vocabulary; None where all is.
    unknown: ClassVar[int | None] = None
    vocab_size: int

    @classmethod
    @abstractmethod
    def train(cls, texts: Sequence[str], vocab_size: int) -> Tokeniser:
        """The one that suits these texts best, with at most `vocab_size` tokens; the same for the same texts."""

    @abstractmethod
    def _encode_all(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Texts of which none is long as numbers, (T,) int32 each."""

    def encode_all(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Each text as numbers, (T,) int32."""
        found: list[np.ndarray] = []
        for some in _batches(texts):
            check()
            if len(some) > 1:
                found += self._encode_all(some)
            else:
                parts = []
                for part in parts_of(some[0]):
                    check()
                    parts += self._encode_all([part])
                found.append(np.concatenate(parts))
        return found

    def encode(self, text: str) -> np.ndarray:
        """(T,) int32."""
        return self.encode_all([text])[0]

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of tokens; END has none."""
        return "".join(self.pieces(tokens))

    def pieces(self, tokens: Iterable[int]) -> list[str]:
        """What each token adds to the text of those before it. A character that takes several tokens comes with the
        last of them; one that is never finished comes as the replacement character."""
        speller = self.speller()
        found = [speller.add(token) for token in tokens]
        if found:
            found[-1] += speller.unfinished
        return found

    @abstractmethod
    def speller(self) -> Speller:
        """What spells a text that comes a token at a time."""

    @abstractmethod
    def to_json(self) -> str:
        """All that `from_json` needs."""

    def stream(self, texts: Sequence[str]) -> np.ndarray:
        """Texts one after the other, END before each and after the last, (T,) int32."""
        parts: list[np.ndarray] = []
        end = np.array([END], np.int32)
        for tokens in self.encode_all(texts):
            parts += [end, tokens]
        return np.concatenate([*parts, end])


def parts_of(text: str) -> Iterator[str]:
    """A text in parts of about CHARACTERS_AT_ONCE, cut where it makes no difference to its tokens; where there is no
    such place, a part is longer."""
    begun = 0
    while len(text) - begun > CHARACTERS_AT_ONCE and (cut := _BETWEEN.search(text, begun + CHARACTERS_AT_ONCE)):
        yield text[begun : cut.start()]
        begun = cut.start()
    yield text[begun:]


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Texts in lists of about CHARACTERS_AT_ONCE; one that is longer has a list of its own."""
    some: list[str] = []
    size = 0
    for text in texts:
        if some and size + len(text) > CHARACTERS_AT_ONCE:
            yield some
            some, size = [], 0
        some.append(text)
        size += len(text)
    if some:
        yield some


class Subwords(Tokeniser):
    """Byte-level byte pair encoding (Sennrich et al. 2016; Radford et al. 2019): any text comes back as it was,
    `without_surrogates`."""

    kind = "subwords"

    def __init__(self, bpe: tokenizers.Tokenizer):
        self._bpe = bpe
        self.vocab_size = bpe.get_vocab_size() + 1
        numbers = {symbol: byte for byte, symbol in enumerate(_byte_symbols())}
        self._bytes = [b""] * self.vocab_size
        for piece, number in bpe.get_vocab().items():
            self._bytes[number + 1] = bytes(numbers[symbol] for symbol in piece)

    @classmethod
    def train(cls, texts: Sequence[str], vocab_size: int) -> Subwords:
        learn = pairs_learnt if sum(map(len, texts)) <= MOST_LEARNT_HERE else learnt_elsewhere
        return cls(tokenizers.Tokenizer.from_str(learn(map(without_surrogates, texts), vocab_size - 1)))

    def _encode_all(self, texts: Sequence[str]) -> list[np.ndarray]:
        found = self._bpe.encode_batch_fast([without_surrogates(text) for text in texts], add_special_tokens=False)
        return [np.array(one.ids, np.int32) + 1 for one in found]

    def speller(self) -> Speller:
        return _ByteSpeller(self._bytes)

    def to_json(self) -> str:
        return json.dumps({"kind": self.kind, "bpe": json.loads(self._bpe.to_str())})


class _ByteSpeller(Speller):
    def __init__(self, pieces: Sequence[bytes]):
        self._pieces = pieces
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, token: int) -> str:
        return self._decoder.decode(self._pieces[token])

    @property
    def unfinished(self) -> str:
        return self._decoder.getstate()[0].decode("utf-8", "replace")


def _byte_symbols() -> list[str]:
    """For each byte the character that stands for it in a byte-level vocabulary: itself where it can be seen."""
    seen = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    unseen = iter(range(256))
    return [chr(byte) if byte in seen else chr(256 + next(unseen)) for byte in range(256)]


class _Listed(Tokeniser):
    """A vocabulary that is a list; what is not in it is one token, `unknown`."""

    unknown = 1
    between: ClassVar[str]

    def __init__(self, vocabulary: Sequence[str]):
        self.vocabulary = ("", "[UNK]", *vocabulary)
        self.vocab_size = len(self.vocabulary)
        self._numbers = {piece: i for i, piece in enumerate(self.vocabulary) if i > self.unknown}

    @staticmethod
    @abstractmethod
    def cut(text: str) -> Sequence[str]:
        """A text, cut up."""

    @classmethod
    def train(cls, texts: Sequence[str], vocab_size: int) -> Tokeniser:
        counts: Counter[str] = Counter()
        for text in texts:
            for part in parts_of(text):
                check()
                counts.update(cls.cut(part))
        # Of those that are equally frequent the ones that come first in the alphabet, so that it is always the same.
        ranked = sorted(counts, key=lambda piece: (-counts[piece], piece))
        return cls(ranked[: vocab_size - 2])

    def _encode_all(self, texts: Sequence[str]) -> list[np.ndarray]:
        numbers, unknown = self._numbers, self.unknown
        return [np.array([numbers.get(piece, unknown) for piece in self.cut(text)], np.int32) for text in texts]

    def speller(self) -> Speller:
        return _ListSpeller(self.vocabulary, self.between)

    def to_json(self) -> str:
        return json.dumps({"kind": self.kind, "vocabulary": self.vocabulary[2:]})


class _ListSpeller(Speller):
    def __init__(self, vocabulary: Sequence[str], between: str):
        self._vocabulary, self._between, self._begun = vocabulary, between, False

    def add(self, token: int) -> str:
        between = self._between if self._begun and token != END else ""
        self._begun = self._begun or token != END
        return between + self._vocabulary[token]


class Words(_Listed):
    """The book's words (Chollet, section 12.1; Keras's TextVectorization): in lower case, without punctuation, what is
    rare as [UNK]. A text does not come back as it was."""

    kind = "words"
    between = " "

    @staticmethod
    def cut(text: str) -> Sequence[str]:
        return _PUNCTUATION.sub("", text.lower()).split()


class Characters(_Listed):
    """Single characters: for small texts, and for what is no language."""

    kind = "characters"
    between = ""

    @staticmethod
    def cut(text: str) -> Sequence[str]:
        return text


TOKENISERS: dict[str, type[Tokeniser]] = {one.kind: one for one in (Subwords, Words, Characters)}


def from_json(text: str) -> Tokeniser:
    """The tokeniser that `to_json` wrote.

    Raises:
        ValueError: the text is something else.
    """
    try:
        content = json.loads(text)
        kind = TOKENISERS[content["kind"]]
        if kind is Subwords:
            return Subwords(tokenizers.Tokenizer.from_str(json.dumps(content["bpe"])))
        return kind(content["vocabulary"])  # type: ignore[call-arg]
    except Exception as error:  # the library raises bare Exception for what it cannot read
        raise ValueError(message("This is no tokeniser of this studio's, or it is damaged.")) from error
