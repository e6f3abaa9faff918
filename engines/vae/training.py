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
from engines.core.preparation import prepared
from engines.data.images import digits, named_pictures, ratings, split_pictures
from engines.latent.directions import (
    PrincipalDirections,
    difference_of_means,
    principal_directions,
    rank_correlation,
    ridge_direction,
)
from engines.nn.data_parallel import mean_of, shards_of
from engines.nn.precision import training_policy
from engines.nn.training_loop import batch_indices, data_hash, train_frames
from engines.vae.config import VAETrainingConfig
from engines.vae.inference import binary_cross_entropy, kl_loss
from engines.vae.model import VAE, Concept, read_vae, save_vae, vae_of_networks
from engines.vae.networks import ARCHITECTURES, Architecture

DIGITS_FILE, RATINGS_FILE = "mnist.npz", "faces64_attributes.zip"
DIRECTIONS = 64
EXAMPLES = 2000
# Columns of the ratings, and what there is more of along the direction.
CONCEPTS = {
    "happy": "smile",
    "age": "age",
    "gender": "masculine",
    "long-haired": "long hair",
    "hair-color": "dark hair",
    "outdoors": "daylight",
}
PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


@dataclass(frozen=True)
class TrainingPictures:
    """Training and held-out pictures, (N, H, W, C) uint8 each; labels of the latter where they have some.

    Attributes:
        hash: of the training pictures, by `data_hash`.
        left_out: sentences of what could not be read.
    """

    train: np.ndarray
    held_out: np.ndarray
    labels: np.ndarray | None
    hash: str
    left_out: tuple[str, ...] = ()


def read_pictures(model: str, data: Path) -> TrainingPictures:
    """The pictures for a model: MNIST's own split, or of named pictures the last held out (`split_pictures`).

    Args:
        data: the file itself, a folder of pictures, or the folder that holds the file.

    Raises:
        ValueError: nothing there that can be used.
    """
    height, _, channels = ARCHITECTURES[model].shape
    if channels == 1:
        found = digits(data / DIGITS_FILE if data.is_dir() else data)
        # The file is sorted by class, and whoever looks at the first thousand wants some of each.
        order = np.random.default_rng(0).permutation(len(found.test))
        held_out, labels = found.test[order][..., None], found.test_labels[order]
        return TrainingPictures(found.train[..., None], held_out, labels, data_hash(found.train))
    split = split_pictures(data, height)
    return TrainingPictures(split.train, split.held_out, None, data_hash(split.train), split.left_out)


def absolute_and_squared_error(images: Any, logits: Any) -> Any:
    """Summed over the pixels: (B, H, W, C) in [0, 1], logits of the same shape -> (B,)."""
    difference = tf.abs(images - tf.sigmoid(logits))
    return tf.reduce_sum(difference + 2 * tf.square(difference), axis=(1, 2, 3))


class Loss:
    """The terms of a model's loss, each a mean over the batch, in nats where it says so."""

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


def train_step_of(
    encoder: keras.Model, decoder: keras.Model, optimizer: keras.optimizers.Optimizer, loss: Loss, seed: int
) -> Callable[..., dict[str, Any]]:
    """One compiled step: pictures, (B, H, W, C) uint8, the step's number and beta -> the terms of the loss."""
    weights = [*encoder.trainable_variables, *decoder.trainable_variables]
    optimizer.build(weights)

    def gradients(images, noise, kl_weight):
        with tf.GradientTape() as tape:
            mean, log_variance = encoder(images, training=True)
            logits = decoder(mean + tf.exp(0.5 * log_variance) * noise, training=True)
            terms = loss(images, mean, log_variance, logits)
            whole = sum(kl_weight * value if name == "kl_loss" else value for name, value in terms.items())
        return terms, tape.gradient(whole, weights)

    @tf.function(autograph=False)
    def train_step(images, step, kl_weight):
        batch_size = images.shape[0]
        noise = tf.random.stateless_normal((batch_size, decoder.input_shape[-1]), (seed, step))
        shards = shards_of(batch_size)
        each = zip(tf.split(tf.cast(images, tf.float32) / 255, shards), tf.split(noise, shards), strict=True)
        terms, slopes = zip(*(gradients(*shard, kl_weight) for shard in each), strict=True)
        optimizer.apply([mean_of(list(one)) for one in zip(*slopes, strict=True)], weights)
        return {name: mean_of([one[name] for one in terms]) for name in terms[0]}

    return train_step


