"""Generation and scoring, with small networks of random weights."""

from __future__ import annotations

import dataclasses
import functools
import itertools

import numpy as np
import pytest

from engines.jobs import Job, Workshop, job_from_recipe
from engines.language_model import SamplingConfig, WritingConfig, generate, resolve, score
from engines.language_model.model import (
    BITS,
    LanguageModel,
    build_network,
    read_language_model,
    save_language_model,
)
from engines.language_model.networks import TransformerConfig
from engines.language_model.sampling import log_probabilities
from engines.language_model.scoring import token_losses
from engines.language_model.tokenizers import END, Characters, Subwords, Words
from engines.recipes import from_json
from engines.weights.store import WeightsError
from tests.engines.helpers import refusal
from tests.engines.language_model.test_tokenizers import HOSTILE, TEXTS

BLOCK = 32
GOES_ON = SamplingConfig(tokens=12, temperature=1.0, ends=False)


def model_of(
    architecture: str = "ours", tokeniser=None, seed: int = 0, scale: float = 0.3, num_layers: int = 2
) -> LanguageModel:
    """A network of random weights, none of them zero."""
    tokeniser = tokeniser or Subwords.train(TEXTS, 400)
    config = TransformerConfig(
        architecture=architecture,
        vocab_size=tokeniser.vocab_size,
        block_size=BLOCK,
        embed_dim=16,
        num_layers=num_layers if architecture == "ours" else 1,
        num_heads=2,
        dense_dim=32,
    )
    network = build_network(config)
    rng = np.random.default_rng(seed)
    network.set_weights([rng.normal(0, scale, weight.shape).astype(np.float32) for weight in network.get_weights()])
    return LanguageModel(network, tokeniser)


@functools.cache
def compiled_once(architecture: str) -> LanguageModel:
    """The model of all tests here."""
    return model_of(architecture)


@pytest.fixture(params=["ours", "notes"])
def model(request) -> LanguageModel:
    return compiled_once(request.param)


@pytest.fixture
def ours() -> LanguageModel:
    return compiled_once("ours")


def writing_of(prompt, config, model, begun=()):
    *_, last = generate(prompt, config, model, begun)
    return last.written[0]


# Generation


def test_a_frame_a_token_with_the_text_so_far_and_its_dice(model):
    frames = list(generate("This movie", GOES_ON, model))
    assert [(frame.step, frame.total) for frame in frames] == [(i, 12) for i in range(1, 13)]
    for i, frame in enumerate(frames, 1):
        (writing,) = frame.written
        assert len(writing.pieces) == len(writing.distributions) == i
        assert writing.tokens == frames[-1].written[0].tokens[:i]
        assert "".join(writing.pieces) == model.tokeniser.decode(writing.tokens)
        one = writing.distributions[-1]
        assert 0 < one.before < 1
        assert one.after > 0
        assert len(one.alternatives) == 10
        assert frame.metrics["perplexity"] == pytest.approx(
            np.exp(-np.mean([np.log(die.before) for die in writing.distributions]))
        )


def test_what_it_chooses_from_is_what_the_network_says(model):
    writing = writing_of("This movie", GOES_ON, model)
    tokens = [END, *model.tokeniser.encode("This movie"), *writing.tokens]
    logits = np.asarray(model.network(np.array([tokens], np.int32)))[0]
    start = len(tokens) - len(writing.tokens)
    for place, one in enumerate(writing.distributions, start):
        expected = np.exp(log_probabilities(logits[place - 1]))
        assert one.before == pytest.approx(expected[tokens[place]], rel=1e-3)
        assert [i for i, _, _ in one.alternatives] == np.argsort(-expected)[:10].tolist()


def test_the_same_seed_writes_the_same_and_another_something_else(model):
    first, again = (writing_of("A", GOES_ON, model).tokens for _ in range(2))
    assert first == again
    assert first != writing_of("A", dataclasses.replace(GOES_ON, seed=1), model).tokens


