"""Train and evaluate the variational autoencoders."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from engines.backbones.perceptual_distance import perceptual_loss
from engines.core.files import written_atomically
from engines.core.frames import Frame, Frames
from engines.core.messages import message
from engines.core.preparation import prepare
from engines.data.images import digits, named_images, ratings, split_images
from engines.imaging.grids import image_grid
from engines.latent.directions import (
    PrincipalDirections,
    difference_of_means,
    principal_directions,
    rank_correlation,
    ridge_direction,
)
from engines.nn.data_parallel import mean_over_shards, shard_count
from engines.nn.precision import training_policy
from engines.nn.training_loop import batch_indices, data_hash, train_frames
from engines.vae.config import CONCEPTS, VAETrainingConfig
from engines.vae.inference import binary_cross_entropy, kl_loss
from engines.vae.model import VAE, Concept, read_vae, save_vae, vae_from_networks
from engines.vae.networks import ARCHITECTURES, Architecture
from engines.weights.store import WeightsStore

DIGITS_FILE, RATINGS_FILE = "mnist.npz", "faces64_attributes.zip"
DIRECTIONS = 64
EXAMPLES = 2000
PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


@dataclass(frozen=True)
class TrainingImages:
    """Training and held-out images, (N, H, W, C) uint8 each.

    Attributes:
        labels: classes of the held-out images, (N,) uint8, or None.
        hash: `data_hash` of the training images.
        left_out: a sentence for each file that could not be read.
    """

    train: np.ndarray
    held_out: np.ndarray
    labels: np.ndarray | None
    hash: str
    left_out: tuple[str, ...] = ()


def read_images(model: str, data: Path) -> TrainingImages:
    """Read the images for a model: MNIST with its own split, or images split by name (`split_images`).

    Args:
        data: the data file, a folder of images, or the folder that contains the data file.

    Raises:
        ValueError: no usable data.
    """
    height, _, channels = ARCHITECTURES[model].shape
    if channels == 1:
        mnist = digits(data / DIGITS_FILE if data.is_dir() else data)
        # The file is sorted by class; shuffle it so that any part has all classes.
        order = np.random.default_rng(0).permutation(len(mnist.test))
        held_out, labels = mnist.test[order][..., None], mnist.test_labels[order]
        return TrainingImages(mnist.train[..., None], held_out, labels, data_hash(mnist.train))
    split = split_images(data, height)
    return TrainingImages(split.train, split.held_out, None, data_hash(split.train), split.left_out)


def absolute_and_squared_error(images: Any, logits: Any) -> Any:
    """Absolute plus twice the squared error, summed over pixels: (B, H, W, C) in [0, 1] and logits like it -> (B,)."""
    difference = tf.abs(images - tf.sigmoid(logits))
    return tf.reduce_sum(difference + 2 * tf.square(difference), axis=(1, 2, 3))


class Loss:
    """The terms of a model's loss, each averaged over the batch; called with images, posterior and logits."""

    def __init__(self, architecture: Architecture, perceptual_weight: float):
        self._gray = architecture.shape[-1] == 1
        self._perceptual = perceptual_loss() if perceptual_weight else None
        self._weight = perceptual_weight * float(np.prod(architecture.shape))

    def __call__(self, images: Any, mean: Any, log_variance: Any, logits: Any) -> dict[str, Any]:
        logits = tf.cast(logits, tf.float32)
        reconstruction = (binary_cross_entropy if self._gray else absolute_and_squared_error)(images, logits)
        terms = {
            "reconstruction_loss": tf.reduce_mean(reconstruction),
            "kl_loss": tf.reduce_mean(kl_loss(mean, log_variance)),
        }
        if self._perceptual:
            terms["perceptual_loss"] = self._weight * tf.reduce_mean(self._perceptual(images, tf.sigmoid(logits)))
        return terms


