"""Sampling: temperature, penalties, filters and noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from engines.language_model.config import SamplingConfig, WritingConfig
from engines.language_model.sampling import entropy, filter_logits, gumbel_noise, log_probabilities, token_distribution
from tests.engines.helpers import refusal

LOGITS = np.random.default_rng(0).normal(0, 2, 40)


def probabilities(temperature: float = 1.0, logits: np.ndarray = LOGITS, forbidden=(), there=None, **changes):
    return np.exp(filter_logits(logits, SamplingConfig(**changes), temperature, forbidden, there))


@pytest.mark.parametrize("temperature", [0.2, 0.5, 0.7, 1.0, 1.5])
def test_a_temperature_does_what_the_books_reweighting_does(temperature):
    original = np.exp(log_probabilities(LOGITS))
    by_the_book = np.exp(np.log(original) / temperature)
    np.testing.assert_allclose(probabilities(temperature), by_the_book / by_the_book.sum(), rtol=1e-9)


def test_where_the_books_reweighting_divides_zero_by_zero_the_likeliest_is_certain():
    logits = np.array([0.0, -4000.0, -3000.0])
    assert probabilities(0.01, logits).tolist() == [1.0, 0.0, 0.0]
    assert probabilities(1.0, logits + 1e6).tolist() == [1.0, 0.0, 0.0]


def test_at_zero_only_the_likeliest_is_left():
    found = probabilities(0.0)
    assert found[np.argmax(LOGITS)] == 1
    assert found.sum() == 1


def test_top_k_leaves_the_k_likeliest_in_their_proportions():
    found, whole = probabilities(top_k=3), probabilities()
    first = np.argsort(-LOGITS)[:3]
    assert set(np.flatnonzero(found)) == set(first)
    np.testing.assert_allclose(found[first], whole[first] / whole[first].sum())
    np.testing.assert_array_equal(probabilities(top_k=10**6), whole)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 0.999])
def test_top_p_leaves_the_fewest_that_have_the_share(share):
    whole, found = probabilities(), probabilities(top_p=share)
    order = np.argsort(-whole)
    count = int(np.searchsorted(np.cumsum(whole[order]), share)) + 1
    assert set(np.flatnonzero(found)) == set(order[:count])
    assert found.sum() == pytest.approx(1)


def test_min_p_leaves_out_what_is_far_less_likely_than_the_likeliest():
    whole, found = probabilities(), probabilities(min_p=0.1)
    np.testing.assert_array_equal(found > 0, whole >= 0.1 * whole.max())


@pytest.mark.parametrize("changes", [{"top_p": 0.0}, {"min_p": 1.0}, {"top_k": 1}, {"top_p": 0.0, "min_p": 1.0}])
def test_cut_offs_never_leave_nothing(changes):
    assert np.flatnonzero(probabilities(**changes)).tolist() == [np.argmax(LOGITS)]


def test_forbidden_tokens_are_never_chosen_however_likely():
    first = int(np.argmax(LOGITS))
    assert probabilities(forbidden=[first])[first] == 0
    assert probabilities(0.0, forbidden=[first]).argmax() == np.argsort(-LOGITS)[1]


def test_repetition_makes_tokens_that_are_there_less_likely_and_no_others_than_those():
    there = np.zeros(40, bool)
    there[[int(np.argmax(LOGITS)), int(np.argmin(LOGITS))]] = True
    plain, found = probabilities(), probabilities(there=there, repetition_penalty=1.5)
    assert (found[there] < plain[there]).all()
    others = plain[~there] / plain[~there].sum()
    np.testing.assert_allclose(found[~there] / found[~there].sum(), others)


@pytest.mark.parametrize("changes", [{}, {"top_k": 8}, {"top_p": 0.8}, {"min_p": 0.05}])
@pytest.mark.parametrize("temperature", [0.5, 1.3])
def test_what_is_chosen_is_as_frequent_as_the_reshaped_distribution_says(temperature, changes):
    log = filter_logits(LOGITS, SamplingConfig(**changes), temperature)
    chosen = [int(np.argmax(log + gumbel_noise(7, place, len(log)))) for place in range(20_000)]
    counts = np.bincount(chosen, minlength=len(log))
    expected = 20_000 * np.exp(log)
    assert counts[expected == 0].sum() == 0
    # A chi-square test needs well-filled cells, so rare tokens share one.
    rare = (expected > 0) & (expected < 10)
    observed = [*counts[expected >= 10], counts[rare].sum()]
    wanted = [*expected[expected >= 10], expected[rare].sum()]
    if not rare.any():
        observed, wanted = observed[:-1], wanted[:-1]
    assert chisquare(observed, wanted).pvalue > 0.001


def test_the_same_noise_chooses_mostly_the_same_from_distributions_that_are_nearly_alike():
    near = filter_logits(LOGITS, SamplingConfig(), 0.7), filter_logits(LOGITS, SamplingConfig(), 0.75)
    same = [len({int(np.argmax(one + gumbel_noise(0, place, 40))) for one in near}) == 1 for place in range(500)]
    assert np.mean(same) > 0.95
    assert not np.array_equal(gumbel_noise(0, 1, 40), gumbel_noise(0, 2, 40))
    assert not np.array_equal(gumbel_noise(0, 1, 40), gumbel_noise(1, 1, 40))


def test_the_token_distributions_show_the_ten_likeliest_before_and_after():
    after = filter_logits(LOGITS, SamplingConfig(top_k=4), 0.5)
    token = int(np.argsort(-LOGITS)[2])
    one = token_distribution(token, LOGITS, after)
    before = np.exp(log_probabilities(LOGITS))
    assert [i for i, _, _ in one.alternatives] == np.argsort(-LOGITS)[:10].tolist()
    assert (one.before, one.after) == (pytest.approx(before[token]), pytest.approx(np.exp(after[token])))
    assert [share for _, _, share in one.alternatives][4:] == [0.0] * 6
    assert one.entropy == pytest.approx(-(before * np.log2(before)).sum())
    assert one.entropy_after < one.entropy
    assert len(token_distribution(0, LOGITS[:3], log_probabilities(LOGITS[:3])).alternatives) == 3


def test_entropy_is_in_bits():
    assert entropy(np.full(8, 1 / 8), np.log(np.full(8, 1 / 8))) == pytest.approx(3)
    assert entropy(np.array([1.0, 0.0]), np.array([0.0, -np.inf])) == 0


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"temperature": -0.1}, "between 0.0 and 10.0"),
        ({"temperature": float("nan")}, "finite"),
        ({"temperatures": (0.5, -1.0)}, "between 0.0 and 10.0"),
        ({"temperatures": (1.0,) * 9}, "at most 8"),
        ({"tokens": 0}, "between 1 and 5000"),
        ({"top_k": -1}, "between 0"),
        ({"top_p": 1.5}, "between 0.0 and 1.0"),
        ({"min_p": -0.5}, "between 0.0 and 1.0"),
        ({"repetition_penalty": 0.0}, "between 0.1 and 10.0"),
        ({"prompt": "x" * 100_001}, "the limit is 100,000"),
        ({"prompt": 7}, "text"),
        ({"begun": (-1,)}, "between 0"),
        ({"begun": (1,) * 20_001}, "the limit is 20,000"),
    ],
)
def test_settings_out_of_range_are_refused_with_one_sentence(changes, part):
    assert part in refusal(ValueError, WritingConfig, **changes)
