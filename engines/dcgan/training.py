"""Train and evaluate the DCGAN."""

from __future__ import annotations

import dataclasses
import functools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from engines.core.files import written_atomically
from engines.core.frames import Frame, Frames
from engines.core.messages import message
from engines.core.preparation import prepared
from engines.data.images import SplitPictures, split_pictures
from engines.dcgan.augmentation import augmented
from engines.dcgan.config import GROUP, STEERABLE, DCGANTrainingConfig
from engines.dcgan.kid import features, kernel_distance
from engines.dcgan.model import GAN, gan_of_networks, principal_directions, read_gan, save_gan
from engines.dcgan.networks import ARCHITECTURES
from engines.nn.data_parallel import mean_of, shards_of
from engines.nn.layers import SteerableDropout
from engines.nn.precision import training_policy
from engines.nn.training_loop import batch_indices, data_hash, load_checkpoint, train_frames, unkept
from engines.weights.store import WeightsStore

# The pictures that a training shows: always from the same noise, so that one sees them change.
SHOWN = 64
# Over the last part of a training the rates fall to nothing: what is left of the noise in the weights is averaged out.
FALLING = 0.25
# A critic that tells nearly all pictures apart gives no gradient; one that is fooled by nearly all has nothing to say.
CRITIC_WINS, GENERATOR_WINS = 0.985, 0.03
# Below this share of the most varied pictures so far, the generator has fallen upon a few.
COLLAPSED = 0.5
# Share of a training in which one side may win: at first there is nothing to see that looks like a picture.
BEGINNING = 0.05


def resolve(config: DCGANTrainingConfig, backbone: None) -> DCGANTrainingConfig:
    """The config with what was left to the model filled in."""
    return config.filled()


def read_pictures(data: Path, side: int) -> SplitPictures:
    """`split_pictures`, if there is something to be learnt from them.

    Raises:
        ValueError: nothing there that can be used, too few pictures, or nothing but one picture again and again.
    """
    pictures = split_pictures(data, side)
    if (pictures.train == pictures.train[:1]).all():
        raise ValueError(
            message("All pictures in {data} are the same one; there is nothing to learn from it.", data=data.name)
        )
    return pictures


def hinge(real: Any, fake: Any) -> tuple[Any, Any]:
    """The critic's and the generator's loss (Lim & Ye 2017; Miyato et al. 2018), from what the critic says of real and
    of drawn pictures, (B, 1) each, larger for realer."""
    d_loss = tf.reduce_mean(tf.nn.relu(1 - real)) + tf.reduce_mean(tf.nn.relu(1 + fake))
    return d_loss, -tf.reduce_mean(fake)


def noisy_labels(real: Any, fake: Any, noise: Any) -> tuple[Any, Any]:
    """The same by Chollet's listing, section 12.5: cross-entropy to labels 1 for drawn and 0 for real pictures, which
    is the reverse of the paper's, both raised by up to 0.05. The generator is trained towards "real".

    Args:
        real, fake: logits, (B, 1) each, larger for what seems drawn.
        noise: (2, B, 1) in [0, 1].
    """
    labels = tf.stack([tf.ones_like(fake), tf.zeros_like(real)]) + 0.05 * noise
    d_loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, tf.stack([fake, real])))
    return d_loss, tf.reduce_mean(tf.nn.softplus(fake))


class TrainState:
    """The networks in training, with all that a step changes.

    Attributes:
        generator, critic: in training.
        averaged: the generator whose weights are the moving average of the other's; the same where there is none.
        dropouts, spectral: layers of the critic to which something is done before each step.
        most_varied: the largest diversity so far.
        variables: everything that a step changes, in an order that depends on the architecture alone.
    """

    def __init__(self, config: DCGANTrainingConfig):
        architecture = ARCHITECTURES[config.model]
        keras.utils.set_random_seed(config.seed)
        keras.config.set_dtype_policy(training_policy())
        try:
            self.generator, self.critic = architecture.build_generator(), architecture.build_critic()
        finally:
            keras.config.set_dtype_policy("float32")
        self.averaged = self.generator
        if config.averaging:
            self.averaged = architecture.build_generator()
            self.averaged.set_weights(self.generator.get_weights())
        decays = {"beta_1": 0.0, "beta_2": 0.99} if config.objective == "hinge" else {}
        self.g_optimizer = keras.optimizers.Adam(config.g_learning_rate, **decays)
        self.d_optimizer = keras.optimizers.Adam(config.d_learning_rate, **decays)
        self.g_optimizer.build(self.generator.trainable_variables)
        self.d_optimizer.build(self.critic.trainable_variables)
        self.dropouts = [layer for layer in self.critic.layers if isinstance(layer, SteerableDropout)]
        self.spectral = [layer for layer in self.critic.layers if hasattr(layer, "iterate")]
        self.most_varied = tf.Variable(0.0)

    @property
    def variables(self) -> list[Any]:
        averaged = [] if self.averaged is self.generator else self.averaged.variables
        optimizers = [*self.g_optimizer.variables, *self.d_optimizer.variables]
        return [*self.generator.variables, *averaged, *self.critic.variables, *optimizers, self.most_varied]


