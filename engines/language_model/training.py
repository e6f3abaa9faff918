"""Train and evaluate the language models."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from engines.core.files import written_atomically
from engines.core.frames import Frame, Frames
from engines.core.messages import message
from engines.core.preparation import prepared, say
from engines.data.text import split_texts
from engines.language_model.config import (
    EXTENSIBLE,
    STEERABLE,
    TEMPERATURES,
    LanguageTrainingConfig,
    SamplingConfig,
)
from engines.language_model.generation import Generation, generate
from engines.language_model.loss import next_token_loss
from engines.language_model.model import LanguageModel, build_network, read_language_model, save_language_model
from engines.language_model.muon import Muon
from engines.language_model.networks import TransformerConfig
from engines.language_model.scoring import token_losses
from engines.language_model.tokenizers import TOKENISERS, Tokeniser
from engines.nn.compiled_step import compiled_loss, compiled_step
from engines.nn.precision import training_policy
from engines.nn.training_loop import data_hash, epoch_order, train_frames

# Adam's rate for the embedding, as a share of Muon's for the matrices.
ADAM_SHARE = 0.15
# Fewer are no text, but one that another tokeniser would cut into more.
LEAST_TOKENS = 8
# Windows of held-out text that are scored at each interval.
HELD_OUT_WINDOWS = 64
# Of a sample, as in the notes' callback.
SAMPLE_TOKENS = 50


def resolve(config: LanguageTrainingConfig, backbone: None) -> LanguageTrainingConfig:
    """The config with what was left to the model filled in."""
    return config.filled()


@dataclass(frozen=True)
class Windows:
    """A stream of tokens cut into pieces of equal length, each with the tokens that come next.

    Every epoch cuts at other places, where there is enough text, and in another order.

    Attributes:
        stream: (T,) integers.
        block_size: length of a window.
        seed: of the order.
    """

    stream: np.ndarray
    block_size: int
    seed: int

    @property
    def count(self) -> int:
        """Windows of an epoch."""
        whole = (len(self.stream) - self.block_size) // self.block_size
        return whole if whole > 0 else math.ceil((len(self.stream) - 1) / self.block_size)

    def batch(self, size: int, step: int) -> tuple[np.ndarray, np.ndarray]:
        """The windows that a step, from 0, trains on.

        Returns:
            tokens, (size, block_size + 1) int32, and the weights of all but the first, (size, block_size) float32:
            0 for what pads a window because the text ends.
        """
        epoch, position = divmod(step, max(1, self.count // size))
        shift = 0
        if self.count * self.block_size + self.block_size <= len(self.stream):
            shift = int(np.random.default_rng((self.seed, 1, epoch)).integers(self.block_size))
        rows = epoch_order(self.count, epoch, self.seed)[position * size : (position + 1) * size]
        return self.at(rows * self.block_size + shift)

    def at(self, starts: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same for windows that start at given places."""
        places = np.asarray(starts)[:, None] + np.arange(self.block_size + 1)
        there = places < len(self.stream)
        tokens = np.where(there, self.stream[np.where(there, places, 0)], 0).astype(np.int32)
        return tokens, there[:, 1:].astype(np.float32)


class TrainState:
    """A network in training, with its optimiser.

    Attributes:
        network: in training.
        weights: what it learns, in the order of the gradients.
        variables: everything that a step changes.
    """

    def __init__(self, config: LanguageTrainingConfig, shape: TransformerConfig):
        keras.utils.set_random_seed(config.seed)
        policy = training_policy()
        self.network = build_network(shape, policy)
        self.rate = config.learning_rate or 0.0
        self.weights = list(self.network.trainable_variables)
        self.muon = self.rmsprop = None
        if config.optimizer == "muon":
            # The first and the last layer are no maps from activations to activations; Adam suits them better.
            outer = {"embedding", "positions", "last"}
            matrices = [w for w in self.weights if len(w.shape) == 2 and not outer & set(w.path.split("/"))]
            known = {id(matrix) for matrix in matrices}
            others = [w for w in self.weights if id(w) not in known]
            parts = [3 if "joint" in w.path.split("/") else 1 for w in matrices]
            low = "bfloat16" if policy == "mixed_bfloat16" else "float32"
            self.muon = Muon(
                matrices, parts, others, self.rate, ADAM_SHARE * self.rate, low, config.weight_decay or 0.0
            )
            self.weights = [*matrices, *others]
        else:
            self.rmsprop = keras.optimizers.RMSprop(self.rate)
            self.rmsprop.build(self.weights)

    @property
    def variables(self) -> list[Any]:
        optimizer = self.muon or self.rmsprop
        return [*self.network.variables, *(optimizer.variables if optimizer else [])]

    def apply(self, gradients: Sequence[Any], factor: Any) -> None:
        """Take a step with `factor` times the rate."""
        if self.muon:
            self.muon.apply(gradients, factor)
        elif self.rmsprop:
            self.rmsprop.learning_rate.assign(self.rate * factor)
            self.rmsprop.apply(gradients, self.weights)


