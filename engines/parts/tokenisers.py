"""Text as numbers and back, by three ways of cutting it up: subwords, words or characters.

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
from collections.abc import Iterable, Sequence
from typing import ClassVar

import numpy as np
import tokenizers

END = 0
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
    def encode_all(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Each text as numbers, (T,) int32."""

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


class Subwords(Tokeniser):
    """Byte-level byte pair encoding (Sennrich et al. 2016; Radford et al. 2019): any text comes back as it was.

    Lone surrogates, which are no text but may come out of JSON, come back as "?".
    """

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
        bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
        bpe.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        bpe.decoder = tokenizers.decoders.ByteLevel()
        alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=max(vocab_size - 1, len(alphabet)), initial_alphabet=alphabet, show_progress=False
        )
        bpe.train_from_iterator(map(_encodable, texts), trainer, length=len(texts))
        return cls(bpe)

    def encode_all(self, texts: Sequence[str]) -> list[np.ndarray]:
        found = self._bpe.encode_batch_fast([_encodable(text) for text in texts], add_special_tokens=False)
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


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


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
            counts.update(cls.cut(text))
        # Of those that are equally frequent the ones that come first in the alphabet, so that it is always the same.
        ranked = sorted(counts, key=lambda piece: (-counts[piece], piece))
        return cls(ranked[: vocab_size - 2])

    def encode_all(self, texts: Sequence[str]) -> list[np.ndarray]:
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
        raise ValueError("This is no tokeniser of this studio's, or it is damaged.") from error
