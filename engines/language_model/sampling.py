"""Next-token sampling: temperature, top-k, top-p, min-p, repetition penalty."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from engines.language_model.config import SamplingConfig

ALTERNATIVES = 10
# In the place of the logarithm of zero: times a probability of zero it is nothing.
_LEAST = -1e9


@dataclass(frozen=True)
class TokenDistribution:
    """What a token was chosen from.

    Attributes:
        token: the one that stands there.
        before: its probability as the model has it.
        after: the same once temperature and cut-offs have reshaped it; 0 where they leave it out.
        entropy: of the model's distribution, in bits.
        entropy_after: of the reshaped one.
        alternatives: the likeliest tokens, with their probabilities before and after, the likeliest first.
    """

    token: int
    before: float
    after: float
    entropy: float
    entropy_after: float
    alternatives: tuple[tuple[int, float, float], ...]


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """The logarithm of a softmax over (V,), float64."""
    logits = logits.astype(np.float64)
    logits = logits - logits.max()
    return logits - np.log(np.exp(logits).sum())


def filter_logits(
    logits: np.ndarray,
    config: SamplingConfig,
    temperature: float,
    forbidden: Collection[int] = (),
    there: np.ndarray | None = None,
) -> np.ndarray:
    """What a token is chosen by.

    In this order: forbidden tokens are left out; repetition is punished (Keskar et al. 2019, "CTRL", section 4.1); the
    temperature (the book's `reweight_distribution`, here on logarithms, which neither underflows nor takes the
    logarithm of zero); then all cut-offs, each of what the one before has left: top-k (Fan et al. 2018), top-p
    (Holtzman et al. 2020), min-p (Nguyen et al. 2024). The likeliest token is never cut off.

    Args:
        logits: (V,).
        temperature: instead of the config's own.
        there: (V,) booleans: tokens that are in the text already.

    Returns:
        (V,) float64 logarithms of probabilities, -inf for what is left out.
    """
    logits = logits.astype(np.float64)
    if config.repetition_penalty != 1.0 and there is not None:
        punished = np.where(logits > 0, logits / config.repetition_penalty, logits * config.repetition_penalty)
        logits = np.where(there, punished, logits)
    if forbidden:
        logits = logits.copy()
        logits[list(forbidden)] = -np.inf
    if temperature == 0:
        found = np.full(len(logits), -np.inf)
        found[int(np.argmax(logits))] = 0.0
        return found
    found = log_probabilities((logits - logits.max()) / temperature)
    if 0 < config.top_k < len(found):
        found = _kept(found, found >= np.partition(found, -config.top_k)[-config.top_k])
    if config.top_p < 1:
        order = np.argsort(-found, kind="stable")
        # One belongs to them if what is likelier than it does not have the share already.
        likelier = np.cumsum(np.exp(found[order])) - np.exp(found[order])
        among = np.zeros(len(found), bool)
        among[order[(likelier < config.top_p) | (np.arange(len(order)) == 0)]] = True
        found = _kept(found, among)
    if config.min_p > 0:
        found = _kept(found, found >= found.max() + np.log(config.min_p))
    return found


def _kept(log_probabilities: np.ndarray, among: np.ndarray) -> np.ndarray:
    """The same with what is not among them left out, again with a sum of one."""
    kept = np.where(among, log_probabilities, -np.inf)
    return kept - np.log(np.exp(kept).sum())


def noise(seed: int, place: int, size: int) -> np.ndarray:
    """(size,) float64 of Gumbel noise: the same for the same seed and place in the text.

    Added to logarithms of probabilities it makes the largest sum a sample (Gumbel 1954), and what is chosen from two
    distributions that are nearly alike is mostly the same.
    """
    # Minus the logarithm of an exponential variable is a Gumbel one; NumPy's own sampler takes three times as long.
    return -np.log(np.random.default_rng((seed, place)).standard_exponential(size))


def dice(token: int, logits: np.ndarray, after: np.ndarray) -> TokenDistribution:
    """What a token was chosen from: logits (V,) and what `filter_logits` made of them."""
    before = log_probabilities(logits)
    first = np.argpartition(before, -min(ALTERNATIVES, len(before)))[-ALTERNATIVES:]
    first = first[np.argsort(-before[first], kind="stable")]
    likely, likely_after = np.exp(before), np.exp(after)
    return TokenDistribution(
        token=token,
        before=float(likely[token]),
        after=float(likely_after[token]),
        entropy=entropy(likely, before),
        entropy_after=entropy(likely_after, after),
        alternatives=tuple(zip(first.tolist(), likely[first].tolist(), likely_after[first].tolist(), strict=True)),
    )


def entropy(probabilities: np.ndarray, logarithms: np.ndarray) -> float:
    """Of a distribution, (V,), in bits."""
    return -float(probabilities @ np.maximum(logarithms, _LEAST)) / math.log(2) + 0.0