def make_train_step(
    encoder: keras.Model, decoder: keras.Model, optimizer: keras.optimizers.Optimizer, loss: Loss, seed: int
) -> Callable[..., dict[str, Any]]:
    """Compile a training step: images, (B, H, W, C) uint8, step number, beta -> the loss terms."""
    weights = [*encoder.trainable_variables, *decoder.trainable_variables]
    optimizer.build(weights)

    def shard_gradients(images, noise, kl_weight):
        with tf.GradientTape() as tape:
            mean, log_variance = encoder(images, training=True)
            logits = decoder(mean + tf.exp(0.5 * log_variance) * noise, training=True)
            terms = loss(images, mean, log_variance, logits)
            total = sum(kl_weight * value if name == "kl_loss" else value for name, value in terms.items())
        return terms, tape.gradient(total, weights)

    @tf.function(autograph=False)
    def train_step(images, step, kl_weight):
        batch_size = images.shape[0]
        noise = tf.random.stateless_normal((batch_size, decoder.input_shape[-1]), (seed, step))
        shards = shard_count(batch_size)
        shards_data = zip(tf.split(tf.cast(images, tf.float32) / 255, shards), tf.split(noise, shards), strict=True)
        terms, gradients = zip(*(shard_gradients(*shard, kl_weight) for shard in shards_data), strict=True)
        optimizer.apply([mean_over_shards(list(one)) for one in zip(*gradients, strict=True)], weights)
        return {name: mean_over_shards([one[name] for one in terms]) for name in terms[0]}

    return train_step


def train(config: VAETrainingConfig, data: Path, checkpoint: Path | None, output: Path | None) -> Frames[None]:
    """Train, yielding a frame every `interval` steps, and write `output` at the end.

    Metrics: `reconstruction_loss`, `kl_loss` and `perceptual_loss`, averaged over the interval, and `validation_loss`:
    for digits the negative ELBO in nats without refinement, for colour images the mean absolute error in [0, 1].
    The image shows held-out images, their reconstructions, and samples.

    Raises:
        ValueError: the data is missing or damaged, the checkpoint is of another training, or the training diverged.
    """
    yield from _train_on(config, read_images(config.model, data), data, checkpoint, output)


def _train_on(
    config: VAETrainingConfig, dataset: TrainingImages, data: Path, checkpoint: Path | None, output: Path | None
) -> Frames[Any]:
    """`train` on images already in memory."""
    architecture = ARCHITECTURES[config.model]
    batch_size = min(config.batch_size, len(dataset.train))
    total = config.epochs * (len(dataset.train) // batch_size)
    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(training_policy())
    try:
        encoder, decoder = architecture.build_encoder(), architecture.build_decoder()
        plain, full = Loss(architecture, 0.0), Loss(architecture, config.perceptual_weight)
    finally:
        keras.config.set_dtype_policy("float32")
    warmup_steps = max(1, round(config.warmup * total))
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, total - warmup_steps), warmup_target=config.learning_rate, warmup_steps=warmup_steps
    )
    optimizer = keras.optimizers.Adam(rate)
    is_color = architecture.shape[-1] == 3

    update_plain, update_full = (
        make_train_step(encoder, decoder, optimizer, loss, config.seed) for loss in (plain, full)
    )

    def train_step(step: int) -> dict[str, Any]:
        rows = np.sort(batch_indices(len(dataset.train), batch_size, step, config.seed))
        images = dataset.train[rows]
        if is_color:
            mirrored = np.random.default_rng((config.seed, 1, step)).random(len(rows)) < 0.5
            images = np.where(mirrored[:, None, None, None], images[:, :, ::-1], images)
        kl_warmup_steps = config.kl_warmup * total
        kl_weight = config.kl_weight * (min(1.0, (step + 1) / kl_warmup_steps) if kl_warmup_steps else 1.0)
        update = update_full if step >= config.perceptual_from * total else update_plain
        return update(tf.constant(images), tf.constant(step, tf.int32), tf.constant(kl_weight, tf.float32))

    vae = vae_from_networks(config.model, encoder, decoder)
    unrefined = dataclasses.replace(vae, refinement_steps=0)

    def monitor(_: int) -> tuple[np.ndarray, dict[str, float]]:
        terms = scores(unrefined, dataset.held_out[:1000], config.seed)
        return sheet(vae, dataset.held_out[:10], config.seed), {
            "validation_loss": terms["total"] if not is_color else terms["mae"],
        }

    steps = train_frames(
        variables=[*encoder.variables, *decoder.variables, *optimizer.variables],
        train_step=train_step,
        total=total,
        interval=config.interval,
        settings=dataclasses.asdict(config) | {"data": dataset.hash},
        checkpoint=checkpoint,
        monitor=monitor,
        notices=dataset.left_out,
    )
    trained = False
    for frame in steps:
        trained = True
        yield frame
    if not trained:  # the checkpoint was already complete
        image, held_out = monitor(total)
        yield Frame(step=total, total=total, image=image, metrics=held_out)
    if output:
        principal: PrincipalDirections | None = None
        concepts: tuple[Concept, ...] = ()
        if is_color:
            principal = principal_directions(vae.encode(dataset.train)[0], DIRECTIONS)
            rated = data / RATINGS_FILE
            concepts = concept_directions(vae, rated) if rated.is_file() else ()
        with written_atomically(output) as file:
            save_vae(file, config.model, encoder, decoder, principal, concepts, _examples(vae, dataset))