@pytest.mark.parametrize("length", [1, 5, 11])
def test_to_go_on_is_the_same_as_never_to_have_stopped(model, length):
    whole = writing_of("This movie", GOES_ON, model)
    rest = dataclasses.replace(GOES_ON, tokens=12 - length)
    later = writing_of("This movie", rest, model, whole.tokens[:length])
    assert later.tokens == whole.tokens
    for one, other in zip(whole.distributions, later.distributions, strict=True):
        assert (one.before, one.after, one.entropy) == pytest.approx(
            (other.before, other.after, other.entropy), rel=1e-5
        )


def test_an_alternative_is_written_on_from(ours):
    whole = writing_of("This movie", GOES_ON, ours)
    other = next(i for i, _, _ in whole.distributions[3].alternatives if i not in (whole.tokens[3], END))
    again = writing_of("This movie", GOES_ON, ours, (*whole.tokens[:3], other))
    assert again.tokens[:4] == (*whole.tokens[:3], other)
    assert len(again.tokens) == 16


def test_greedy_always_takes_the_likeliest_whatever_the_seed(ours):
    config = dataclasses.replace(GOES_ON, temperature=0.0)
    writing = writing_of("This movie", config, ours)
    assert writing.tokens == writing_of("This movie", dataclasses.replace(config, seed=9), ours).tokens
    for one in writing.distributions:
        assert one.token == next(i for i, _, _ in one.alternatives if i != END)
        assert (one.after, one.entropy_after) == (1.0, 0.0)


def test_several_temperatures_write_what_each_would_alone_from_the_same_noise(model):
    temperatures = (0.2, 1.0, 1.5)
    *_, last = generate("This", dataclasses.replace(GOES_ON, temperatures=temperatures), model)
    assert [writing.temperature for writing in last.written] == list(temperatures)
    for writing in last.written:
        alone = writing_of("This", dataclasses.replace(GOES_ON, temperature=writing.temperature), model)
        assert writing.tokens == alone.tokens
    assert len({writing.tokens for writing in last.written}) == 3


def test_a_temperature_moved_while_it_writes_takes_effect_with_the_next_token(ours):
    frames = generate("This", dataclasses.replace(GOES_ON, temperature=1.5), ours)
    for _ in range(4):
        next(frames)
    steered = frames.send(dataclasses.replace(GOES_ON, temperature=0.0, tokens=99, seed=5))
    *_, last = frames
    assert last.total == 12
    assert steered.written[0].distributions[4].after == 1.0
    assert all(one.after == 1.0 for one in last.written[0].distributions[4:])
    assert (
        last.written[0].tokens[:4] == writing_of("This", dataclasses.replace(GOES_ON, temperature=1.5), ours).tokens[:4]
    )
    frames = generate("This", GOES_ON, ours)
    next(frames)
    assert "cannot be changed" in refusal(ValueError, frames.send, dataclasses.replace(GOES_ON, temperatures=(1.0,)))