def train_step_of(networks: TrainState, config: DCGANTrainingConfig, total: int) -> Callable[..., dict[str, Any]]:
    """One compiled step: pictures, (B, H, W, 3) uint8, the step's number, the critic's rate and dropout -> its metrics.

    The hinge step trains critic and generator on the same drawn pictures, which saves drawing others; the book's draws
    new ones for the generator.
    """
    generator, critic = networks.generator, networks.critic
    g_weights, d_weights = generator.trainable_variables, critic.trainable_variables
    realness = ARCHITECTURES[config.model].realness
    by_the_book = config.objective == "noisy labels"
    # A shard has whole groups of the pictures that the critic compares.
    shards = shards_of(config.batch_size // GROUP)
    size, latent_dim = config.batch_size // shards, generator.input_shape[-1]

    def judged(images: Any, seed: Any) -> Any:
        return tf.cast(critic(augmented(images, seed, config.augmentation or "none"), training=True), tf.float32)

    def losses(real: Any, fake: Any, seed: Any) -> tuple[Any, Any]:
        real, fake = realness * real, realness * fake
        if by_the_book:
            return noisy_labels(-real, -fake, tf.random.stateless_uniform((2, size, 1), seed))
        return hinge(real, fake)

    def critics_part(images: Any, fakes: Any, seed: Any) -> tuple[dict[str, Any], list[Any]]:
        with tf.GradientTape() as tape:
            real, fake = tf.split(judged(tf.concat([images, fakes], axis=0), seed), 2)
            d_loss, _ = losses(real, fake, seed + 7)
        accuracy = {
            "real_accuracy": tf.reduce_mean(tf.cast(realness * real > 0, tf.float32)),
            "fake_accuracy": tf.reduce_mean(tf.cast(realness * fake < 0, tf.float32)),
        }
        return {"d_loss": d_loss, **accuracy}, tape.gradient(d_loss, d_weights)

    @tf.function(autograph=False)
    def train_step(images: Any, step: Any, d_rate: Any, dropout: Any) -> dict[str, Any]:
        # Constant, and then linearly to nothing.
        left = 1 - tf.cast(step, tf.float32) / total
        share = tf.minimum(1.0, left / FALLING) if not by_the_book else 1.0
        networks.g_optimizer.learning_rate.assign((config.g_learning_rate or 0.0) * share)
        networks.d_optimizer.learning_rate.assign(d_rate * share)
        for layer in networks.dropouts:
            layer.rate.assign(dropout)
        for layer in networks.spectral:
            layer.iterate()
        real = tf.split(tf.cast(images, tf.float32) / 255, shards)
        noise = tf.random.stateless_normal((2, config.batch_size, latent_dim), (config.seed, step))
        firsts, seconds = (tf.split(rows, shards) for rows in (noise[0], noise[1] if by_the_book else noise[0]))
        seeds = [tf.stack([step, 100 * shard]) for shard in range(shards)]

        tapes = [tf.GradientTape() for _ in range(shards)]
        drawn = []
        for tape, z in zip(tapes, seconds, strict=True):
            with tape:
                drawn.append(generator(z, training=True))
        shown = [generator(z, training=True) for z in firsts] if by_the_book else drawn
        terms, slopes = zip(
            *(critics_part(*one) for one in zip(real, map(tf.stop_gradient, shown), seeds, strict=True)), strict=True
        )
        networks.d_optimizer.apply([mean_of(list(one)) for one in zip(*slopes, strict=True)], d_weights)

        g_losses, g_slopes = [], []
        for tape, fakes, seed in zip(tapes, drawn, seeds, strict=True):
            with tape:
                fake = judged(fakes, seed + 3)
                g_loss = losses(fake, fake, seed)[1]
            g_losses.append(g_loss)
            g_slopes.append(tape.gradient(g_loss, g_weights))
        networks.g_optimizer.apply([mean_of(list(one)) for one in zip(*g_slopes, strict=True)], g_weights)

        if networks.averaged is not generator:
            # Early weights are worth little: the average reaches back over a tenth of the steps at first.
            count = tf.cast(step, tf.float32)
            kept = tf.minimum(config.averaging, (1 + count) / (10 + count))
            for average, value in zip(networks.averaged.variables, generator.variables, strict=True):
                average.assign(average.value + (1 - kept) * (value.value - average.value))
        return {name: mean_of([one[name] for one in terms]) for name in terms[0]} | {"g_loss": mean_of(g_losses)}

    return train_step


def diversity(pictures: np.ndarray) -> float:
    """How unlike pictures are, (N, H, W, C) uint8: the mean over all pairs of the root mean squared difference of their
    pixels, in [0, 1]."""
    rows = pictures.reshape(len(pictures), -1).astype(np.float64) / 255
    squares = (rows**2).sum(1)
    products = rows @ rows.T
    distances = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * products, 0) / rows.shape[1])
    return float(distances.sum() / (len(rows) * (len(rows) - 1)))


