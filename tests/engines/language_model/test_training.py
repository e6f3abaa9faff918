"""Training of language models: steps, exact resume, windows, losses and optimizer."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from engines.core.frames import Frame
from engines.data.text import split_texts
from engines.language_model import training as language_training
from engines.language_model.config import TEMPERATURES, LanguageTrainingConfig
from engines.language_model.loss import next_token_loss
from engines.language_model.model import LanguageModel, build_network, read_language_model
from engines.language_model.networks import TransformerConfig
from engines.language_model.tokenizers import Characters, Words
from engines.language_model.training import Windows, evaluate, rate_schedule, samples, train, training
from tests.engines.helpers import LITTLE_TEXT, TINY_LANGUAGE_TRAINING, files_in, refusal

TINY = dataclasses.replace(TINY_LANGUAGE_TRAINING, tokens=24 * 512)

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "text.txt"
    path.write_text(LITTLE_TEXT, encoding="utf-8")
    return path


@dataclasses.dataclass(frozen=True)
class Finished:
    """A finished training: its frames, its last and first checkpoints, and the model."""

    frames: list[Frame]
    checkpoint: Path
    first: Path
    model: Path


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory) -> Callable[[str], Finished]:
    """The training of a network by its name, for tests that do not change it."""

    @functools.cache
    def of(model: str) -> Finished:
        folder = tmp_path_factory.mktemp(model)
        paths = Finished([], *(folder / f"{name}.npz" for name in ("checkpoint", "first", "model")))
        for frame in train(dataclasses.replace(TINY, model=model), data, paths.checkpoint, paths.model):
            paths.frames.append(frame)
            if len(paths.frames) == 1:
                shutil.copy(paths.checkpoint, paths.first)
        return paths

    return of


@pytest.fixture
def unsampled(monkeypatch) -> None:
    """Skip the samples."""
    monkeypatch.setattr(language_training, "samples", lambda model, prompt: ((), ""))


def arrays_of(checkpoint: Path) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint."""
    with np.load(checkpoint) as arrays:
        return {name: array for name, array in arrays.items() if name != "header"}


def step_of(checkpoint: Path) -> int:
    with np.load(checkpoint) as arrays:
        return json.loads(str(arrays["header"]))["step"]


def assert_equal(checkpoint: Path, other: Path) -> None:
    """Assert that two checkpoints are exactly equal."""
    assert step_of(checkpoint) == step_of(other)
    one, two = arrays_of(checkpoint), arrays_of(other)
    assert one.keys() == two.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, two[name], name)


def weights_in(path: Path) -> list[np.ndarray]:
    return read_language_model(path).network.get_weights()


# Training


@pytest.mark.parametrize("model", ["ours", "notes"])
def test_a_training_gets_better_and_shows_how_and_writes_samples(finished, model):
    frames = finished(model).frames
    assert [(frame.step, frame.total) for frame in frames] == [(8, 24), (16, 24), (24, 24)]
    assert set(frames[0].metrics) == {"loss", "perplexity", "bits_per_character", "tokens_per_second"}
    losses = [frame.metrics["loss"] for frame in frames]
    assert losses[0] > losses[1] > losses[2]
    last = frames[-1].metrics
    assert last["perplexity"] < frames[0].metrics["perplexity"]
    # One token per character, plus END for each text.
    assert last["bits_per_character"] == pytest.approx(math.log2(last["perplexity"]), rel=0.01)
    assert [writing.temperature for writing in frames[-1].written] == list(TEMPERATURES)
    trained = read_language_model(finished(model).model)
    assert (trained.seen, trained.config.architecture) == (24 * 512, model)
    assert trained.tokeniser.decode(trained.tokeniser.encode("the cat")) == "the cat"