def _examples(vae: VAE, images: TrainingImages) -> tuple[np.ndarray, np.ndarray] | None:
    """Encoded held-out images with their classes, for a map; None without labels."""
    if images.labels is None:
        return None
    return vae.encode(images.held_out[:EXAMPLES])[0], images.labels[:EXAMPLES]


def resolve(config: VAETrainingConfig, backbone: None) -> VAETrainingConfig:
    """Return the config unchanged: a training needs no network."""
    return config


def training(
    config: VAETrainingConfig,
    backbone: None,
    *,
    data: Path,
    checkpoint: Path | None = None,
    output: Path | None = None,
) -> Frames[VAETrainingConfig]:
    """Run `train` as a job: it can be stopped while reading data or between steps, and resumes from its checkpoint.

    It ignores steering.
    """
    images, _ = yield from prepare(lambda: read_images(config.model, data), message("reading the images"))
    yield from _train_on(config, images, data, checkpoint, output)


def sheet(vae: VAE, images: np.ndarray, seed: int) -> np.ndarray:
    """Tile N images, their reconstructions, and 2 N samples in four rows: (h, w, 3) uint8."""
    tiles = np.concatenate([images, vae.reconstruct(images), vae.sample(2 * len(images), seed)])
    grid = image_grid(tiles, len(images))
    return np.repeat(grid, 3, axis=-1) if grid.shape[-1] == 1 else grid


def scores(vae: VAE, images: np.ndarray, seed: int = 0) -> dict[str, float]:
    """Score a model on held-out images, (N, H, W, C) uint8, with one sample of z each.

    Returns:
        `reconstruction`, `kl` and their sum `total`, in nats (for images of one channel), and `mae` in [0, 1].
    """
    reconstruction = kl = error = 0.0
    for start in range(0, len(images), 500):
        mean, log_variance = (tf.constant(array) for array in vae.encode(images[start : start + 500]))
        rows = tf.cast(images[start : start + 500], tf.float32) / 255
        noise = tf.random.stateless_normal(tf.shape(mean), (seed, start))
        logits = tf.cast(vae.decoder(mean + tf.exp(0.5 * log_variance) * noise, training=False), tf.float32)
        reconstruction += float(tf.reduce_sum(binary_cross_entropy(rows, logits)))
        kl += float(tf.reduce_sum(kl_loss(mean, log_variance)))
        error += float(tf.reduce_sum(tf.reduce_mean(tf.abs(tf.sigmoid(logits) - rows), axis=(1, 2, 3))))
    count = len(images)
    return {
        "total": (reconstruction + kl) / count,
        "reconstruction": reconstruction / count,
        "kl": kl / count,
        "mae": error / count,
    }


