"""Tokenisers: subwords, words or characters.

Token 0 is END in all of them. It stands before and after each text; a model that generates it has finished the text.
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
from engines.core.preparation import raise_if_abandoned
from engines.data.text import without_surrogates
from engines.language_model.byte_pairs import train_bpe, train_bpe_in_subprocess

END = 0
# Encode this many characters at a time, so that the work can be stopped in between.
CHUNK_CHARACTERS = 1 << 18
# Training on more characters than this takes seconds to minutes, so it runs in a process that can be killed.
MAX_IN_PROCESS = 1 << 18
# Where any tokeniser may be restarted: none has a token that crosses the start of whitespace.
_BOUNDARY = re.compile(r"(?<=\S)(?=[ \t\n\r])")
_PUNCTUATION = re.compile(f"[{re.escape(string.punctuation)}]")


class Detokeniser(ABC):
    """Decodes tokens one at a time."""

    @abstractmethod
    def add(self, token: int) -> str:
        """The text that one more token adds."""

    @property
    def pending(self) -> str:
        """The text to append if no more tokens follow."""
        return ""


class Tokeniser(ABC):
    """Converts between text and tokens: integers below `vocab_size`, without END."""

    kind: ClassVar[str]
    # The token for text outside the vocabulary; None if there is none.
    unknown: ClassVar[int | None] = None
    vocab_size: int

    @classmethod
    @abstractmethod
    def train(cls, texts: Sequence[str], vocab_size: int) -> Tokeniser:
        """Train a tokeniser with at most `vocab_size` tokens; the result depends only on the texts."""

    @abstractmethod
    def _encode_all(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Encode short texts, (T,) int32 each."""

    def encode_all(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Encode texts, (T,) int32 each."""
        encoded: list[np.ndarray] = []
        for batch in _batches(texts):
            raise_if_abandoned()
            if len(batch) > 1:
                encoded += self._encode_all(batch)
            else:
                chunks = []
                for chunk in chunks_of(batch[0]):
                    raise_if_abandoned()
                    chunks += self._encode_all([chunk])
                encoded.append(np.concatenate(chunks))
        return encoded

    def encode(self, text: str) -> np.ndarray:
        """Encode a text, (T,) int32."""
        return self.encode_all([text])[0]

    def decode(self, tokens: Iterable[int]) -> str:
        """Decode tokens; END decodes to ""."""
        return "".join(self.pieces(tokens))

    def pieces(self, tokens: Iterable[int]) -> list[str]:
        """The text that each token adds. A character of several tokens comes with its last token; an incomplete one
        becomes the replacement character U+FFFD."""
        detokeniser = self.detokeniser()
        pieces = [detokeniser.add(token) for token in tokens]
        if pieces:
            pieces[-1] += detokeniser.pending
        return pieces

    @abstractmethod
    def detokeniser(self) -> Detokeniser:
        """A new incremental decoder."""

    @abstractmethod
    def to_json(self) -> str:
        """Serialise for `from_json`."""

    def stream(self, texts: Sequence[str]) -> np.ndarray:
        """Concatenate encoded texts with END before each and after the last, (T,) int32."""
        parts: list[np.ndarray] = []
        end = np.array([END], np.int32)
        for tokens in self.encode_all(texts):
            parts += [end, tokens]
        return np.concatenate([*parts, end])


def chunks_of(text: str) -> Iterator[str]:
    """Split a text into chunks of about CHUNK_CHARACTERS without changing its tokens; a chunk without a suitable
    boundary is longer."""
    start = 0
    while len(text) - start > CHUNK_CHARACTERS and (boundary := _BOUNDARY.search(text, start + CHUNK_CHARACTERS)):
        yield text[start : boundary.start()]
        start = boundary.start()
    yield text[start:]


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Group texts into lists of about CHUNK_CHARACTERS; a longer text gets a list of its own."""
    batch: list[str] = []
    size = 0
    for text in texts:
        if batch and size + len(text) > CHUNK_CHARACTERS:
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += len(text)
    if batch:
        yield batch


class Subwords(Tokeniser):
    """Byte-level byte pair encoding (Sennrich et al. 2016; Radford et al. 2019), lossless for any text
    `without_surrogates`."""

    kind = "subwords"

    def __init__(self, bpe: tokenizers.Tokenizer):
        self._bpe = bpe
        self.vocab_size = bpe.get_vocab_size() + 1
        byte_of = {symbol: byte for byte, symbol in enumerate(_byte_symbols())}
        self._bytes = [b""] * self.vocab_size
        for piece, token in bpe.get_vocab().items():
            self._bytes[token + 1] = bytes(byte_of[symbol] for symbol in piece)

    @classmethod
    def train(cls, texts: Sequence[str], vocab_size: int) -> Subwords:
        learn = train_bpe if sum(map(len, texts)) <= MAX_IN_PROCESS else train_bpe_in_subprocess
        return cls(tokenizers.Tokenizer.from_str(learn(map(without_surrogates, texts), vocab_size - 1)))

    def _encode_all(self, texts: Sequence[str]) -> list[np.ndarray]:
        found = self._bpe.encode_batch_fast([without_surrogates(text) for text in texts], add_special_tokens=False)
        return [np.array(one.ids, np.int32) + 1 for one in found]

    def detokeniser(self) -> Detokeniser:
        return _ByteDetokeniser(self._bytes)

    def to_json(self) -> str:
        return json.dumps({"kind": self.kind, "bpe": json.loads(self._bpe.to_str())})


class _ByteDetokeniser(Detokeniser):
    def __init__(self, pieces: Sequence[bytes]):
        self._pieces = pieces
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, token: int) -> str:
        return self._decoder.decode(self._pieces[token])

    @property
    def pending(self) -> str:
        return self._decoder.getstate()[0].decode("utf-8", "replace")