def test_a_text_grows_beyond_what_the_network_sees_and_is_read_on_from_its_tail(model):
    config = dataclasses.replace(GOES_ON, tokens=3 * BLOCK)
    writing = writing_of("This movie", config, model)
    assert len(writing.tokens) == 3 * BLOCK
    tokens = [END, *model.tokeniser.encode("This movie"), *writing.tokens]
    # When the context is full, its last three quarters are read again.
    full = BLOCK + 1
    tail = np.array([tokens[full - BLOCK * 3 // 4 : full]], np.int32)
    expected = np.exp(log_probabilities(np.asarray(model.network(tail))[0, -1]))
    place = full - (len(tokens) - len(writing.tokens))
    assert writing.distributions[place].before == pytest.approx(expected[tokens[full]], rel=1e-3)


def test_of_a_long_prompt_the_tail_is_kept(ours):
    tokens = ours.tokeniser.encode("great film again " * 40)
    tail = ours.tokeniser.decode(tokens[-BLOCK * 3 // 4 :])
    long = writing_of(ours.tokeniser.decode(tokens), GOES_ON, ours)
    expected = np.asarray(ours.network(tokens[None, -BLOCK * 3 // 4 :]))[0, -1]
    assert long.distributions[0].before == pytest.approx(np.exp(log_probabilities(expected))[long.tokens[0]], rel=1e-3)
    assert tail.strip().startswith(("great", "film", "again"))


@pytest.mark.parametrize("prompt", [*HOSTILE, "x y " * 25_000, "\ud83d"], ids=range(len(HOSTILE) + 2))
@pytest.mark.parametrize("kind", [Subwords, Words, Characters])
def test_any_prompt_is_gone_on_with(prompt, kind, models_of_all_kinds):
    model = models_of_all_kinds[kind]
    writing = writing_of(prompt, dataclasses.replace(GOES_ON, tokens=3), model)
    assert len(writing.tokens) == 3
    assert model.tokeniser.unknown not in writing.tokens


@pytest.fixture(scope="module")
def models_of_all_kinds():
    return {kind: model_of(tokeniser=kind.train(TEXTS, 300), num_layers=1) for kind in (Subwords, Words, Characters)}


def test_a_text_ends_where_the_model_ends_it_unless_it_may_not(ours):
    config = SamplingConfig(tokens=300, temperature=1.0, seed=8)
    frames = list(generate("This", config, ours))
    assert frames[-1].step == frames[-1].total < 300
    (writing,) = frames[-1].written
    assert (writing.finish_reason, writing.tokens[-1], writing.pieces[-1]) == ("end", END, "")
    assert not frames[-2].written[0].finish_reason
    on = writing_of("This", dataclasses.replace(config, tokens=len(frames) + 5, ends=False), ours)
    assert on.tokens[: len(frames) - 1] == writing.tokens[:-1]
    assert END not in on.tokens


def test_side_by_side_each_text_ends_on_its_own(ours):
    config = SamplingConfig(tokens=300, temperatures=(0.9, 1.0, 1.1), seed=3)
    frames = list(generate("This", config, ours))
    ends = [next((i for i, f in enumerate(frames) if f.written[row].finish_reason), None) for row in range(3)]
    assert None not in ends
    assert len(set(ends)) > 1
    assert frames[-1].step == frames[-1].total == max(ends) + 1
    for row, end in enumerate(ends):
        assert frames[-1].written[row].tokens == frames[end].written[row].tokens


def test_it_stops_at_a_stop_string_and_does_not_write_it(ours):
    whole = "".join(writing_of("This", dataclasses.replace(GOES_ON, tokens=30), ours).pieces)
    stop = whole[20:23]
    frames = list(generate("This", dataclasses.replace(GOES_ON, tokens=30, stop=("never there", stop, "")), ours))
    (writing,) = frames[-1].written
    assert writing.finish_reason == "stop"
    assert frames[-1].step == frames[-1].total < 30
    assert "".join(writing.pieces) == whole[: whole.index(stop)]


def test_repetition_is_punished_in_prompt_and_text(ours):
    config = dataclasses.replace(GOES_ON, tokens=40, temperature=0.0)
    plain = writing_of("This movie", config, ours).tokens
    varied = writing_of("This movie", dataclasses.replace(config, repetition_penalty=5.0), ours).tokens
    assert len(set(varied)) > len(set(plain))


def test_tokens_that_the_model_does_not_have_are_refused(ours):
    config = WritingConfig(begun=(3, 100_000))
    assert "does not exist" in refusal(ValueError, resolve, config, ours)


# As a job


def test_a_recipe_repeats_a_text_steering_and_all(ours, tmp_path):
    workshop = Workshop()
    workshop.keep("language_model", "ours", ours)
    config = WritingConfig(prompt="This movie 😀", tokens=10, temperature=1.0, ends=False, stop=("~",))
    started = workshop.start(Job(engine="language_model", config=config, inputs={}, backbone="ours"))
    for _ in range(3):
        next(started)
    started.send(dataclasses.replace(config, temperature=0.3))
    *_, last = started
    recipe = from_json(started.recipe.to_json())
    assert recipe.config["prompt"] == "This movie 😀"
    *_, again = workshop.start(job_from_recipe(recipe, {}))
    assert again.written[0].tokens == last.written[0].tokens


# Scoring


def test_a_network_of_which_nothing_but_the_embedding_is_left_is_a_bigram_model_and_scored_as_one():
    model = model_of(scale=0.8)
    for block in model.network.blocks:
        block.attention.projection.kernel.assign(0 * block.attention.projection.kernel.value)
        block.down_projection.kernel.assign(0 * block.down_projection.kernel.value)
    text = TEXTS[0] * 6
    tokens = [END, *model.tokeniser.encode(text)]
    assert len(tokens) > 2 * BLOCK
    embedding = np.asarray(model.network.embedding, np.float64)
    table = np.zeros((len(embedding), len(embedding)))
    for before in set(tokens):
        row = embedding[before] / np.sqrt((embedding[before] ** 2).mean())
        likelihoods = np.exp(embedding @ row)
        table[before] = likelihoods / likelihoods.sum()
    nats = [-np.log(table[a, b]) for a, b in itertools.pairwise(tokens)]
    found = score(text, SamplingConfig(), model)
    assert found.perplexity == pytest.approx(np.exp(np.mean(nats)), rel=1e-4)
    assert found.bits_per_character == pytest.approx(sum(nats) / np.log(2) / len(text), rel=1e-4)
    np.testing.assert_allclose([one.before for one in found.distributions], np.exp(-np.array(nats)), rtol=1e-3)
    np.testing.assert_allclose(token_losses(model.network, np.array(tokens)), nats, rtol=1e-3)
    assert "".join(found.pieces) == text


@pytest.mark.parametrize("length", [2, 3, BLOCK // 2, BLOCK, BLOCK + 1, BLOCK + 2, 2 * BLOCK + 5, 5 * BLOCK])
def test_each_token_of_a_long_text_has_at_least_half_a_window_before_it(model, length, eagerly):
    tokens = np.random.default_rng(2).integers(1, 300, length)
    losses = token_losses(model.network, tokens)
    windows = {}
    for start in range(0, length - 1, BLOCK // 2):
        logits = np.asarray(model.network(tokens[None, start : start + BLOCK].astype(np.int32)))[0]
        windows[start] = -np.stack([log_probabilities(one) for one in logits])
    for place in range(1, length):
        # It must match one of the windows that give it at least half a window of context.
        reach = range(max(0, place - BLOCK), place)
        starts = [start for start in windows if start in reach and (start == 0 or place - start > BLOCK // 2)]
        assert min(abs(losses[place - 1] - windows[start][place - 1 - start, tokens[place]]) for start in starts) < 1e-4


def test_what_cannot_be_scored_is_refused_with_one_sentence(ours):
    assert "no text" in refusal(ValueError, score, "", SamplingConfig(), ours)
    assert "at most 10,000" in refusal(ValueError, score, "x" * 10_001, SamplingConfig(), ours)


# Files


def test_a_model_comes_back_from_its_file_with_its_tokeniser(model, tmp_path):
    path = tmp_path / "model.npz"
    with path.open("wb") as file:
        save_language_model(file, dataclasses.replace(model, seen=77))
    again = read_language_model(path)
    assert (again.config, again.seen, len(again.weights)) == (model.config, 77, 64)
    assert again.tokeniser.to_json() == model.tokeniser.to_json()
    bits = BITS[model.config.architecture]
    for one, other in zip(again.network.get_weights(), model.network.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=np.abs(other).max() / 2**bits)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 cut off"])
def test_a_damaged_file_is_refused_with_one_sentence(tmp_path, content):
    path = tmp_path / "model.npz"
    path.write_bytes(content)
    assert "language model" in refusal(WeightsError, read_language_model, path)


def test_a_file_of_something_else_is_refused_with_one_sentence(tmp_path):
    path = tmp_path / "model.npz"
    np.savez(path, header=np.array("{}"), tokeniser=np.zeros(3, np.uint8))
    assert "language model" in refusal(WeightsError, read_language_model, path)