def alarm(frame: Frame, most_varied: float) -> str:
    """What has gone wrong with a training, with a remedy, in words; nothing where all is well, or it has just begun.

    Args:
        frame: with the metrics of `train`.
        most_varied: the largest diversity so far.
    """
    real, fake = frame.metrics["real_accuracy"], frame.metrics["fake_accuracy"]
    if frame.metrics["diversity"] < COLLAPSED * most_varied:
        return message("alarm: the pictures grow alike; go back, and lower the critic's rate or hide more from it")
    if frame.progress < BEGINNING:
        return ""
    if min(real, fake) > CRITIC_WINS:
        return message("alarm: the critic tells all pictures apart; lower its rate, or hide more from it")
    if fake < GENERATOR_WINS:
        return message("alarm: the critic is fooled by all that is drawn; raise its rate")
    return ""


def train(
    config: DCGANTrainingConfig, data: Path, checkpoint: Path | None, output: Path | None
) -> Frames[DCGANTrainingConfig]:
    """Train, yielding a frame every interval; write `output` when done.

    While it runs, `d_learning_rate` and `dropout` may be changed, and one more of `rollbacks` puts networks and
    optimisers back to the last frame without an alarm; the count of the steps goes on.

    Metrics over the interval: `d_loss`, `g_loss`, `real_accuracy` and `fake_accuracy` (what share of either the
    critic tells right), `diversity` of what is drawn, as a share of that of the real pictures. The picture: what is
    drawn from the same noise as in all other frames. The note: an alarm, or nothing.

    Raises:
        ValueError: data missing or damaged, a checkpoint of another training, or a training that diverged.
    """
    yield from _trained(config.filled(), *_hashed_pictures(config, data), checkpoint, output)


def _hashed_pictures(config: DCGANTrainingConfig, data: Path) -> tuple[SplitPictures, str]:
    """The pictures for a model, and the hash of those that it learns from."""
    pictures = read_pictures(data, ARCHITECTURES[config.model].shape[0])
    return pictures, data_hash(pictures.train)


def _steered(config: DCGANTrainingConfig, changed: DCGANTrainingConfig) -> DCGANTrainingConfig:
    """The config with what may be moved while it runs as a changed one has it."""
    changed = changed.filled()
    return dataclasses.replace(config, **{name: getattr(changed, name) for name in STEERABLE})