def train(config: VAETrainingConfig, data: Path, checkpoint: Path | None, output: Path | None) -> Frames[None]:
    """Train, yielding a frame every interval; write `output` when done.

    Metrics: `reconstruction_loss`, `kl_loss` and `perceptual_loss` over the interval; `held_out_loss`: the first two
    in nats for digits, as the encoder alone places them, the mean absolute error in [0, 1] for colours. The picture:
    held-out pictures, their reconstructions, and samples.

    Raises:
        ValueError: data missing or damaged, a checkpoint of another training, or a training that diverged.
    """
    yield from _trained(config, read_pictures(config.model, data), data, checkpoint, output)


def _trained(
    config: VAETrainingConfig, pictures: TrainingPictures, data: Path, checkpoint: Path | None, output: Path | None
) -> Frames[Any]:
    """`train` on pictures that are read already."""
    architecture = ARCHITECTURES[config.model]
    batch_size = min(config.batch_size, len(pictures.train))
    total = config.epochs * (len(pictures.train) // batch_size)
    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(training_policy())
    try:
        encoder, decoder = architecture.build_encoder(), architecture.build_decoder()
        plain, full = Loss(architecture, 0.0), Loss(architecture, config.perceptual_weight)
    finally:
        keras.config.set_dtype_policy("float32")
    rising = max(1, round(config.warmup * total))
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, total - rising), warmup_target=config.learning_rate, warmup_steps=rising
    )
    optimizer = keras.optimizers.Adam(rate)
    faces = architecture.shape[-1] == 3

    update_plain, update_full = (
        train_step_of(encoder, decoder, optimizer, loss, config.seed) for loss in (plain, full)
    )

    def train_step(step: int) -> dict[str, Any]:
        rows = np.sort(batch_indices(len(pictures.train), batch_size, step, config.seed))
        images = pictures.train[rows]
        if faces:
            mirrored = np.random.default_rng((config.seed, 1, step)).random(len(rows)) < 0.5
            images = np.where(mirrored[:, None, None, None], images[:, :, ::-1], images)
        rise = config.kl_warmup * total
        kl_weight = config.kl_weight * (min(1.0, (step + 1) / rise) if rise else 1.0)
        chosen = update_full if step >= config.perceptual_from * total else update_plain
        return chosen(tf.constant(images), tf.constant(step, tf.int32), tf.constant(kl_weight, tf.float32))

    shown = vae_of_networks(config.model, encoder, decoder)
    by_encoder = dataclasses.replace(shown, refinement_steps=0)

    def monitor(_: int) -> tuple[np.ndarray, dict[str, float]]:
        terms = scores(by_encoder, pictures.held_out[:1000], config.seed)
        return sheet(shown, pictures.held_out[:10], config.seed), {
            "held_out_loss": terms["total"] if not faces else terms["mae"],
        }

    steps = train_frames(
        variables=[*encoder.variables, *decoder.variables, *optimizer.variables],
        train_step=train_step,
        total=total,
        interval=config.interval,
        settings=dataclasses.asdict(config) | {"data": pictures.hash},
        checkpoint=checkpoint,
        monitor=monitor,
        notices=pictures.left_out,
    )
    there = False
    for frame in steps:
        there = True
        yield frame
    if not there:  # it was finished before
        image, held_out = monitor(total)
        yield Frame(step=total, total=total, image=image, metrics=held_out)
    if output:
        principal: PrincipalDirections | None = None
        concepts: tuple[Concept, ...] = ()
        if faces:
            principal = principal_directions(shown.encode(pictures.train)[0], DIRECTIONS)
            rated = data / RATINGS_FILE
            concepts = concept_directions(shown, rated) if rated.is_file() else ()
        with written_atomically(output) as file:
            save_vae(file, config.model, encoder, decoder, principal, concepts, _examples(shown, pictures))


def _examples(vae: VAE, pictures: TrainingPictures) -> tuple[np.ndarray, np.ndarray] | None:
    """Where held-out pictures with a class lie, for a map."""
    if pictures.labels is None:
        return None
    return vae.encode(pictures.held_out[:EXAMPLES])[0], pictures.labels[:EXAMPLES]


def resolve(config: VAETrainingConfig, backbone: None) -> VAETrainingConfig:
    """The config as it is: a training begins with no network."""
    return config


