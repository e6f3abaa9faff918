"""Preparation: frames are yielded meanwhile, and closing them ends the work at any point."""

from __future__ import annotations

import itertools
import threading

from engines.core.preparation import AbandonedError, prepare, raise_if_abandoned, set_note
from engines.data.text import clean_text
from engines.language_model import byte_pairs
from engines.language_model.byte_pairs import MAX_RUN, train_bpe, train_bpe_in_subprocess
from tests.engines.helpers import refusal


def outcome(frames):
    """A generator's return value and the frames before it."""
    seen = []
    while True:
        try:
            seen.append(next(frames))
        except StopIteration as end:
            return end.value, seen


def test_frames_say_what_is_done_until_it_is_done():
    seen = threading.Event()

    def work():
        set_note("tokenising the texts")
        assert seen.wait(30)
        return 7

    frames = prepare(work, "reading the texts")
    notes = [next(frames).note, next(frames).note]
    seen.set()
    (found, sent), rest = outcome(frames)
    assert (found, sent) == (7, None)
    assert [*notes, rest[-1].note] == ["reading the texts", "tokenising the texts", "starting"]
    assert all(frame.preparing and frame.progress == 0 and not frame.keyframe for frame in rest)


def test_what_is_sent_meanwhile_is_handed_on():
    def steered():
        frames = prepare(lambda: 7, "reading the texts")
        yield next(frames)
        yield frames.send("another config")
        return (yield from frames)

    assert outcome(steered())[0] == (7, "another config")


def test_what_the_work_raises_comes_to_whoever_waits():
    def work():
        raise ValueError("This is no text.")

    assert refusal(ValueError, outcome, prepare(work, "reading the texts")) == "This is no text."


def ended_by_closing(work) -> BaseException:
    """How the work ended when its frames were closed."""
    ended, raised = threading.Event(), []

    def watched():
        try:
            work()
        except BaseException as error:
            raised.append(error)
            raise
        finally:
            ended.set()

    frames = prepare(watched, "reading the texts")
    next(frames)
    frames.close()
    assert ended.wait(60), "it goes on"
    return raised[0]


def test_closing_the_frames_ends_the_work_at_its_next_check():
    def work():
        while True:
            raise_if_abandoned()

    assert isinstance(ended_by_closing(work), AbandonedError)


def test_closing_the_frames_kills_the_process_that_learns_a_vocabulary():
    # It never stops reading.
    texts = itertools.repeat("one word after another " * 50)
    assert isinstance(ended_by_closing(lambda: train_bpe_in_subprocess(texts, 400)), AbandonedError)


def test_a_vocabulary_learnt_in_a_process_of_its_own_is_the_same():
    texts = ["the cat sat on the mat\n", "어제 본 영화", clean_text("half \ud83d")] * 5
    assert train_bpe_in_subprocess(texts, 300) == train_bpe(texts, 300)


def test_a_process_that_came_to_nothing_is_told_in_a_sentence(monkeypatch):
    monkeypatch.setattr(byte_pairs, "__file__", "nowhere.py")
    assert "use part of it" in refusal(ValueError, train_bpe_in_subprocess, ["text"], 300)


def test_no_token_is_longer_than_the_longest_run_that_is_learnt_from():
    from engines.language_model.tokenizers import Subwords

    tokeniser = Subwords.train(["ab" * 20_000, " " * 5000], 2048)
    lengths = [len(piece.encode()) for piece in tokeniser.pieces(range(1, tokeniser.vocab_size))]
    assert 100 < max(lengths) <= MAX_RUN