def losses_of(network: Any, tokens: Any, weights: Any) -> Any:
    """The sum of a network's losses at the tokens of windows, (B, T + 1), with their weights, (B, T)."""
    activations = network.read(tokens[:, :-1])[0]
    flat = ops.reshape(activations, (-1, activations.shape[-1]))
    targets, weights = ops.reshape(tokens[:, 1:], (-1,)), ops.reshape(weights, (-1,))
    return next_token_loss(flat, network.output_layer, targets, weights)


def train_step_of(learner: TrainState, batch: int) -> Callable[..., Any]:
    """One compiled step: tokens (batch, T + 1), weights (batch, T), the rate's factor -> the mean loss in nats."""
    loss = functools.partial(losses_of, learner.network)
    return compiled_step(loss, learner.weights, learner.variables, learner.apply, batch)


def rate_at(step: int, total: int, falling: float) -> float:
    """What share of the rate a step, from 0, has: all of it, and over the last `falling` of the steps linearly less
    (Hu et al. 2024, "MiniCPM", section 4)."""
    return min(1.0, (total - step) / (total * falling)) if falling else 1.0


def train(
    config: LanguageTrainingConfig, data: Path, checkpoint: Path | None, output: Path | None
) -> Frames[LanguageTrainingConfig]:
    """Train, yielding a frame every interval; write `output` when done.

    While it runs, `rate_factor` and `prompt` may be changed. Metrics over the interval: `loss`, in nats a token,
    `perplexity` (of held-out text, a token), `bits_per_character` (of the same) and `tokens_per_second`. What is
    written: samples at `TEMPERATURES`, always from the same noise.

    Raises:
        ValueError: data missing or damaged, a checkpoint of another training, or a training that diverged.
    """
    config = config.filled()
    yield from _trained(config, read_texts(config, data), checkpoint, output)


@dataclass(frozen=True)
class TokenisedTexts:
    """Texts as a training reads them, (T,) integers each.

    Attributes:
        characters: how many those held out have.
        hash: of the training texts, by `data_hash`.
        left_out: sentences of the files that could not be read.
    """

    tokeniser: Tokeniser
    train: np.ndarray
    held_out: np.ndarray
    characters: int
    hash: str
    left_out: tuple[str, ...] = ()


def read_texts(config: LanguageTrainingConfig, data: Path) -> TokenisedTexts:
    """The texts for a config that is filled in, and the tokeniser that suits them.

    Raises:
        ValueError: nothing there that can be used, or too little.
    """
    texts = split_texts(data)
    say(message("learning the vocabulary"))
    tokeniser = TOKENISERS[config.tokeniser or ""].train(texts.train, config.vocab_size or 0)
    say(message("cutting the texts up"))
    train, held_out = (compact(tokeniser.stream(some), tokeniser.vocab_size) for some in (texts.train, texts.held_out))
    if len(train) < LEAST_TOKENS:
        raise ValueError(
            message(
                "{data} makes only {count} tokens to train on and at least {least} are needed; "
                "use more text, or cut it into characters.",
                data=data.name,
                count=len(train),
                least=LEAST_TOKENS,
            )
        )
    characters = sum(map(len, texts.held_out))
    return TokenisedTexts(tokeniser, train, held_out, characters, data_hash(train), texts.left_out)


def _steered(config: LanguageTrainingConfig, changed: LanguageTrainingConfig) -> LanguageTrainingConfig:
    """The config with what may be moved while it runs as a changed one has it."""
    return dataclasses.replace(config, **{name: getattr(changed, name) for name in STEERABLE})