def _byte_symbols() -> list[str]:
    """The character for each byte in a byte-level vocabulary: itself if it is printable."""
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    shifted = iter(range(256))
    return [chr(byte) if byte in printable else chr(256 + next(shifted)) for byte in range(256)]


class _VocabularyTokeniser(Tokeniser):
    """A tokeniser with an explicit vocabulary; everything else is the token `unknown`."""

    unknown = 1
    separator: ClassVar[str]

    def __init__(self, vocabulary: Sequence[str]):
        self.vocabulary = ("", "[UNK]", *vocabulary)
        self.vocab_size = len(self.vocabulary)
        self._ids = {piece: i for i, piece in enumerate(self.vocabulary) if i > self.unknown}

    @staticmethod
    @abstractmethod
    def split(text: str) -> Sequence[str]:
        """Split a text into vocabulary items."""

    @classmethod
    def train(cls, texts: Sequence[str], vocab_size: int) -> Tokeniser:
        counts: Counter[str] = Counter()
        for text in texts:
            for chunk in chunks_of(text):
                raise_if_abandoned()
                counts.update(cls.split(chunk))
        # Break ties alphabetically, so that the vocabulary is deterministic.
        ranked = sorted(counts, key=lambda piece: (-counts[piece], piece))
        return cls(ranked[: vocab_size - 2])

    def _encode_all(self, texts: Sequence[str]) -> list[np.ndarray]:
        ids, unknown = self._ids, self.unknown
        return [np.array([ids.get(piece, unknown) for piece in self.split(text)], np.int32) for text in texts]

    def detokeniser(self) -> Detokeniser:
        return _VocabularyDetokeniser(self.vocabulary, self.separator)

    def to_json(self) -> str:
        return json.dumps({"kind": self.kind, "vocabulary": self.vocabulary[2:]})


class _VocabularyDetokeniser(Detokeniser):
    def __init__(self, vocabulary: Sequence[str], separator: str):
        self._vocabulary, self._separator, self._started = vocabulary, separator, False

    def add(self, token: int) -> str:
        separator = self._separator if self._started and token != END else ""
        self._started = self._started or token != END
        return separator + self._vocabulary[token]


class Words(_VocabularyTokeniser):
    """Words as in the book (Chollet, section 12.1; Keras's TextVectorization): lower case, no punctuation, rare words
    as [UNK]. Not lossless."""

    kind = "words"
    separator = " "

    @staticmethod
    def split(text: str) -> Sequence[str]:
        return _PUNCTUATION.sub("", text.lower()).split()


class Characters(_VocabularyTokeniser):
    """Single characters, for small texts and anything that is not natural language."""

    kind = "characters"
    separator = ""

    @staticmethod
    def split(text: str) -> Sequence[str]:
        return text


TOKENISERS: dict[str, type[Tokeniser]] = {one.kind: one for one in (Subwords, Words, Characters)}


def from_json(text: str) -> Tokeniser:
    """Read a tokeniser that `to_json` wrote.

    Raises:
        ValueError: the text is something else.
    """
    try:
        content = json.loads(text)
        kind = TOKENISERS[content["kind"]]
        if kind is Subwords:
            return Subwords(tokenizers.Tokenizer.from_str(json.dumps(content["bpe"])))
        return kind(content["vocabulary"])  # type: ignore[call-arg]
    except Exception as error:  # `tokenizers` raises plain Exception
        raise ValueError(message("This is not one of this studio's tokenisers, or it is damaged.")) from error