def kill_at_the_first_checkpoint(config: LanguageTrainingConfig, data: Path, checkpoint: Path) -> None:
    """Train by the command line, and kill the process so that it cannot clean up."""
    options = [f"--{name.replace('_', '-')}={value}" for name, value in dataclasses.asdict(config).items() if value]
    files = ["--data", str(data), "--checkpoint", str(checkpoint), "--output", str(checkpoint.with_name("out.npz"))]
    # Not by the command line, which sums with another number of threads.
    code = f"""
from engines.core.quiet import load_quietly
load_quietly()
from engines.nn import data_parallel as shards
shards.use_one_thread_per_op = lambda: None
from engines.train import main
main({["language_model", *files, *options]!r})
"""
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not checkpoint.exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)
    process.kill()
    assert process.communicate()[1] == "", "no notes, and no bar where nobody sees it"


def test_a_training_that_is_killed_and_then_made_longer_ends_as_one_that_was_as_long_from_the_beginning(
    data, finished, tmp_path, unsampled
):
    checkpoint, shorter = tmp_path / "checkpoint.npz", dataclasses.replace(TINY, tokens=16 * 512)
    kill_at_the_first_checkpoint(shorter, data, checkpoint)
    # Before the learning rate decays.
    assert_equal(checkpoint, finished("ours").first)
    frames = list(train(TINY, data, checkpoint, tmp_path / "resumed.npz"))
    assert [frame.step for frame in frames] == [16, 24]
    assert_equal(checkpoint, finished("ours").checkpoint)
    for one, other in zip(weights_in(finished("ours").model), weights_in(tmp_path / "resumed.npz"), strict=True):
        np.testing.assert_array_equal(one, other)
    assert "checkpoint.npz" in files_in(tmp_path)


def test_the_books_network_is_resumed_too_and_samples_change_nothing_of_what_is_learnt(
    data, finished, tmp_path, unsampled
):
    checkpoint = tmp_path / "checkpoint.npz"
    shutil.copy(finished("notes").first, checkpoint)
    frames = list(train(dataclasses.replace(TINY, model="notes", prompt="the "), data, checkpoint, None))
    assert [(frame.step, frame.written) for frame in frames] == [(16, ()), (24, ())]
    assert finished("notes").frames[-1].written
    assert_equal(checkpoint, finished("notes").checkpoint)


def test_a_finished_training_only_writes_its_result_again(data, finished, tmp_path, unsampled):
    before = finished("ours")
    (frame,) = train(TINY, data, before.checkpoint, tmp_path / "again.npz")
    assert frame.step == frame.total == 24
    for one, other in zip(weights_in(before.model), weights_in(tmp_path / "again.npz"), strict=True):
        np.testing.assert_array_equal(one, other)
    assert before.model.stat().st_size == (tmp_path / "again.npz").stat().st_size


def test_the_rate_may_be_moved_while_it_runs(data, eagerly, unsampled):
    config = dataclasses.replace(TINY, interval=2)
    frames = train(config, data, None, None)
    before = next(frames)
    still = frames.send(dataclasses.replace(config, rate_factor=0.0))
    assert still.metrics["perplexity"] == pytest.approx(before.metrics["perplexity"], rel=1e-5)
    last = frames.send(config)
    assert last.metrics["perplexity"] < 0.99 * still.metrics["perplexity"]


def test_other_data_or_settings_than_the_checkpoints_are_refused(data, finished, tmp_path):
    checkpoint = finished("ours").first
    other = dataclasses.replace(TINY, embed_dim=16)
    assert "other settings or data" in refusal(ValueError, next, train(other, data, checkpoint, None))
    changed = tmp_path / "text.txt"
    changed.write_text(LITTLE_TEXT.replace("cat", "cow"), encoding="utf-8")
    assert "other settings or data" in refusal(ValueError, next, train(TINY, changed, checkpoint, None))


def test_heads_that_do_not_fit_are_refused():
    assert "multiple of twice" in refusal(ValueError, LanguageTrainingConfig, embed_dim=30, num_heads=4)


def test_a_short_text_and_long_windows_are_enough_for_one_step(tmp_path, eagerly, unsampled):
    path = tmp_path / "short.txt"
    path.write_text("all of it in one window, and little enough to be padded. " * 36, encoding="utf-8")
    config = dataclasses.replace(TINY, block_size=1024, tokens=2048, batch_tokens=4096, interval=1)
    *_, last = train(config, path, None, None)
    assert math.isfinite(last.metrics["loss"])


