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

from engines.core.configs import with_fields_of
from engines.core.files import written_atomically
from engines.core.frames import Frame, Frames
from engines.core.messages import message
from engines.core.preparation import prepare
from engines.data.images import SplitImages, split_images
from engines.dcgan.augmentation import augment
from engines.dcgan.config import GROUP, STEERABLE, DCGANTrainingConfig
from engines.dcgan.engine import sheet
from engines.dcgan.kid import features, kernel_distance
from engines.dcgan.model import GAN, gan_from_networks, principal_directions, read_gan, save_gan
from engines.dcgan.networks import ARCHITECTURES
from engines.nn.data_parallel import mean_over_shards, shard_count
from engines.nn.layers import SteerableDropout
from engines.nn.precision import training_policy
from engines.nn.training_loop import alarm_if_unwritten, batch_indices, data_hash, load_checkpoint, train_frames
from engines.weights.store import WeightsStore

# Images in a frame. They always come from the same noise, so that progress can be seen.
SAMPLE_COUNT = 64
# Share of the training, at its end, over which the learning rates decay linearly to zero.
DECAY_SHARE = 0.25
# Above the first accuracy the discriminator gives no useful gradient; below the second it is fooled by nearly every
# generated image.
DISCRIMINATOR_WINS, GENERATOR_WINS = 0.985, 0.03
# Diversity below this share of its peak means mode collapse.
COLLAPSE_RATIO = 0.5
# Share of the training, at its start, in which one side may win without a warning.
GRACE_PERIOD = 0.05


def resolve(config: DCGANTrainingConfig, backbone: None) -> DCGANTrainingConfig:
    """Fill in the model's defaults."""
    return config.filled()


def read_images(data: Path, side: int) -> SplitImages:
    """Read training images with `split_images`.

    Raises:
        ValueError: no usable images, too few, or all of them are the same.
    """
    images = split_images(data, side)
    if (images.train == images.train[:1]).all():
        raise ValueError(message("All images in {data} are identical; use different images.", data=data.name))
    return images


def hinge_losses(real: Any, fake: Any) -> tuple[Any, Any]:
    """Hinge loss of discriminator and generator (Lim & Ye 2017; Miyato et al. 2018), given the logits of real and
    generated images, (B, 1) each, larger for more realistic."""
    d_loss = tf.reduce_mean(tf.nn.relu(1 - real)) + tf.reduce_mean(tf.nn.relu(1 + fake))
    return d_loss, -tf.reduce_mean(fake)


def noisy_label_losses(real: Any, fake: Any, noise: Any) -> tuple[Any, Any]:
    """Loss of discriminator and generator after Chollet's listing, section 12.5.

    Cross-entropy with label 1 for generated and 0 for real images, the reverse of the paper, plus noise of up to 0.05
    on the labels. The generator is trained towards "real".

    Args:
        real, fake: logits, (B, 1) each, larger for images that seem generated.
        noise: (2, B, 1) in [0, 1].
    """
    labels = tf.stack([tf.ones_like(fake), tf.zeros_like(real)]) + 0.05 * noise
    d_loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, tf.stack([fake, real])))
    return d_loss, tf.reduce_mean(tf.nn.softplus(fake))


class TrainState:
    """The networks in training and everything else that a step changes.

    Attributes:
        generator, discriminator: in training.
        averaged: a generator with the moving average of the weights; the same object as `generator` without averaging.
        dropouts, spectral: layers of the discriminator that are updated before each step.
        peak_diversity: the largest diversity so far.
        variables: everything that a step changes, in an order that depends only on the architecture.
    """

    def __init__(self, config: DCGANTrainingConfig):
        architecture = ARCHITECTURES[config.model]
        keras.utils.set_random_seed(config.seed)
        keras.config.set_dtype_policy(training_policy())
        try:
            self.generator, self.discriminator = architecture.build_generator(), architecture.build_discriminator()
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
        self.d_optimizer.build(self.discriminator.trainable_variables)
        self.dropouts = [layer for layer in self.discriminator.layers if isinstance(layer, SteerableDropout)]
        self.spectral = [layer for layer in self.discriminator.layers if hasattr(layer, "power_iteration")]
        self.peak_diversity = tf.Variable(0.0)

    @property
    def variables(self) -> list[Any]:
        averaged = [] if self.averaged is self.generator else self.averaged.variables
        optimizers = [*self.g_optimizer.variables, *self.d_optimizer.variables]
        return [*self.generator.variables, *averaged, *self.discriminator.variables, *optimizers, self.peak_diversity]