def _trained(
    config: DCGANTrainingConfig,
    pictures: SplitPictures,
    pictures_hash: str,
    checkpoint: Path | None,
    output: Path | None,
) -> Frames[DCGANTrainingConfig]:
    """`train` on pictures that are read already, with a config that is filled in."""
    if len(pictures.train) < config.batch_size:
        config = dataclasses.replace(config, batch_size=len(pictures.train) // GROUP * GROUP)
    total = max(1, config.images // config.batch_size)
    networks = TrainState(config)
    update = train_step_of(networks, config, total)
    shown = gan_of_networks(config.model, networks.averaged, networks.critic)
    noise = np.random.default_rng(config.seed).standard_normal((SHOWN, shown.latent_dim)).astype(np.float32)
    variety_of_real = diversity(pictures.train[batch_indices(len(pictures.train), min(SHOWN, config.batch_size), 0, 0)])

    def train_step(step: int) -> dict[str, Any]:
        rows = np.sort(batch_indices(len(pictures.train), config.batch_size, step, config.seed))
        images = pictures.train[rows]
        if config.mirrored:
            turned = np.random.default_rng((config.seed, 1, step)).random(len(rows)) < 0.5
            images = np.where(turned[:, None, None, None], images[:, :, ::-1], images)
        steered = (tf.constant(value, tf.float32) for value in (config.d_learning_rate, config.dropout))
        return update(tf.constant(images), tf.constant(step, tf.int32), *steered)

    def monitor(_: int) -> tuple[np.ndarray, dict[str, float]]:
        drawn = shown.decode(noise)
        varied = diversity(drawn) / max(variety_of_real, 1e-6)
        networks.most_varied.assign(max(varied, float(networks.most_varied)))
        return contact_sheet(drawn), {"diversity": varied}

    # What may be moved while it runs may be another when it goes on.
    settings = {name: value for name, value in dataclasses.asdict(config).items() if name not in STEERABLE}
    settings["data"] = pictures_hash
    variables = networks.variables
    good = checkpoint.with_name(f"{checkpoint.stem}-good{checkpoint.suffix}") if checkpoint else None
    steps = train_frames(
        variables=variables,
        train_step=train_step,
        total=total,
        interval=config.interval,
        settings=settings,
        checkpoint=checkpoint,
        monitor=monitor,
        notices=pictures.left_out,
    )
    there = False
    for frame in steps:
        there = True
        wrong = alarm(frame, float(networks.most_varied))
        unwritten = frame.note
        if good and checkpoint and not unwritten and (not wrong or not good.exists()):
            unwritten = unkept(functools.partial(_copy, checkpoint, good))
        changed = yield dataclasses.replace(frame, note=wrong or unwritten)
        if changed is not None:
            if changed.rollbacks > config.rollbacks and good and good.exists():
                load_checkpoint(good, variables, settings)
            config = _steered(config, changed)
    if not there:  # it was finished before
        image, metrics = monitor(total)
        yield Frame(step=total, total=total, image=image, metrics=metrics)
    if output:
        finished = finish(shown, pictures.held_out, total * config.batch_size)
        with written_atomically(output) as file:
            save_gan(file, finished)


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as original, written_atomically(target) as copy:
        shutil.copyfileobj(original, copy)


def finish(gan: GAN, held_out: np.ndarray, seen: int) -> GAN:
    """A trained pair with what goes with it: principal directions, and what its critic says of held-out pictures."""
    yardstick = np.percentile(gan.verdicts(held_out), np.arange(101)).astype(np.float32)
    return dataclasses.replace(gan, principal=principal_directions(gan), yardstick=yardstick, seen=seen)


def training(
    config: DCGANTrainingConfig,
    backbone: None,
    *,
    data: Path,
    checkpoint: Path | None = None,
    output: Path | None = None,
) -> Frames[DCGANTrainingConfig]:
    """`train` as a job: stopped while it reads or between steps, going on from its checkpoint when started again."""
    found, changed = yield from prepared(lambda: _hashed_pictures(config, data), message("reading the pictures"))
    config = _steered(config.filled(), config if changed is None else changed)
    yield from _trained(config, *found, checkpoint, output)


def contact_sheet(pictures: np.ndarray) -> np.ndarray:
    """(64, H, W, 3) uint8 -> (8 H, 8 W, 3): in rows of eight."""
    count, height, width, channels = pictures.shape
    cells = pictures.reshape(count // 8, 8, height, width, channels)
    return cells.transpose(0, 2, 1, 3, 4).reshape(count // 8 * height, 8 * width, channels)


def evaluate(weights: dict[str, Path], data: Path, store: WeightsStore) -> dict[str, float]:
    """Score shipped weights: the kernel distance of 2,000 drawn pictures from the 2,000 that were held out.

    Args:
        weights: files by model, as `train` wrote them.
        store: where InceptionV3's weights are.

    Returns:
        `kid` of ours and `kid_notes` of the book's; `kid_real`: of training pictures from the held-out ones, as the
        floor; `kid_ratio_to_notes`; and how many pictures either was shown.
    """
    pictures = read_pictures(data, 64)
    held_out = features(pictures.held_out, store)
    rng = np.random.default_rng(0)
    some = pictures.train[np.sort(rng.choice(len(pictures.train), len(held_out), replace=False))]
    found = {"kid_real": kernel_distance(features(some, store), held_out)}
    for model, path in weights.items():
        gan = read_gan(path)
        name = "kid" if model == "faces" else f"kid_{model}"
        found[name] = kernel_distance(features(gan.sample(range(len(held_out))), store), held_out)
        found[f"pictures_{model}"] = gan.seen
    if {"kid", "kid_notes"} <= set(found):
        found["kid_ratio_to_notes"] = found["kid"] / found["kid_notes"]
    return found