def test_a_text_of_fewer_tokens_than_the_network_sees_is_one_window(tmp_path):
    path = tmp_path / "unbroken.txt"
    path.write_text("天地玄黃宇宙洪荒" * 300, encoding="utf-8")
    config = dataclasses.replace(
        TINY, tokeniser="subwords", vocab_size=2048, block_size=128, tokens=1000, interval=1000
    )
    (last,) = train(config, path, None, tmp_path / "out.npz")
    assert all(math.isfinite(value) and value > 0 for value in last.metrics.values())
    model = read_language_model(tmp_path / "out.npz")
    tokens = len(model.tokeniser.stream(split_texts(path).train))
    assert tokens < 128 == model.config.block_size
    assert (last.total, model.seen) == (1000 // (tokens - 1), 1000 // (tokens - 1) * (tokens - 1))


def test_a_text_that_makes_next_to_no_tokens_is_refused_with_how_many_are_needed(tmp_path):
    path = tmp_path / "unbroken.txt"
    path.write_text("天地玄黃宇宙洪荒" * 300, encoding="utf-8")
    told = refusal(ValueError, next, train(dataclasses.replace(TINY, tokeniser="words"), path, None, None))
    assert "only 3 training tokens; at least 8 are needed" in told


def test_a_training_is_stopped_while_it_reads(tmp_path):
    path = tmp_path / "long.txt"
    # Training a vocabulary on this takes many seconds.
    path.write_bytes(np.random.default_rng(0).integers(97, 123, 4_000_000).astype(np.uint8).tobytes())
    config = dataclasses.replace(TINY, tokeniser="subwords", vocab_size=8192)
    frames = training(config, None, data=path, checkpoint=tmp_path / "checkpoint.npz", output=tmp_path / "out.npz")
    notes = {next(frames).note}
    while "building the vocabulary" not in notes:
        notes.add(next(frames).note)
    (work,) = [thread for thread in threading.enumerate() if thread.name == "preparation"]
    frames.close()
    work.join(60)
    assert not work.is_alive()
    assert files_in(tmp_path) == ["long.txt"]


# Windows


def test_an_epoch_shows_each_window_once_and_the_next_cuts_elsewhere():
    stream = np.arange(1000)
    windows = Windows(stream, 16, seed=3)
    per_epoch = windows.count // 4
    for epoch in range(2):
        batches = [windows.batch(4, epoch * per_epoch + i) for i in range(per_epoch)]
        tokens = np.concatenate([tokens for tokens, _ in batches])
        assert all(weights.all() for _, weights in batches)
        assert len(set(tokens[:, 0])) == len(tokens), "no window twice"
        assert len(set(tokens[:, 0] % 16)) == 1, "windows lie side by side"
        np.testing.assert_array_equal(tokens, tokens[:, :1] + np.arange(17))
    starts = {int(windows.batch(4, epoch * per_epoch)[0][0, 0] % 16) for epoch in range(6)}
    assert len(starts) > 2


def test_what_pads_the_last_window_of_a_short_text_has_no_weight():
    tokens, weights = Windows(np.arange(1, 22), 16, seed=0).batch(2, 0)
    order = np.argsort(tokens[:, 0])
    assert tokens[order][1].tolist() == [17, 18, 19, 20, 21, *[0] * 12]
    assert weights[order].sum(1).tolist() == [16, 4]


@pytest.mark.parametrize("length", [2, 5, 16, 17, 33])
def test_of_a_short_text_there_is_at_least_one_window_and_each_token_is_in_one(length):
    windows = Windows(np.arange(length), 16, seed=0)
    tokens, weights = windows.batch(windows.count, 0)
    assert windows.count == -(-(length - 1) // 16) or length > 31
    assert length > 31 or sorted(tokens[:, 1:][weights > 0]) == list(range(1, length))


def test_the_loss_counts_real_tokens_only(data):
    rng = np.random.default_rng(0)
    activations, matrix = rng.normal(size=(6, 8)).astype(np.float32), rng.normal(size=(20, 8)).astype(np.float32)
    targets = np.array([3, 1, 4, 1, 5, 0], np.int32)
    whole = next_token_loss(tf.constant(activations[:5]), (tf.constant(matrix), None), targets[:5], np.ones(5, "f"))
    padded = next_token_loss(
        tf.constant(activations), (tf.constant(matrix), None), targets, np.array([1, 1, 1, 1, 1, 0], np.float32)
    )
    assert float(padded) == pytest.approx(float(whole))


@pytest.mark.parametrize("with_bias", [False, True])
def test_the_written_out_gradient_is_the_one_of_keras_cross_entropy(with_bias):
    rng = np.random.default_rng(0)
    activations = tf.Variable(rng.normal(size=(30, 8)).astype(np.float32))
    matrix = tf.Variable(rng.normal(size=(20, 8)).astype(np.float32))
    bias = tf.Variable(rng.normal(size=20).astype(np.float32)) if with_bias else None
    targets, weights = rng.integers(0, 20, 30).astype(np.int32), (rng.random(30) < 0.7).astype(np.float32)
    variables = [activations, matrix, *([bias] if with_bias else [])]
    with tf.GradientTape(persistent=True) as tape:
        ours = 3 * next_token_loss(tf.convert_to_tensor(activations), (matrix, bias), targets, weights)
        logits = activations @ tf.transpose(matrix) + (bias if with_bias else 0.0)
        losses = keras.losses.sparse_categorical_crossentropy(targets, logits, from_logits=True)
        theirs = 3 * tf.reduce_sum(weights * losses)
    assert float(ours) == pytest.approx(float(theirs), rel=1e-5)
    for one, other in zip(tape.gradient(ours, variables), tape.gradient(theirs, variables), strict=True):
        np.testing.assert_allclose(tf.convert_to_tensor(one), tf.convert_to_tensor(other), atol=2e-5)


# Rates and optimiser


def test_the_rate_is_constant_and_then_falls_to_nothing():
    rates = [rate_schedule(step, 100, 0.5) for step in range(100)]
    assert rates[:51] == [1.0] * 51
    assert rates[75] == pytest.approx(0.5)
    assert rates[99] == pytest.approx(0.02)
    assert {rate_schedule(step, 100, 0.0) for step in range(100)} == {1.0}


# Scores


def test_what_is_shipped_is_scored_on_all_of_the_held_out_text(data, finished, tmp_path, eagerly, unsampled):
    files = {"ours": finished("ours").model, "notes": finished("notes").model, "notes_words": tmp_path / "words.npz"}
    words = dataclasses.replace(TINY, model="notes", tokeniser="words", tokens=1024)
    list(train(words, data, None, files["notes_words"]))
    # Only the held-out part mentions zebras.
    data = tmp_path / "text.txt"
    data.write_text(LITTLE_TEXT + "the zebra sat on the mat. " * 12, encoding="utf-8")
    scores = evaluate(files, data)
    assert scores["perplexity_ratio_to_notes"] == pytest.approx(scores["perplexity"] / scores["perplexity_notes"])
    assert scores["bits_per_character"] == pytest.approx(math.log2(scores["perplexity"]), rel=0.01)
    assert (scores["tokens_ours"], scores["tokens_notes"]) == (TINY.tokens, TINY.tokens)
    known = set(read_language_model(files["notes_words"]).tokeniser.vocabulary)
    words = [word for text in split_texts(data).held_out for word in Words.split(text)]
    unknown = sum(word not in known for word in words)
    count = len(words) + len(split_texts(data).held_out) + 1
    assert scores["unknown_share_notes_words"] == pytest.approx(unknown / count)
    assert unknown == 12


def test_samples_begin_with_nothing_or_with_a_prompt():
    tokeniser = Characters.train([LITTLE_TEXT], 64)
    config = TransformerConfig(
        vocab_size=tokeniser.vocab_size, block_size=8, embed_dim=8, num_layers=1, num_heads=1, dense_dim=8
    )
    model = LanguageModel(build_network(config), tokeniser)
    for prompt in ("", "the "):
        assert len(samples(model, prompt)[0]) == len(TEMPERATURES)