def make_train_step(networks: TrainState, config: DCGANTrainingConfig, total: int) -> Callable[..., dict[str, Any]]:
    """Compile a training step.

    With the hinge loss, discriminator and generator train on the same generated images, which saves a forward pass;
    the book's step generates new ones for the generator.

    Returns:
        images, (B, H, W, 3) uint8, step number, the discriminator's learning rate, dropout -> metrics.
    """
    generator, discriminator = networks.generator, networks.discriminator
    g_weights, d_weights = generator.trainable_variables, discriminator.trainable_variables
    score_sign = ARCHITECTURES[config.model].score_sign
    by_the_book = config.objective == "noisy labels"
    # Each shard holds whole groups for the minibatch standard deviation.
    shards = shard_count(config.batch_size // GROUP)
    shard_size, latent_dim = config.batch_size // shards, generator.input_shape[-1]

    def logits_of(images: Any, seed: Any) -> Any:
        return tf.cast(discriminator(augment(images, seed, config.augmentation or "none"), training=True), tf.float32)

    def losses(real: Any, fake: Any, seed: Any) -> tuple[Any, Any]:
        real, fake = score_sign * real, score_sign * fake
        if by_the_book:
            return noisy_label_losses(-real, -fake, tf.random.stateless_uniform((2, shard_size, 1), seed))
        return hinge_losses(real, fake)

    def discriminator_gradients(images: Any, fakes: Any, seed: Any) -> tuple[dict[str, Any], list[Any]]:
        with tf.GradientTape() as tape:
            real, fake = tf.split(logits_of(tf.concat([images, fakes], axis=0), seed), 2)
            d_loss, _ = losses(real, fake, seed + 7)
        accuracy = {
            "real_accuracy": tf.reduce_mean(tf.cast(score_sign * real > 0, tf.float32)),
            "fake_accuracy": tf.reduce_mean(tf.cast(score_sign * fake < 0, tf.float32)),
        }
        return {"d_loss": d_loss, **accuracy}, tape.gradient(d_loss, d_weights)

    @tf.function(autograph=False)
    def train_step(images: Any, step: Any, d_rate: Any, dropout: Any) -> dict[str, Any]:
        # Constant, then linear decay to zero.
        remaining = 1 - tf.cast(step, tf.float32) / total
        rate_scale = tf.minimum(1.0, remaining / DECAY_SHARE) if not by_the_book else 1.0
        networks.g_optimizer.learning_rate.assign((config.g_learning_rate or 0.0) * rate_scale)
        networks.d_optimizer.learning_rate.assign(d_rate * rate_scale)
        for layer in networks.dropouts:
            layer.rate.assign(dropout)
        for layer in networks.spectral:
            layer.power_iteration()
        real = tf.split(tf.cast(images, tf.float32) / 255, shards)
        noise = tf.random.stateless_normal((2, config.batch_size, latent_dim), (config.seed, step))
        d_noise, g_noise = (tf.split(rows, shards) for rows in (noise[0], noise[1] if by_the_book else noise[0]))
        seeds = [tf.stack([step, 100 * shard]) for shard in range(shards)]

        tapes = [tf.GradientTape() for _ in range(shards)]
        g_images = []
        for tape, z in zip(tapes, g_noise, strict=True):
            with tape:
                g_images.append(generator(z, training=True))
        d_images = [generator(z, training=True) for z in d_noise] if by_the_book else g_images
        shard_metrics, gradients = zip(
            *(discriminator_gradients(*one) for one in zip(real, map(tf.stop_gradient, d_images), seeds, strict=True)),
            strict=True,
        )
        networks.d_optimizer.apply([mean_over_shards(list(one)) for one in zip(*gradients, strict=True)], d_weights)

        g_losses, g_gradients = [], []
        for tape, fakes, seed in zip(tapes, g_images, seeds, strict=True):
            with tape:
                fake = logits_of(fakes, seed + 3)
                g_loss = losses(fake, fake, seed)[1]
            g_losses.append(g_loss)
            g_gradients.append(tape.gradient(g_loss, g_weights))
        networks.g_optimizer.apply([mean_over_shards(list(one)) for one in zip(*g_gradients, strict=True)], g_weights)

        if networks.averaged is not generator:
            # Early weights are poor, so the averaging window starts small and grows with the steps.
            count = tf.cast(step, tf.float32)
            decay = tf.minimum(config.averaging, (1 + count) / (10 + count))
            for average, value in zip(networks.averaged.variables, generator.variables, strict=True):
                average.assign(average.value + (1 - decay) * (value.value - average.value))
        return {name: mean_over_shards([one[name] for one in shard_metrics]) for name in shard_metrics[0]} | {
            "g_loss": mean_over_shards(g_losses)
        }

    return train_step


def diversity(images: np.ndarray) -> float:
    """Mean root-mean-square pixel difference over all pairs of images, (N, H, W, C) uint8 -> [0, 1]."""
    rows = images.reshape(len(images), -1).astype(np.float64) / 255
    squares = (rows**2).sum(1)
    products = rows @ rows.T
    distances = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * products, 0) / rows.shape[1])
    return float(distances.sum() / (len(rows) * (len(rows) - 1)))