def _trained(
    config: LanguageTrainingConfig, texts: TokenisedTexts, checkpoint: Path | None, output: Path | None
) -> Frames[LanguageTrainingConfig]:
    """`train` on texts that are read already, with a config that is filled in."""
    tokeniser = texts.tokeniser
    # A text that is shorter than what the network sees at most is one window, of its own length.
    windows = Windows(texts.train, min(config.block_size or 0, len(texts.train) - 1), config.seed)
    shape = TransformerConfig(
        architecture=config.model,
        vocab_size=tokeniser.vocab_size,
        **{name: getattr(config, name) for name in ("block_size", "embed_dim", "num_layers", "num_heads", "dense_dim")},
    )
    batch = min(max(1, (config.batch_tokens or 0) // windows.block_size), windows.count)
    total = max(1, config.tokens // (batch * windows.block_size))
    learner = TrainState(config, shape)
    update = train_step_of(learner, batch)
    score = held_out_scores(learner.network, texts, config.block_size or 0)
    model = LanguageModel(learner.network, tokeniser, batch * total * windows.block_size)

    def train_step(step: int) -> dict[str, Any]:
        tokens, weights = windows.batch(batch, step)
        factor = config.rate_factor * rate_at(step, total, config.falling or 0.0)
        return {"loss": update(tokens, weights, factor)}

    # What may be moved while it runs may be another when it goes on.
    free = (*STEERABLE, *EXTENSIBLE)
    settings = {name: value for name, value in dataclasses.asdict(config).items() if name not in free}
    settings["data"] = texts.hash
    steps = train_frames(
        variables=learner.variables,
        train_step=train_step,
        total=total,
        interval=config.interval,
        settings=settings,
        checkpoint=checkpoint,
        monitor=lambda _: (None, score()),
        notices=texts.left_out,
    )
    there = False
    for frame in steps:
        there = True
        metrics = dict(frame.metrics)
        metrics["tokens_per_second"] = metrics.pop("steps_per_second") * batch * windows.block_size
        written, text = samples(model, config.prompt)
        changed = yield dataclasses.replace(frame, metrics=metrics, written=written, text=text)
        if changed is not None:
            config = _steered(config, changed)
    if not there:  # it was finished before
        written, text = samples(model, config.prompt)
        yield Frame(step=total, total=total, metrics=score(), written=written, text=text)
    if output:
        with written_atomically(output) as file:
            save_language_model(file, model)


def samples(model: LanguageModel, prompt: str) -> tuple[tuple[Generation, ...], str]:
    """What a model writes at each of `TEMPERATURES`, and all of it as one text; nothing on JAX, where it cannot."""
    if keras.config.backend() != "tensorflow":
        return (), ""
    config = SamplingConfig(tokens=SAMPLE_TOKENS, temperatures=TEMPERATURES)
    *_, last = generate(prompt, config, model)
    return last.written, last.text


def compact(tokens: np.ndarray, vocab_size: int) -> np.ndarray:
    """The same tokens in half the memory, where there are not too many different ones."""
    return tokens.astype(np.uint16) if vocab_size <= 1 << 16 else tokens


def held_out_scores(network: Any, texts: TokenisedTexts, block_size: int) -> Callable[[], dict[str, float]]:
    """What scores a network in training on some windows spread over the held-out texts."""
    windows = Windows(texts.held_out, block_size, 0)
    last = max(0, len(windows.stream) - 1 - block_size)
    count = min(HELD_OUT_WINDOWS, max(1, last // block_size))
    chosen, there = windows.at(np.linspace(0, last, count).astype(np.int64))
    total_loss = compiled_loss(functools.partial(losses_of, network), network.variables, count)
    tokens_per_character = (len(windows.stream) - 1) / texts.characters

    def scores() -> dict[str, float]:
        mean = float(total_loss(chosen, there)) / float(there.sum())
        bits = mean / math.log(2) * tokens_per_character
        return {"perplexity": math.exp(min(mean, 50.0)), "bits_per_character": bits}

    return scores


def training(
    config: LanguageTrainingConfig,
    backbone: None,
    *,
    data: Path,
    checkpoint: Path | None = None,
    output: Path | None = None,
) -> Frames[LanguageTrainingConfig]:
    """`train` as a job: stopped while it reads or between steps, going on from its checkpoint when started again."""
    config = config.filled()
    texts, changed = yield from prepared(lambda: read_texts(config, data), message("reading the texts"))
    yield from _trained(config if changed is None else _steered(config, changed), texts, checkpoint, output)


def evaluate(weights: dict[str, Path], data: Path) -> dict[str, float]:
    """Score trained weights on all of the held-out texts.

    Args:
        weights: files as `train` wrote them, by name: "ours", "notes", "notes_words" …

    Returns:
        `perplexity`, a token, and `bits_per_character` of ours, with the ends of the texts counted as tokens but not as
        characters; the same of others with `_` and their name; how many tokens each was trained on;
        `perplexity_ratio_to_notes`, ours over the book's; and of what has no token for every word `unknown_share`, how
        many of its tokens stand for one that it does not know.
    """
    texts = split_texts(data)
    characters = sum(map(len, texts.held_out))
    found: dict[str, float] = {}
    for name, path in weights.items():
        model = read_language_model(path)
        stream = model.tokeniser.stream(texts.held_out)
        losses = token_losses(model.network, stream)
        ending = "" if name == "ours" else f"_{name}"
        found[f"perplexity{ending}"] = float(np.exp(losses.mean()))
        found[f"bits_per_character{ending}"] = float(losses.sum() / math.log(2) / characters)
        if model.tokeniser.unknown is not None:
            found[f"unknown_share{ending}"] = float((stream == model.tokeniser.unknown).mean())
        found[f"tokens_{name}"] = model.seen
    if {"perplexity", "perplexity_notes"} <= set(found):
        found["perplexity_ratio_to_notes"] = found["perplexity"] / found["perplexity_notes"]
    return found