def concept_directions(vae: VAE, rated: Path) -> tuple[Concept, ...]:
    """Fit the directions of CONCEPTS to a zip of rated images.

    Probes are fitted by ridge regression to four fifths of the images and their mirror images; five-fold
    cross-validation on these selects the penalty from PENALTIES. Every fifth image is held out for the correlation.

    Raises:
        ValueError: the zip is damaged, or its table does not rate its images.
    """
    table = ratings(rated)
    named = named_images(rated, vae.shape[0], least=50)
    row_of = {Path(name).stem: i for i, name in enumerate(named.names)}
    try:
        images = named.images[[row_of[name] for name in table["name"]]]
        rating_columns = {title: table[column] for column, title in CONCEPTS.items()}
    except KeyError as error:
        raise ValueError(message("The ratings table in {data} does not match its images.", data=rated.name)) from error
    latents, mirrored = vae.encode(images)[0], vae.encode(images[:, :, ::-1])[0]
    held_out = np.arange(len(images)) % 5 == 4
    concepts = []
    for title, values in rating_columns.items():
        fit_rows = np.flatnonzero(~held_out)

        def fit(rows: np.ndarray, penalty: float, values: np.ndarray = values) -> np.ndarray:
            fit_latents = np.concatenate([latents[rows], mirrored[rows]])
            return ridge_direction(fit_latents, np.tile(values[rows], 2), penalty)

        def cross_validated_correlation(
            penalty: float, fit_rows: np.ndarray = fit_rows, values: np.ndarray = values, fit=fit
        ) -> float:
            folds = [fit_rows[i::5] for i in range(5)]
            complements = [np.setdiff1d(fit_rows, fold) for fold in folds]
            correlations = [
                rank_correlation(latents[fold] @ fit(train_rows, penalty), values[fold])
                for fold, train_rows in zip(folds, complements, strict=True)
            ]
            return float(np.mean(correlations))

        probe = fit(fit_rows, max(PENALTIES, key=cross_validated_correlation))
        fit_latents = np.concatenate([latents[fit_rows], mirrored[fit_rows]])
        concepts.append(
            Concept(
                name=title,
                direction=difference_of_means(fit_latents, np.tile(values[fit_rows], 2)),
                probe=probe,
                correlation=rank_correlation(latents[held_out] @ probe, values[held_out]),
            )
        )
    return tuple(concepts)


def evaluate(weights: dict[str, Path], data: Path, store: WeightsStore | None = None) -> dict[str, float]:
    """Score trained weights on held-out images, in float32, with one sample of z.

    Args:
        weights: files by model name, as `train` wrote them.
        store: not needed here, only by trainings whose score takes a pretrained network.

    Returns:
        For digits `{model}_total`, `_reconstruction` and `_kl` in nats, and with refinement `_encoder_total`, the total
        without it; `{model}_mae` in [0, 1]; for faces the rank correlations `{model}_concept_{name}`.
    """
    keras.config.set_dtype_policy("float32")
    results: dict[str, float] = {}
    for model, path in weights.items():
        vae = read_vae(path)
        images = read_images(model, data).held_out
        terms = scores(vae, images)
        metrics = ("mae",) if vae.shape[-1] == 3 else ("total", "reconstruction", "kl", "mae")
        results |= {f"{model}_{name}": terms[name] for name in metrics}
        if vae.refinement_steps:
            results[f"{model}_encoder_total"] = scores(dataclasses.replace(vae, refinement_steps=0), images)["total"]
        results |= {
            f"{model}_concept_{concept.name.replace(' ', '_')}": concept.correlation for concept in vae.concepts
        }
    return results