def alarm(frame: Frame, peak_diversity: float) -> str:
    """Describe what is wrong with a training and how to fix it; "" if nothing is, or in the grace period.

    Args:
        frame: a frame with the metrics of `train`.
        peak_diversity: the largest diversity so far.
    """
    real, fake = frame.metrics["real_accuracy"], frame.metrics["fake_accuracy"]
    if frame.metrics["diversity"] < COLLAPSE_RATIO * peak_diversity:
        return message(
            "warning: the images are losing diversity; roll back, then lower the "
            "discriminator's learning rate or raise its dropout"
        )
    if frame.progress < GRACE_PERIOD:
        return ""
    if min(real, fake) > DISCRIMINATOR_WINS:
        return message(
            "warning: the discriminator classifies almost every image correctly; lower its "
            "learning rate or raise its dropout"
        )
    if fake < GENERATOR_WINS:
        return message("warning: the discriminator is fooled by almost every generated image; raise its learning rate")
    return ""


def train(
    config: DCGANTrainingConfig, data: Path, checkpoint: Path | None, output: Path | None
) -> Frames[DCGANTrainingConfig]:
    """Train, yielding a frame every `interval` steps, and write `output` at the end.

    `d_learning_rate` and `dropout` can be steered. Increasing `rollbacks` restores networks and optimisers from the
    last frame without a warning; the step count continues.

    Metrics, averaged over the interval: `d_loss`, `g_loss`, `real_accuracy` and `fake_accuracy` (the discriminator's
    accuracy on real and generated images), and `diversity` of generated images relative to real ones. The image
    shows samples from fixed noise. The note is a warning or "".

    Raises:
        ValueError: the data is missing or damaged, the checkpoint is of another training, or the training diverged.
    """
    yield from _train_on(config.filled(), *_hashed_images(config, data), checkpoint, output)


def _hashed_images(config: DCGANTrainingConfig, data: Path) -> tuple[SplitImages, str]:
    """The images for a model, and the hash of the training images."""
    images = read_images(data, ARCHITECTURES[config.model].shape[0])
    return images, data_hash(images.train)