def training(
    config: VAETrainingConfig,
    backbone: None,
    *,
    data: Path,
    checkpoint: Path | None = None,
    output: Path | None = None,
) -> Frames[VAETrainingConfig]:
    """`train` as a job: stopped while it reads or between steps, going on from its checkpoint when started again.

    Settings that are sent while it runs change nothing: a training is what it began as.
    """
    pictures, _ = yield from prepared(lambda: read_pictures(config.model, data), message("reading the pictures"))
    yield from _trained(config, pictures, data, checkpoint, output)


def sheet(vae: VAE, images: np.ndarray, seed: int) -> np.ndarray:
    """Pictures, their reconstructions, and below as many samples in two rows: (h, w, 3) uint8."""
    rows = [images, vae.reconstruct(images), *np.split(vae.sample(2 * len(images), seed), 2)]
    whole = np.concatenate([np.concatenate(list(row), axis=1) for row in rows], axis=0)
    return np.repeat(whole, 3, axis=-1) if whole.shape[-1] == 1 else whole


def scores(vae: VAE, images: np.ndarray, seed: int = 0) -> dict[str, float]:
    """What a model makes of held-out pictures, with one sample of z each.

    Returns:
        `reconstruction` and `kl` and their sum `total`, in nats (pictures of one channel), `mae` in [0, 1].
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
    """The directions of CONCEPTS, from a zip of rated pictures, each with how it orders pictures it was not fitted to.

    Fitted by ridge regression to four fifths of the pictures and their mirror images, the penalty chosen among
    PENALTIES by five-fold cross-validation within these; every fifth picture is held out for the correlation.

    Raises:
        ValueError: the zip is damaged or its table does not rate its pictures.
    """
    table = ratings(rated)
    named = named_pictures(rated, vae.shape[0], least=50)
    places = {Path(name).stem: i for i, name in enumerate(named.names)}
    try:
        images = named.images[[places[name] for name in table["name"]]]
        wanted = {title: table[column] for column, title in CONCEPTS.items()}
    except KeyError as error:
        raise ValueError(
            message("The table in {data} does not rate the pictures beside it.", data=rated.name)
        ) from error
    latents, mirrored = vae.encode(images)[0], vae.encode(images[:, :, ::-1])[0]
    held_out = np.arange(len(images)) % 5 == 4
    concepts = []
    for title, values in wanted.items():
        known = np.flatnonzero(~held_out)

        def fitted(rows: np.ndarray, penalty: float, values: np.ndarray = values) -> np.ndarray:
            both = np.concatenate([latents[rows], mirrored[rows]])
            return ridge_direction(both, np.tile(values[rows], 2), penalty)

        def agreement(penalty: float, known: np.ndarray = known, values: np.ndarray = values, fitted=fitted) -> float:
            folds = [known[i::5] for i in range(5)]
            rest = [np.setdiff1d(known, fold) for fold in folds]
            each = [
                rank_correlation(latents[fold] @ fitted(others, penalty), values[fold])
                for fold, others in zip(folds, rest, strict=True)
            ]
            return float(np.mean(each))

        gauge = fitted(known, max(PENALTIES, key=agreement))
        both = np.concatenate([latents[known], mirrored[known]])
        concepts.append(
            Concept(
                name=title,
                direction=difference_of_means(both, np.tile(values[known], 2)),
                gauge=gauge,
                correlation=rank_correlation(latents[held_out] @ gauge, values[held_out]),
            )
        )
    return tuple(concepts)


def evaluate(weights: dict[str, Path], data: Path) -> dict[str, float]:
    """Score shipped weights on held-out pictures, in float32, with one sample of z.

    Args:
        weights: files by model, as `train` wrote them.

    Returns:
        `{model}_total`, `_reconstruction` and `_kl` in nats for digits, with `_encoder_total`, what it would be by the
        encoder's guess, where that is refined; `{model}_mae` in [0, 1], and for faces `concept_{name}`: rank
        correlations.
    """
    keras.config.set_dtype_policy("float32")
    found: dict[str, float] = {}
    for model, path in weights.items():
        vae = read_vae(path)
        images = read_pictures(model, data).held_out
        terms = scores(vae, images)
        kept = ("mae",) if vae.shape[-1] == 3 else ("total", "reconstruction", "kl", "mae")
        found |= {f"{model}_{name}": terms[name] for name in kept}
        if vae.refinement_steps:
            found[f"{model}_encoder_total"] = scores(dataclasses.replace(vae, refinement_steps=0), images)["total"]
        found |= {f"{model}_concept_{concept.name.replace(' ', '_')}": concept.correlation for concept in vae.concepts}
    return found
