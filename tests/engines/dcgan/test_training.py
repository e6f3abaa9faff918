"""Training of the DCGAN: losses, alarms, rollback, exact resume, refusals, scores."""

from __future__ import annotations

import dataclasses
import json
import shutil
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from engines.core.frames import Frame
from engines.dcgan import training as dcgan_training
from engines.dcgan.config import DCGANTrainingConfig
from engines.dcgan.model import read_gan, save_gan
from engines.dcgan.training import (
    TrainState,
    alarm,
    diversity,
    evaluate,
    hinge_losses,
    make_train_step,
    noisy_label_losses,
    train,
)
from engines.nn.training_loop import load_checkpoint
from engines.weights.store import WeightsStore
from tests.engines.helpers import as_png, blocks, encoded, files_in, is_one_sentence, refusal, uncompiled

# Four steps with one frame each.
TINY = DCGANTrainingConfig(images=16, batch_size=4, interval=1, averaging=0.5)

pytestmark = pytest.mark.usefixtures("principal_directions_from_few_images")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A zip of forty images of mixed sizes, modes and formats."""
    path = tmp_path_factory.mktemp("data") / "pictures.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for i, image in enumerate(blocks(40)):
            converted = Image.fromarray(image)
            if i % 4 == 1:
                converted = converted.resize((90, 70)).convert("L")
            elif i % 4 == 2:
                converted = converted.convert("RGBA")
            elif i % 4 == 3:
                converted = converted.convert("P")
            archive.writestr(f"{i:02d}.png", encoded(converted, "PNG"))
    return path


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as arrays:
        return dict(arrays)


def assert_equal(path: Path, other: Path) -> None:
    """Assert that two files hold exactly the same arrays."""
    one, two = arrays_of(path), arrays_of(other)
    assert one.keys() == two.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, two[name], name)


def step_of(checkpoint: Path) -> int:
    return json.loads(str(arrays_of(checkpoint)["header"]))["step"]


# Losses


def test_the_hinge_losses_are_the_papers():
    real, fake = np.array([[2.0], [0.5]], np.float32), np.array([[-3.0], [0.25]], np.float32)
    d_loss, g_loss = hinge_losses(tf.constant(real), tf.constant(fake))
    assert float(d_loss) == pytest.approx((0 + 0.5) / 2 + (0 + 1.25) / 2)
    assert float(g_loss) == pytest.approx((3 - 0.25) / 2)


def test_the_books_losses_are_keras_binary_cross_entropy_with_its_labels():
    rng = np.random.default_rng(0)
    real, fake = (rng.normal(size=(6, 1)).astype(np.float32) for _ in range(2))
    noise = rng.random((2, 6, 1)).astype(np.float32)
    d_loss, g_loss = noisy_label_losses(tf.constant(real), tf.constant(fake), tf.constant(noise))
    labels = np.concatenate([np.ones((6, 1)), np.zeros((6, 1))]) + 0.05 * noise.reshape(12, 1)
    said = 1 / (1 + np.exp(-np.concatenate([fake, real])))
    expected = -np.mean(labels * np.log(said) + (1 - labels) * np.log(1 - said))
    assert float(d_loss) == pytest.approx(expected, rel=1e-5)
    by_keras = keras.losses.BinaryCrossentropy()(np.zeros((6, 1)), said[:6])
    assert float(g_loss) == pytest.approx(float(by_keras), rel=1e-5)


# Training


def frames_of(config, data, *paths):
    return list(train(config, data, *paths))


@pytest.fixture(scope="module")
def finished(data, principal_directions_from_few_images, tmp_path_factory) -> tuple[list[Frame], Path, Path]:
    """The frames of a training that is over, its checkpoint and its networks, for tests that only look at them. Beside
    them is "first.npz", the checkpoint of its first frame."""
    folder = tmp_path_factory.mktemp("finished")
    paths = folder / "checkpoint.npz", folder / "out.npz"
    with uncompiled():
        frames = train(TINY, data, *paths)
        first = next(frames)
        shutil.copy(paths[0], folder / "first.npz")
        return [first, *frames], *paths


def test_a_training_shows_losses_accuracies_diversity_and_the_same_noise_drawn(finished):
    frames, _, networks = finished
    assert [(frame.step, frame.total) for frame in frames] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    names = {"d_loss", "g_loss", "real_accuracy", "fake_accuracy", "diversity", "steps_per_second"}
    assert set(frames[0].metrics) == names
    assert frames[-1].image.shape == (8 * 64, 8 * 64, 3)
    assert not np.array_equal(frames[0].image, frames[-1].image)
    trained = read_gan(networks)
    assert (trained.name, trained.seen) == ("faces", 16)
    assert trained.principal is not None


def test_the_discriminator_learns_to_tell_noise_from_images(data):
    frames = frames_of(dataclasses.replace(TINY, images=80, interval=5, g_learning_rate=1e-7), data, None, None)
    losses = [frame.metrics["d_loss"] for frame in frames]
    assert losses[-1] < losses[0] - 0.3


def test_a_training_that_is_resumed_ends_with_the_very_same_weights(data, finished, tmp_path, eagerly):
    _, checkpoint, networks = finished
    resumed = tmp_path / "checkpoint.npz"
    shutil.copy(checkpoint.with_name("first.npz"), resumed)
    rest = frames_of(TINY, data, resumed, tmp_path / "out.npz")
    assert [frame.step for frame in rest] == [2, 3, 4]
    assert_equal(checkpoint, resumed)
    assert_equal(networks, tmp_path / "out.npz")


def test_a_training_of_the_books_networks_is_resumed_in_the_same_way(data, tmp_path, monkeypatch, eagerly):
    monkeypatch.setattr(dcgan_training, "SAMPLE_COUNT", 8)
    config = DCGANTrainingConfig(model="notes", images=16, batch_size=8, interval=1)
    whole, resumed = tmp_path / "whole.npz", tmp_path / "resumed.npz"
    frames = train(config, data, whole, None)
    next(frames)
    shutil.copy(whole, resumed)
    assert [frame.step for frame in frames] == [2]
    assert [frame.step for frame in train(config, data, resumed, None)] == [2]
    assert_equal(whole, resumed)


def test_a_finished_training_only_writes_its_result_again(data, finished, tmp_path, eagerly):
    _, checkpoint, networks = finished
    (frame,) = frames_of(TINY, data, checkpoint, tmp_path / "again.npz")
    assert frame.step == frame.total == 4
    assert_equal(networks, tmp_path / "again.npz")


def test_what_is_moved_while_it_trains_takes_effect_and_may_be_another_when_it_goes_on(
    data, finished, tmp_path, eagerly
):
    checkpoint = tmp_path / "checkpoint.npz"
    shutil.copy(finished[1].with_name("first.npz"), checkpoint)

    def of_the_discriminator() -> tuple[np.ndarray, list[float]]:
        """The first kernel, and all scalars of the checkpoint, including the dropout rate."""
        arrays = [array for name, array in arrays_of(checkpoint).items() if name != "header"]
        kernel = next(array for array in arrays if array.shape == (4, 4, 3, 48))
        return kernel, [float(array) for array in arrays if not array.shape]

    before, numbers = of_the_discriminator()
    assert not {0.25, 0.5} & set(numbers)
    frames = train(dataclasses.replace(TINY, d_learning_rate=1e-7, dropout=0.5, rollbacks=2), data, checkpoint, None)
    assert next(frames).step == 2
    after, numbers = of_the_discriminator()
    assert 0 < np.abs(after - before).max() < 1e-6
    assert 0.5 in numbers
    assert frames.send(dataclasses.replace(TINY, d_learning_rate=3e-4, dropout=0.25)).step == 3
    moved, numbers = of_the_discriminator()
    assert np.abs(moved - after).max() > 1e-5
    assert 0.25 in numbers


def test_one_more_rollback_puts_the_networks_back_and_the_steps_go_on(data, tmp_path, monkeypatch, eagerly):
    monkeypatch.setattr(dcgan_training, "alarm", lambda frame, _: "warning: it is late" if frame.step > 1 else "")
    frames = train(TINY, data, tmp_path / "checkpoint.npz", tmp_path / "out.npz")
    assert next(frames).note == ""
    assert next(frames).note == "warning: it is late"
    assert step_of(tmp_path / "checkpoint-good.npz") == 1
    seen = []
    monkeypatch.setattr(
        dcgan_training, "load_checkpoint", lambda path, *rest: seen.append(path.name) or load_checkpoint(path, *rest)
    )
    assert frames.send(dataclasses.replace(TINY, rollbacks=1)).step == 3
    assert seen == ["checkpoint-good.npz"]
    frames.close()
    assert files_in(tmp_path) == ["checkpoint-good.npz", "checkpoint.npz"], "a training that ends early leaves no draft"


def frame_with(progress: float = 0.5, **metrics: float) -> Frame:
    usual = {"real_accuracy": 0.8, "fake_accuracy": 0.8, "diversity": 0.9}
    return Frame(step=1, total=2, progress=progress, metrics=usual | metrics)


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (frame_with(), ""),
        (frame_with(diversity=0.3), "losing diversity"),
        (frame_with(real_accuracy=0.995, fake_accuracy=0.999), "classifies almost every image correctly"),
        (frame_with(0.01, real_accuracy=0.995, fake_accuracy=0.999), ""),
        (frame_with(fake_accuracy=0.0), "is fooled"),
    ],
)
def test_the_alarm_says_what_is_wrong_and_what_to_do(frame, told):
    said = alarm(frame, peak_diversity=0.9)
    assert told in said
    assert bool(said) == bool(told)


def test_diversity_is_the_mean_distance_of_all_pairs():
    images = np.zeros((3, 4, 4, 3), np.uint8)
    images[1], images[2] = 51, 255
    assert diversity(images) == pytest.approx((0.2 + 1.0 + 0.8) / 3, rel=1e-6)


def test_the_average_follows_the_weights(eagerly):
    config = dataclasses.replace(TINY, averaging=0.9).filled()
    networks = TrainState(config)
    start = networks.averaged.get_weights()[0].copy()
    step = make_train_step(networks, config, 10)
    images = tf.constant(blocks(config.batch_size))
    rates = tf.constant(4e-4), tf.constant(0.0)
    after = []
    for i in range(3):
        step(images, tf.constant(i), *rates)
        after.append(networks.generator.get_weights()[0].copy())
    expected = start
    for i, weights in enumerate(after):
        kept = min(0.9, (1 + i) / (10 + i))
        expected = kept * expected + (1 - kept) * weights
    np.testing.assert_allclose(networks.averaged.get_weights()[0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("contents", "told"),
    [
        ({}, "no images"),
        ({"notes.txt": b"no picture"}, "no images"),
        ({f"{i}.png": as_png(image) for i, image in enumerate(blocks(3))}, "only 3 images; it needs at least 16"),
        ({f"{i}.png": as_png(blocks(1)[0]) for i in range(20)}, "are identical"),
        ({f"{i}.png": as_png(image)[:200] for i, image in enumerate(blocks(20))}, "damaged"),
    ],
)
def test_data_that_nothing_can_be_learnt_from_is_refused_in_a_sentence(tmp_path, contents, told):
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    assert told in refusal(ValueError, lambda: next(train(TINY, path, None, None)))


def test_data_that_is_no_zip_or_not_there_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "data.zip").write_bytes(b"no zip")
    assert "not a zip" in refusal(ValueError, lambda: next(train(TINY, tmp_path / "data.zip", None, None)))
    assert "was not found" in refusal(ValueError, lambda: next(train(TINY, tmp_path / "missing.zip", None, None)))


def test_a_folder_serves_as_well_as_a_zip_and_few_images_make_small_batches(tmp_path, eagerly):
    folder = tmp_path / "folder"
    folder.mkdir()
    for i, image in enumerate(blocks(18)):
        (folder / f"{i}.png").write_bytes(as_png(image))
    frame = next(train(dataclasses.replace(TINY, batch_size=64, images=64), folder, None, None))
    assert (frame.step, frame.total) == (1, 4)


def test_resuming_with_other_data_or_settings_is_refused(data, finished, tmp_path):
    checkpoint = finished[1].with_name("first.npz")
    folder = tmp_path / "other"
    folder.mkdir()
    for i, image in enumerate(blocks(40, seed=5)):
        (folder / f"{i:02d}.png").write_bytes(as_png(image))
    told = refusal(ValueError, lambda: next(train(TINY, folder, checkpoint, None)))
    assert "other settings or data" in told
    changed = dataclasses.replace(TINY, augmentation="none")
    assert "other settings" in refusal(ValueError, lambda: next(train(changed, data, checkpoint, None)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 6},
        {"batch_size": 0},
        {"objective": "wasserstein"},
        {"augmentation": "mirrors"},
        {"images": 3},
        {"averaging": 1.0},
        {"dropout": -0.1},
        {"d_learning_rate": float("nan")},
        {"model": "stylegan"},
        {"mirrored": "yes"},
    ],
)
def test_a_setting_out_of_range_is_refused_in_a_sentence(wrong):
    assert is_one_sentence(refusal(ValueError, DCGANTrainingConfig, **wrong))


def test_what_is_left_to_the_model_is_filled_in_and_what_is_said_stays():
    ours, notes = DCGANTrainingConfig().filled(), DCGANTrainingConfig(model="notes", dropout=0.4).filled()
    assert (ours.objective, ours.augmentation, ours.mirrored) == ("hinge", "colour and shift", True)
    assert (notes.objective, notes.g_learning_rate, notes.averaging, notes.dropout) == ("noisy labels", 1e-4, 0.0, 0.4)
    assert ours.filled() == ours


# Scores


def test_evaluate_prints_the_distance_of_what_is_drawn(monkeypatch, data, tmp_path, gan):
    monkeypatch.setattr(dcgan_training, "features", lambda images, _: images.reshape(len(images), -1)[:, :50] / 255.0)
    for name in ("faces", "notes"):
        with (tmp_path / f"{name}.npz").open("wb") as file:
            save_gan(file, gan)
    paths = {name: tmp_path / f"{name}.npz" for name in ("faces", "notes")}
    scores = evaluate(paths, data, WeightsStore())
    assert set(scores) == {"kid", "kid_notes", "kid_real", "kid_ratio_to_notes", "pictures_faces", "pictures_notes"}
    assert scores["kid_ratio_to_notes"] == pytest.approx(1)
