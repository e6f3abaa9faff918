"""Next-token sampling: temperature, top-k, top-p, min-p, repetition penalty."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from engines.language_model.config import SamplingConfig

ALTERNATIVES = 10
# Stands for log 0; finite, so that 0 times it is 0.
_LOG_ZERO = -1e9


@dataclass(frozen=True)
class TokenDistribution:
    """Next-token distribution, before and after filtering.

    Attributes:
        token: the token in the text.
        before: its probability under the model.
        after: its probability after temperature and filters; 0 if filtered out.
        entropy: entropy of the model's distribution, in bits.
        entropy_after: entropy after filtering, in bits.
        alternatives: the most likely tokens with their probabilities before and after, most likely first.
    """

    token: int
    before: float
    after: float
    entropy: float
    entropy_after: float
    alternatives: tuple[tuple[int, float, float], ...]


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """Log-softmax of (V,) logits, float64."""
    logits = logits.astype(np.float64)
    logits = logits - logits.max()
    return logits - np.log(np.exp(logits).sum())


def filter_logits(
    logits: np.ndarray,
    config: SamplingConfig,
    temperature: float,
    forbidden: Collection[int] = (),
    in_text: np.ndarray | None = None,
) -> np.ndarray:
    """Apply penalties, temperature and filters to next-token logits.

    In this order: repetition penalty (Keskar et al. 2019, "CTRL", section 4.1), forbidden tokens, temperature (the
    book's `reweight_distribution`, here on logarithms, which neither underflow nor need the logarithm of zero), top-k
    (Fan et al. 2018), top-p (Holtzman et al. 2020), min-p (Nguyen et al. 2024). Each filter renormalises before the
    next. The most likely token always remains.

    Args:
        logits: (V,).
        temperature: used instead of the config's.
        forbidden: tokens to exclude.
        in_text: (V,) booleans: tokens that are already in the text.

    Returns:
        (V,) float64 log-probabilities, -inf for excluded tokens.
    """
    logits = logits.astype(np.float64)
    if config.repetition_penalty != 1.0 and in_text is not None:
        penalised = np.where(logits > 0, logits / config.repetition_penalty, logits * config.repetition_penalty)
        logits = np.where(in_text, penalised, logits)
    if forbidden:
        logits = logits.copy()
        logits[list(forbidden)] = -np.inf
    if temperature == 0:
        log_probs = np.full(len(logits), -np.inf)
        log_probs[int(np.argmax(logits))] = 0.0
        return log_probs
    log_probs = log_probabilities((logits - logits.max()) / temperature)
    if 0 < config.top_k < len(log_probs):
        log_probs = _renormalised(log_probs, log_probs >= np.partition(log_probs, -config.top_k)[-config.top_k])
    if config.top_p < 1:
        order = np.argsort(-log_probs, kind="stable")
        # Keep a token unless the tokens more likely than it already have the share.
        likelier = np.cumsum(np.exp(log_probs[order])) - np.exp(log_probs[order])
        keep = np.zeros(len(log_probs), bool)
        keep[order[(likelier < config.top_p) | (np.arange(len(order)) == 0)]] = True
        log_probs = _renormalised(log_probs, keep)
    if config.min_p > 0:
        log_probs = _renormalised(log_probs, log_probs >= log_probs.max() + np.log(config.min_p))
    return log_probs


def _renormalised(log_probabilities: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Exclude all tokens but those to keep, and renormalise."""
    masked = np.where(keep, log_probabilities, -np.inf)
    return masked - np.log(np.exp(masked).sum())


def gumbel_noise(seed: int, position: int, size: int) -> np.ndarray:
    """Gumbel noise, (size,) float64, determined by the seed and the position in the text.

    The argmax of log-probabilities plus noise is a sample (Gumbel 1954). With the same noise, similar distributions
    mostly give the same sample.
    """
    # The negative logarithm of an exponential variable; NumPy's Gumbel sampler takes three times as long.
    return -np.log(np.random.default_rng((seed, position)).standard_exponential(size))


def token_distribution(token: int, logits: np.ndarray, after: np.ndarray) -> TokenDistribution:
    """Summarise logits, (V,), and the log-probabilities that `filter_logits` returned for them, (V,)."""
    before = log_probabilities(logits)
    top = np.argpartition(before, -min(ALTERNATIVES, len(before)))[-ALTERNATIVES:]
    top = top[np.argsort(-before[top], kind="stable")]
    probabilities, probabilities_after = np.exp(before), np.exp(after)
    return TokenDistribution(
        token=token,
        before=float(probabilities[token]),
        after=float(probabilities_after[token]),
        entropy=entropy(probabilities, before),
        entropy_after=entropy(probabilities_after, after),
        alternatives=tuple(
            zip(top.tolist(), probabilities[top].tolist(), probabilities_after[top].tolist(), strict=True)
        ),
    )


def entropy(probabilities: np.ndarray, logarithms: np.ndarray) -> float:
    """Entropy in bits of a distribution given by probabilities and log-probabilities, (V,) each."""
    return -float(probabilities @ np.maximum(logarithms, _LOG_ZERO)) / math.log(2) + 0.0
