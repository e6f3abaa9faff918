"""Soft targets for training the bundled backbone: class logits of InceptionV3 (Hinton et al. 2015).

InceptionV3's file comes without a classifier, so a linear one is fitted to its pooled last features. Each half of the
images gets its logits from a classifier that was fitted to the other half: a classifier is overconfident about the
images that it was fitted to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from engines.backbones.backbone import Backbone
from engines.core.files import UNREADABLE, written_atomically
from engines.core.preparation import set_note
from engines.data.images import LabelledPictures
from engines.nn.training_loop import data_hash

LAYER = "mixed10"
# Side of the images that InceptionV3 sees, in pixels.
SIDE = 128
EPOCHS, BATCH = 12, 256
_LEARNING_RATE, _WEIGHT_DECAY = 1e-3, 0.05


def soft_targets(teacher: Backbone, pictures: LabelledPictures, cache: Path | None = None, seed: int = 0) -> np.ndarray:
    """Logits of the teacher for every image, (N, classes) float32.

    Args:
        teacher: InceptionV3.
        cache: an .npz that is read if it was written for the same images, teacher and settings, and written otherwise.
        seed: for the split into halves and the classifiers.
    """
    key = np.array([data_hash(pictures.images, pictures.labels), teacher.weights, f"{seed} {LAYER} {SIDE} {EPOCHS}"])
    if cache and (cached := _read(cache, key)) is not None:
        return cached
    features = pooled_features(teacher, pictures.images)
    features = (features - features.mean(0)) / (features.std(0) + 1e-3)
    logits = np.empty((len(features), len(pictures.classes)), np.float32)
    half = np.random.default_rng(seed).permutation(len(features)) % 2 == 0
    for fitted_to, labelled in ((half, ~half), (~half, half)):
        kernel, bias = fit_classifier(features[fitted_to], pictures.labels[fitted_to], logits.shape[1], seed)
        logits[labelled] = features[labelled] @ kernel + bias
    logits = logits.astype(np.float16)
    if cache:
        with written_atomically(cache) as file:
            np.savez_compressed(file, key=key, logits=logits)
    return logits.astype(np.float32)


def _read(cache: Path, key: np.ndarray) -> np.ndarray | None:
    try:
        with np.load(cache, allow_pickle=False) as arrays:
            return arrays["logits"].astype(np.float32) if np.array_equal(arrays["key"], key) else None
    except (FileNotFoundError, *UNREADABLE):
        return None


def pooled_features(teacher: Backbone, images: np.ndarray, batch_size: int = 50) -> np.ndarray:
    """Features of the teacher's last layer, averaged over cells: (N, H, W, 3) uint8 -> (N, C) float32."""
    extract = teacher.extractor([LAYER])

    @tf.function(input_signature=[tf.TensorSpec((None, *images.shape[1:]), tf.uint8)])
    def features_of(batch: Any) -> Any:
        enlarged = tf.image.resize(batch, (SIDE, SIDE), method="bicubic") / 127.5 - 1
        return tf.reduce_mean(tf.cast(extract(enlarged)[0], tf.float32), (1, 2))

    found = np.empty((len(images), teacher.channels(LAYER)), np.float32)
    for start in range(0, len(images), batch_size):
        set_note(f"soft targets: {start:,} of {len(images):,} images")
        rows = slice(start, start + batch_size)
        found[rows] = features_of(tf.constant(images[rows])).numpy()
    return found


def fit_classifier(features: np.ndarray, labels: np.ndarray, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Fit a multinomial logistic regression: features (N, C) float32, labels (N,) -> kernel (C, classes), bias."""
    model = keras.Sequential(
        [keras.Input(features.shape[1:]), keras.layers.Dense(classes, kernel_initializer="zeros", dtype="float32")]
    )
    keras.utils.set_random_seed(seed)
    steps = EPOCHS * -(-len(features) // BATCH)
    model.compile(
        keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(_LEARNING_RATE, steps), weight_decay=_WEIGHT_DECAY
        ),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(features, labels, batch_size=BATCH, epochs=EPOCHS, verbose=0)
    kernel, bias = model.layers[-1].get_weights()
    return kernel, bias
