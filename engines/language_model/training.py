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

from engines.core.configs import with_fields_of
from engines.core.files import written_atomically
from engines.core.frames import Frame, Frames
from engines.core.messages import message
from engines.core.preparation import prepare, set_note
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
from engines.language_model.networks import TransformerConfig
from engines.language_model.scoring import token_losses
from engines.language_model.tokenizers import TOKENISERS, Tokeniser
from engines.nn.compiled_step import compiled_loss, compiled_step
from engines.nn.muon import Muon
from engines.nn.precision import training_policy
from engines.nn.training_loop import data_hash, epoch_order, train_frames
from engines.weights.store import WeightsStore

# Adam's learning rate for the embedding, relative to Muon's for the matrices.
ADAM_RATE_RATIO = 0.15
# A text with fewer tokens needs a finer tokeniser.
MIN_TOKENS = 8
# Windows of held-out text to score at each interval.
HELD_OUT_WINDOWS = 64
# Length of a sample, as in the book's callback.
SAMPLE_TOKENS = 50


def resolve(config: LanguageTrainingConfig, backbone: None) -> LanguageTrainingConfig:
    """Fill in the model's defaults."""
    return config.filled()


@dataclass(frozen=True)
class Windows:
    """Windows of equal length over a stream of tokens, with next-token targets.

    Each epoch shuffles them and, if the text is long enough, shifts their boundaries.

    Attributes:
        stream: (T,) integers.
        block_size: length of a window.
        seed: seed of shifts and order.
    """

    stream: np.ndarray
    block_size: int
    seed: int

    @property
    def count(self) -> int:
        """Number of windows in an epoch."""
        full = (len(self.stream) - self.block_size) // self.block_size
        return full if full > 0 else math.ceil((len(self.stream) - 1) / self.block_size)

    def batch(self, size: int, step: int) -> tuple[np.ndarray, np.ndarray]:
        """The windows of step `step`, from 0.

        Returns:
            tokens, (size, block_size + 1) int32, and weights of all but the first token, (size, block_size) float32: 0
            for padding, else 1.
        """
        epoch, position = divmod(step, max(1, self.count // size))
        shift = 0
        if self.count * self.block_size + self.block_size <= len(self.stream):
            shift = int(np.random.default_rng((self.seed, 1, epoch)).integers(self.block_size))
        rows = epoch_order(self.count, epoch, self.seed)[position * size : (position + 1) * size]
        return self.at(rows * self.block_size + shift)

    def at(self, starts: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Like `batch`, for windows with the given start positions."""
        positions = np.asarray(starts)[:, None] + np.arange(self.block_size + 1)
        valid = positions < len(self.stream)
        tokens = np.where(valid, self.stream[np.where(valid, positions, 0)], 0).astype(np.int32)
        return tokens, valid[:, 1:].astype(np.float32)


class TrainState:
    """A network in training and its optimizer.

    Attributes:
        network: the network.
        rate: the learning rate.
        weights: trainable weights, in the order of the gradients.
        muon, rmsprop: the optimizer; the other is None.
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
            # Muon is for hidden layers; Adam suits embeddings and the output layer better.
            outer_layers = {"embedding", "positions", "last"}
            matrices = [w for w in self.weights if len(w.shape) == 2 and not outer_layers & set(w.path.split("/"))]
            matrix_ids = {id(matrix) for matrix in matrices}
            others = [w for w in self.weights if id(w) not in matrix_ids]
            parts = [3 if "qkv" in w.path.split("/") else 1 for w in matrices]
            compute_dtype = "bfloat16" if policy == "mixed_bfloat16" else "float32"
            self.muon = Muon(
                matrices,
                parts,
                others,
                self.rate,
                ADAM_RATE_RATIO * self.rate,
                compute_dtype,
                config.weight_decay or 0.0,
            )
            self.weights = self.muon.weights
        else:
            self.rmsprop = keras.optimizers.RMSprop(self.rate)
            self.rmsprop.build(self.weights)

    @property
    def variables(self) -> list[Any]:
        optimizer = self.muon or self.rmsprop
        return [*self.network.variables, *(optimizer.variables if optimizer else [])]

    def apply(self, gradients: Sequence[Any], factor: Any) -> None:
        """Do one step, with `factor` times the learning rate."""
        if self.muon:
            self.muon.apply(gradients, factor)
        elif self.rmsprop:
            self.rmsprop.learning_rate.assign(self.rate * factor)
            self.rmsprop.apply(gradients, self.weights)


def architecture_of(config: LanguageTrainingConfig, vocab_size: int) -> TransformerConfig:
    """The architecture that a filled-in config trains."""
    sizes = ("block_size", "embed_dim", "num_layers", "num_heads", "dense_dim")
    return TransformerConfig(
        architecture=config.model, vocab_size=vocab_size, **{name: getattr(config, name) for name in sizes}
    )


def summed_loss(network: Any, tokens: Any, weights: Any) -> Any:
    """Weighted sum of next-token losses over windows: tokens, (B, T + 1), and weights, (B, T) -> scalar in nats."""
    activations = network.forward(tokens[:, :-1])[0]
    flat = ops.reshape(activations, (-1, activations.shape[-1]))
    targets, weights = ops.reshape(tokens[:, 1:], (-1,)), ops.reshape(weights, (-1,))
    return next_token_loss(flat, network.output_layer, targets, weights)


def make_train_step(state: TrainState, batch: int) -> Callable[..., Any]:
    """Compile a training step: tokens, (batch, T + 1), weights, (batch, T), rate factor -> mean loss in nats."""
    loss = functools.partial(summed_loss, state.network)
    return compiled_step(loss, state.weights, state.variables, state.apply, batch)


def rate_schedule(step: int, total: int, falling: float) -> float:
    """Learning rate factor at a step, from 0: 1, then linear decay over the last share `falling` of the steps (Hu et
    al. 2024, "MiniCPM", section 4)."""
    return min(1.0, (total - step) / (total * falling)) if falling else 1.0


def train(
    config: LanguageTrainingConfig, data: Path, checkpoint: Path | None, output: Path | None
) -> Frames[LanguageTrainingConfig]:
    """Train, yielding a frame every `interval` steps, and write `output` at the end.

    `rate_factor` and `prompt` can be steered. Metrics: `loss` in nats per token and `tokens_per_second` over the
    interval; `perplexity` per token and `bits_per_character` on held-out text. `written` holds samples at
    `TEMPERATURES`, always from the same noise.

    Raises:
        ValueError: the data is missing or damaged, the checkpoint is of another training, or the training diverged.
    """
    config = config.filled()
    yield from _train_on(config, read_texts(config, data), checkpoint, output)


@dataclass(frozen=True)
class TokenisedTexts:
    """Encoded texts for a training.

    Attributes:
        tokeniser: trained on the training texts.
        train, held_out: (T,) integers each.
        characters: number of held-out characters.
        hash: `data_hash` of the training tokens.
        left_out: a sentence for each file that could not be read.
    """

    tokeniser: Tokeniser
    train: np.ndarray
    held_out: np.ndarray
    characters: int
    hash: str
    left_out: tuple[str, ...] = ()


def read_texts(config: LanguageTrainingConfig, data: Path) -> TokenisedTexts:
    """Read and encode the texts for a filled-in config, and train the tokeniser.

    Raises:
        ValueError: no usable texts, or too little text.
    """
    texts = split_texts(data)
    set_note(message("building the vocabulary"))
    tokeniser = TOKENISERS[config.tokeniser or ""].train(texts.train, config.vocab_size or 0)
    set_note(message("tokenising the texts"))
    train, held_out = (compact(tokeniser.stream(part), tokeniser.vocab_size) for part in (texts.train, texts.held_out))
    if len(train) < MIN_TOKENS:
        raise ValueError(
            message(
                "{data} has only {count} training tokens; at least {least} are needed; use more "
                "text, or split it into characters.",
                data=data.name,
                count=len(train),
                least=MIN_TOKENS,
            )
        )
    characters = sum(map(len, texts.held_out))
    return TokenisedTexts(tokeniser, train, held_out, characters, data_hash(train), texts.left_out)


def _train_on(
    config: LanguageTrainingConfig, texts: TokenisedTexts, checkpoint: Path | None, output: Path | None
) -> Frames[LanguageTrainingConfig]:
    """`train` with a filled-in config, on texts already in memory."""
    tokeniser = texts.tokeniser
    # A text shorter than the context is a single window of its own length.
    windows = Windows(texts.train, min(config.block_size or 0, len(texts.train) - 1), config.seed)
    shape = architecture_of(config, tokeniser.vocab_size)
    batch = min(max(1, (config.batch_tokens or 0) // windows.block_size), windows.count)
    total = max(1, config.tokens // (batch * windows.block_size))
    state = TrainState(config, shape)
    update = make_train_step(state, batch)
    score = held_out_scorer(state.network, texts, config.block_size or 0)
    model = LanguageModel(state.network, tokeniser, batch * total * windows.block_size)

    def train_step(step: int) -> dict[str, Any]:
        tokens, weights = windows.batch(batch, step)
        factor = config.rate_factor * rate_schedule(step, total, config.falling or 0.0)
        return {"loss": update(tokens, weights, factor)}

    # Steerable settings may differ when a training resumes.
    unchecked = (*STEERABLE, *EXTENSIBLE)
    settings = {name: value for name, value in dataclasses.asdict(config).items() if name not in unchecked}
    settings["data"] = texts.hash
    steps = train_frames(
        variables=state.variables,
        train_step=train_step,
        total=total,
        interval=config.interval,
        settings=settings,
        checkpoint=checkpoint,
        monitor=lambda _: (None, score()),
        notices=texts.left_out,
    )
    trained = False
    for frame in steps:
        trained = True
        metrics = dict(frame.metrics)
        metrics["tokens_per_second"] = metrics.pop("steps_per_second") * batch * windows.block_size
        written, text = samples(model, config.prompt)
        changed = yield dataclasses.replace(frame, metrics=metrics, written=written, text=text)
        if changed is not None:
            config = with_fields_of(config, changed, STEERABLE)
    if not trained:  # the checkpoint was already complete
        written, text = samples(model, config.prompt)
        yield Frame(step=total, total=total, metrics=score(), written=written, text=text)
    if output:
        with written_atomically(output) as file:
            save_language_model(file, model)


def samples(model: LanguageModel, prompt: str) -> tuple[tuple[Generation, ...], str]:
    """Samples at each of `TEMPERATURES`, and all of them as one text. Empty on JAX, where generation is unsupported."""
    if keras.config.backend() != "tensorflow":
        return (), ""
    config = SamplingConfig(tokens=SAMPLE_TOKENS, temperatures=TEMPERATURES)
    *_, last = generate(prompt, config, model)
    return last.written, last.text


def compact(tokens: np.ndarray, vocab_size: int) -> np.ndarray:
    """Convert tokens to uint16, which halves their memory, if the vocabulary is small enough."""
    return tokens.astype(np.uint16) if vocab_size <= 1 << 16 else tokens


def held_out_scorer(network: Any, texts: TokenisedTexts, block_size: int) -> Callable[[], dict[str, float]]:
    """A function that scores a network in training on windows spread evenly over the held-out texts."""
    windows = Windows(texts.held_out, block_size, 0)
    last = max(0, len(windows.stream) - 1 - block_size)
    count = min(HELD_OUT_WINDOWS, max(1, last // block_size))
    tokens, valid = windows.at(np.linspace(0, last, count).astype(np.int64))
    total_loss = compiled_loss(functools.partial(summed_loss, network), network.variables, count)
    tokens_per_character = (len(windows.stream) - 1) / texts.characters

    def scores() -> dict[str, float]:
        mean = float(total_loss(tokens, valid)) / float(valid.sum())
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
    """Run `train` as a job: it can be stopped while reading data or between steps, and resumes from its checkpoint."""
    config = config.filled()
    texts, changed = yield from prepare(lambda: read_texts(config, data), message("reading the texts"))
    if changed is not None:
        config = with_fields_of(config, changed, STEERABLE)
    yield from _train_on(config, texts, checkpoint, output)


def evaluate(weights: dict[str, Path], data: Path, store: WeightsStore | None = None) -> dict[str, float]:
    """Score trained weights on all held-out texts.

    Args:
        weights: files as `train` wrote them, by name: "ours", "notes", "notes_words" …
        store: not needed here, only by trainings whose score takes a pretrained network.

    Returns:
        `perplexity` per token and `bits_per_character` of ours, counting END as a token but not as a character; the
        same for the others with `_{name}` appended; `tokens_{name}`, the number of tokens each was trained on;
        `perplexity_ratio_to_notes`, ours over the book's; and for tokenisers with an unknown token `unknown_share`, its
        share of the tokens.
    """
    texts = split_texts(data)
    characters = sum(map(len, texts.held_out))
    results: dict[str, float] = {}
    for name, path in weights.items():
        model = read_language_model(path)
        stream = model.tokeniser.stream(texts.held_out)
        losses = token_losses(model.network, stream)
        suffix = "" if name == "ours" else f"_{name}"
        results[f"perplexity{suffix}"] = float(np.exp(losses.mean()))
        results[f"bits_per_character{suffix}"] = float(losses.sum() / math.log(2) / characters)
        if model.tokeniser.unknown is not None:
            results[f"unknown_share{suffix}"] = float((stream == model.tokeniser.unknown).mean())
        results[f"tokens_{name}"] = model.seen
    if {"perplexity", "perplexity_notes"} <= set(results):
        results["perplexity_ratio_to_notes"] = results["perplexity"] / results["perplexity_notes"]
    return results
