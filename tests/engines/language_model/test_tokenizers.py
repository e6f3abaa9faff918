"""Tokenisers: subwords, words and characters."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest

from engines.language_model import tokenizers as tokenisers
from engines.language_model.tokenizers import END, TOKENISERS, Characters, Subwords, Words, from_json
from tests.engines.helpers import refusal

TEXTS = [
    "This movie was great! I've seen it twice, and I'd see it again.",
    "What a waste of time... The acting was bad; the plot was worse.",
    "A great film about a great man -- 10/10.\nI loved it.",
] * 5
HOSTILE = [
    "",
    " ",
    "Ünïcödé, ¡naïve! 10 €",
    "이 영화는 정말 좋았어요.",
    "😀👩‍👩‍👧‍👦🇰🇷 emoji",
    "null \0 bytes, \x07 bells and \x1b[31m escapes",
    "tabs\tand\r\nlines\n\n\n and   spaces  ",
    "\u202eright to left\u202c, z\u0300\u0301\u0302algo",
    "\U0010ffff\ufffd\ufeff",
    "<|endoftext|> [UNK] <s> </s>",
    "a" * 5000,
]


@pytest.fixture(scope="module", params=sorted(TOKENISERS))
def tokeniser(request):
    return TOKENISERS[request.param].train(TEXTS, 400)


@pytest.fixture(scope="module")
def subwords() -> Subwords:
    return Subwords.train(TEXTS, 400)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_subwords_bring_any_text_back_as_it_was(subwords, text):
    tokens = subwords.encode(text)
    assert subwords.decode(tokens) == text
    assert tokens.dtype == np.int32
    assert END not in tokens
    assert tokens.size == 0 or tokens.max() < subwords.vocab_size


def test_what_is_no_text_comes_back_as_replacement_characters(subwords):
    assert subwords.decode(subwords.encode("half \ud83d of a pair")) == "half \ufffd of a pair"


def test_a_text_cut_up_in_parts_has_the_same_tokens(tokeniser, monkeypatch):
    texts = [*TEXTS, *HOSTILE, " ".join(HOSTILE), "a  b\n\n c\x1c!d\u2003 e'll\n"]
    whole = tokeniser.encode_all(texts)
    monkeypatch.setattr(tokenisers, "CHUNK_CHARACTERS", 3)
    assert len(list(tokenisers.chunks_of(TEXTS[0]))) > 8
    for text, one, other in zip(texts, whole, tokeniser.encode_all(texts), strict=True):
        np.testing.assert_array_equal(one, other)
        assert "".join(tokenisers.chunks_of(text)) == text
    in_parts = type(tokeniser).train(texts, 400).to_json()
    monkeypatch.undo()
    assert type(tokeniser).train(texts, 400).to_json() == in_parts


def test_frequent_words_are_one_subword_and_rare_ones_are_cut(subwords):
    assert subwords.pieces(subwords.encode("This movie")) == ["This", " movie"]
    assert len(subwords.encode("zyx")) == 3


def test_pieces_make_the_text_and_a_character_comes_with_its_last_token(subwords):
    tokens = subwords.encode("I'd 안녕 😀!")
    pieces = subwords.pieces(tokens)
    assert len(pieces) == len(tokens)
    assert "".join(pieces) == "I'd 안녕 😀!"
    assert subwords.pieces(tokens[:-2])[-1] == "\ufffd", "the last character is not finished"


def test_a_text_is_cut_the_same_after_it_was_stored(tokeniser):
    again = from_json(tokeniser.to_json())
    assert again.vocab_size == tokeniser.vocab_size
    for text in [*TEXTS, *HOSTILE]:
        np.testing.assert_array_equal(again.encode(text), tokeniser.encode(text))
        assert again.decode(again.encode(text)) == tokeniser.decode(tokeniser.encode(text))


def test_the_same_texts_make_the_same_tokeniser(tokeniser):
    assert type(tokeniser).train(TEXTS, 400).to_json() == tokeniser.to_json()


def test_no_more_tokens_than_asked_for(tokeniser):
    kind = type(tokeniser)
    most = 300 if kind is Subwords else 20
    assert kind.train(TEXTS, most).vocab_size <= most
    assert int(max(map(np.max, kind.train(TEXTS, most).encode_all(TEXTS)))) < most


def test_texts_stand_in_a_stream_with_ends_between(tokeniser):
    stream = tokeniser.stream(["a great film", "bad"])
    ends = np.flatnonzero(stream == END)
    assert ends.tolist() == [0, 1 + len(tokeniser.encode("a great film")), len(stream) - 1]
    np.testing.assert_array_equal(stream[1 : ends[1]], tokeniser.encode("a great film"))


def test_words_are_cut_as_keras_cuts_them():
    text = "I've seen it... TWICE -- and: (it's) great!"
    layer = keras.layers.TextVectorization(max_tokens=60, output_mode="int")
    layer.adapt(TEXTS)
    theirs = [layer.get_vocabulary()[int(i)] for i in np.asarray(layer([text]))[0]]
    ours = Words.train(TEXTS, 60)
    assert [ours.vocabulary[i] for i in ours.encode(text)] == theirs
    assert set(ours.vocabulary[2:]) <= set(layer.get_vocabulary()) | {""}


def test_what_is_not_in_the_vocabulary_is_one_token():
    words = Words.train(TEXTS, 60)
    assert words.encode("great zebra").tolist() == [words.encode("great")[0], words.unknown]
    assert words.decode(words.encode("Great, ZEBRA!")) == "great [UNK]"
    characters = Characters.train(TEXTS, 60)
    assert characters.decode(characters.encode("great €")) == "great [UNK]"


def test_characters_bring_a_text_back_that_has_none_but_known_ones():
    characters = Characters.train(["C4 D4 E4 | G4 -\n"], 64)
    assert characters.decode(characters.encode("G4 C4 | E4 -\n")) == "G4 C4 | E4 -\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"kind": "syllables"}',
        '{"kind": "words"}',
        '{"kind": "subwords", "bpe": {"model": 3}}',
        json.dumps({"kind": "subwords", "bpe": None}),
    ],
)
def test_what_is_no_tokeniser_is_refused_with_one_sentence(text):
    assert "tokenisers" in refusal(ValueError, from_json, text)