def _train_on(
    config: DCGANTrainingConfig,
    dataset: SplitImages,
    dataset_hash: str,
    checkpoint: Path | None,
    output: Path | None,
) -> Frames[DCGANTrainingConfig]:
    """`train` with a filled-in config, on images already in memory."""
    if len(dataset.train) < config.batch_size:
        config = dataclasses.replace(config, batch_size=len(dataset.train) // GROUP * GROUP)
    total = max(1, config.images // config.batch_size)
    networks = TrainState(config)
    update = make_train_step(networks, config, total)
    gan = gan_from_networks(config.model, networks.averaged, networks.discriminator)
    noise = np.random.default_rng(config.seed).standard_normal((SAMPLE_COUNT, gan.latent_dim)).astype(np.float32)
    real_diversity = diversity(
        dataset.train[batch_indices(len(dataset.train), min(SAMPLE_COUNT, config.batch_size), 0, 0)]
    )

    def train_step(step: int) -> dict[str, Any]:
        rows = np.sort(batch_indices(len(dataset.train), config.batch_size, step, config.seed))
        images = dataset.train[rows]
        if config.mirrored:
            flip = np.random.default_rng((config.seed, 1, step)).random(len(rows)) < 0.5
            images = np.where(flip[:, None, None, None], images[:, :, ::-1], images)
        steered = (tf.constant(value, tf.float32) for value in (config.d_learning_rate, config.dropout))
        return update(tf.constant(images), tf.constant(step, tf.int32), *steered)

    def monitor(_: int) -> tuple[np.ndarray, dict[str, float]]:
        samples = gan.decode(noise)
        relative_diversity = diversity(samples) / max(real_diversity, 1e-6)
        networks.peak_diversity.assign(max(relative_diversity, float(networks.peak_diversity)))
        return sheet(samples), {"diversity": relative_diversity}

    # Steerable settings may differ when a training resumes.
    settings = {name: value for name, value in dataclasses.asdict(config).items() if name not in STEERABLE}
    settings["data"] = dataset_hash
    variables = networks.variables
    good_checkpoint = checkpoint.with_name(f"{checkpoint.stem}-good{checkpoint.suffix}") if checkpoint else None
    steps = train_frames(
        variables=variables,
        train_step=train_step,
        total=total,
        interval=config.interval,
        settings=settings,
        checkpoint=checkpoint,
        monitor=monitor,
        notices=dataset.left_out,
    )
    trained = False
    for frame in steps:
        trained = True
        warning = alarm(frame, float(networks.peak_diversity))
        unwritten = frame.note
        if good_checkpoint and checkpoint and not unwritten and (not warning or not good_checkpoint.exists()):
            unwritten = alarm_if_unwritten(functools.partial(_copy, checkpoint, good_checkpoint))
        changed = yield dataclasses.replace(frame, note=warning or unwritten)
        if changed is not None:
            if changed.rollbacks > config.rollbacks and good_checkpoint and good_checkpoint.exists():
                load_checkpoint(good_checkpoint, variables, settings)
            config = with_fields_of(config, changed.filled(), STEERABLE)
    if not trained:  # the checkpoint was already complete
        image, metrics = monitor(total)
        yield Frame(step=total, total=total, image=image, metrics=metrics)
    if output:
        finished = finish(gan, dataset.held_out, total * config.batch_size)
        with written_atomically(output) as file:
            save_gan(file, finished)


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as original, written_atomically(target) as copy:
        shutil.copyfileobj(original, copy)


def finish(gan: GAN, held_out: np.ndarray, seen: int) -> GAN:
    """Add the principal directions and the percentiles of held-out scores."""
    held_out_percentiles = np.percentile(gan.scores(held_out), np.arange(101)).astype(np.float32)
    return dataclasses.replace(
        gan, principal=principal_directions(gan), held_out_percentiles=held_out_percentiles, seen=seen
    )


def training(
    config: DCGANTrainingConfig,
    backbone: None,
    *,
    data: Path,
    checkpoint: Path | None = None,
    output: Path | None = None,
) -> Frames[DCGANTrainingConfig]:
    """Run `train` as a job: it can be stopped while reading data or between steps, and resumes from its checkpoint."""
    images, changed = yield from prepare(lambda: _hashed_images(config, data), message("reading the images"))
    config = with_fields_of(config.filled(), (config if changed is None else changed).filled(), STEERABLE)
    yield from _train_on(config, *images, checkpoint, output)


def evaluate(weights: dict[str, Path], data: Path, store: WeightsStore) -> dict[str, float]:
    """Score trained weights: kernel inception distance between 2,000 generated and the 2,000 held-out images.

    Args:
        weights: files by model name, as `train` wrote them.
        store: where InceptionV3's weights are.

    Returns:
        `kid` (ours) and `kid_notes` (the book's); `kid_real`, the distance of training from held-out images, as a
        lower bound; `kid_ratio_to_notes`; and `pictures_{model}`, the number of images each was trained on.
    """
    images = read_images(data, 64)
    held_out = features(images.held_out, store)
    rng = np.random.default_rng(0)
    training_sample = images.train[np.sort(rng.choice(len(images.train), len(held_out), replace=False))]
    results = {"kid_real": kernel_distance(features(training_sample, store), held_out)}
    for model, path in weights.items():
        gan = read_gan(path)
        name = "kid" if model == "faces" else f"kid_{model}"
        results[name] = kernel_distance(features(gan.sample(range(len(held_out))), store), held_out)
        results[f"pictures_{model}"] = gan.seen
    if {"kid", "kid_notes"} <= set(results):
        results["kid_ratio_to_notes"] = results["kid"] / results["kid_notes"]
    return results
