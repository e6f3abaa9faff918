"""Variational autoencoders: loss against closed forms, files, training and its failures."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from engines.data.images import FACES_FILE, FACES_HELD_OUT
from engines.jobs import Job, Workshop
from engines.latent.directions import principal_directions
from engines.latent.geometry import latent_grid
from engines.vae import WalkConfig, resolve, walk
from engines.vae import training as vae_training
from engines.vae.engine import load_vae
from engines.vae.model import VAE, Concept, read_vae, save_vae, vae_from_networks
from engines.vae.networks import ARCHITECTURES
from engines.vae.training import VAETrainingConfig, binary_cross_entropy, concept_directions, kl_loss, scores, train
from engines.weights.store import WeightsError, WeightsStore
from tests.engines.helpers import files_in, refusal

ROOT = Path(__file__).resolve().parents[3]


def with_random_weights(name: str) -> VAE:
    keras.utils.set_random_seed(0)
    return vae_from_networks(name, ARCHITECTURES[name].build_encoder(), ARCHITECTURES[name].build_decoder())


@pytest.fixture(scope="module")
def digits() -> VAE:
    return with_random_weights("digits_notes")


@pytest.fixture(scope="module")
def faces() -> VAE:
    return with_random_weights("faces")


def random_images(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *shape)).astype(np.uint8)


# The loss


def test_the_divergence_is_that_of_gaussians_in_closed_form_and_by_sampling():
    mean, log_variance = np.array([[0.7, -1.2]], np.float32), np.array([[-1.0, 0.4]], np.float32)
    found = float(kl_loss(mean, log_variance)[0])
    variance = np.exp(log_variance)
    # KL(N(m, v) || N(0, 1)) = (v + m^2 - 1 - ln v) / 2, summed over the dimensions.
    assert found == pytest.approx(float((variance + mean**2 - 1 - log_variance).sum() / 2), rel=1e-6)
    z = mean + np.sqrt(variance) * np.random.default_rng(0).standard_normal((400_000, 2))
    log_q = -0.5 * (np.square(z - mean) / variance + log_variance).sum(1)
    log_p = -0.5 * np.square(z).sum(1)
    assert found == pytest.approx(float((log_q - log_p).mean()), rel=0.01)
    assert float(kl_loss(np.zeros((1, 5), np.float32), np.zeros((1, 5), np.float32))[0]) == 0


def test_the_reconstruction_loss_is_the_cross_entropy_of_every_pixel():
    images = random_images(3, 28, 28, 1) / 255.0
    logits = np.random.default_rng(1).normal(size=images.shape)
    p = 1 / (1 + np.exp(-logits))
    expected = -(images * np.log(p) + (1 - images) * np.log(1 - p)).sum((1, 2, 3))
    np.testing.assert_allclose(binary_cross_entropy(images, logits), expected, rtol=1e-6)


def test_the_networks_of_the_notes_are_those_of_the_listing(digits):
    kinds = [type(layer).__name__ for layer in digits.encoder.layers]
    assert kinds == ["InputLayer", "Conv2D", "Conv2D", "Flatten", "Dense", "Dense", "Dense"]
    assert digits.encoder.count_params() == 69_076
    assert digits.decoder.count_params() == 65_089


def test_scores_are_the_loss_of_held_out_images(digits):
    images = random_images(600, 28, 28, 1)
    found = scores(digits, images, seed=3)
    assert found["total"] == pytest.approx(found["reconstruction"] + found["kl"])
    x = images.astype(np.float64) / 255
    mean, log_variance = (np.asarray(a, np.float64) for a in digits.encoder(tf.constant(x, tf.float32)))
    assert found["kl"] == pytest.approx(float(kl_loss(mean, log_variance).numpy().mean()), rel=1e-4)
    assert found["mae"] == pytest.approx(0.25, abs=0.02), "grey against noise"


# Images and latent vectors


@pytest.mark.parametrize("name", ["digits", "faces"])
def test_images_go_there_and_back(name, request):
    vae = request.getfixturevalue(name)
    images = random_images(300, *vae.shape)
    mean, log_variance = vae.encode(images)
    assert mean.shape == log_variance.shape == (300, vae.latent_dim)
    decoded = vae.decode(mean)
    assert (decoded.shape, decoded.dtype) == (images.shape, np.uint8)
    np.testing.assert_array_equal(vae.reconstruct(images[:2]), decoded[:2])
    np.testing.assert_array_equal(vae.reconstruct(images[:2], seed=1), vae.reconstruct(images[:2], seed=1))


def test_the_grid_is_what_lies_at_its_points(digits):
    tiles = digits.latent_grid(6, 2.0, "gaussian")
    points = latent_grid(6, 2.0, "gaussian")
    np.testing.assert_array_equal(tiles[1, 4], digits.decode(points[1, 4])[0])
    assert tiles.shape == (6, 6, 28, 28, 1)


def test_samples_follow_the_prior_or_what_was_encoded(digits, faces):
    assert np.abs(digits.sample_latents(4000, 0).std(0) - 1).max() < 0.05
    rng = np.random.default_rng(0)
    encoded = rng.normal(size=(1000, 256)) * np.linspace(3, 0.1, 256) + 5
    vae = dataclasses.replace(faces, principal=principal_directions(encoded, 64))
    sampled = vae.sample_latents(2000, 0)
    np.testing.assert_allclose(sampled.mean(0), encoded.mean(0), atol=0.3)
    assert sampled[:, 0].std() == pytest.approx(3, rel=0.1)


@pytest.mark.parametrize(
    ("z", "words"),
    [([[0.0, float("nan")]], "finite"), ([[0.0, 1e9]], "between -40 and 40"), ([[0.0, 0.0, 0.0]], "2 numbers")],
)
def test_places_that_are_none_are_refused_in_a_sentence(digits, z, words):
    assert words in refusal(ValueError, digits.decode, np.array(z))


def test_grids_that_are_none_are_refused_in_a_sentence(digits, faces):
    assert "coarser" in refusal(ValueError, digits.latent_grid, 50, 2.0)
    assert "two-dimensional" in refusal(ValueError, faces.latent_grid, 5, 2.0)
    assert "take images of" in refusal(ValueError, digits.encode, random_images(1, 64, 64, 3))


# Walks


def test_a_walk_yields_what_lies_on_its_way(digits):
    config = WalkConfig(waypoints=(-1.0, 0.0, 1.0, 0.0, 1.0, 1.0), steps=4)
    frames = list(walk(config, digits))
    assert [frame.step for frame in frames] == list(range(1, 10))
    assert {frame.total for frame in frames} == {9}
    assert frames[0].image.shape == (448, 448, 3)
    there = next(iter(walk(WalkConfig(waypoints=(1.0, 0.0, 1.0, 1.0)), digits)))
    np.testing.assert_array_equal(frames[4].image, there.image)


def test_a_walk_is_a_job_with_a_recipe_that_repeats_it(digits):
    workshop = Workshop()
    workshop.keep("vae", "digits", digits)
    job = Job(engine="vae", config=WalkConfig(steps=3), inputs={}, backbone="digits")
    started = workshop.start(job)
    frames = list(started)
    assert started.recipe.config["steps"] == 3
    assert started.recipe.stopped_at is None
    assert len(frames) == 4


@pytest.mark.parametrize(
    ("waypoints", "words"), [((1.0, 2.0), "two waypoints"), ((1.0, 2.0, 3.0), "2 numbers"), ((), "two waypoints")]
)
def test_walks_that_are_none_are_refused_in_a_sentence(digits, waypoints, words):
    assert words in refusal(ValueError, resolve, WalkConfig(waypoints=waypoints), digits)


def test_waypoints_far_outside_or_not_finite_are_refused_in_a_sentence():
    assert "between" in refusal(ValueError, lambda: WalkConfig(waypoints=(0.0, 99.0)))
    assert "finite" in refusal(ValueError, lambda: WalkConfig(waypoints=(0.0, float("inf"))))


# Files


def saved(vae: VAE, path: Path) -> Path:
    with path.open("wb") as file:
        save_vae(file, vae.name, vae.encoder, vae.decoder, vae.principal, vae.concepts, vae.examples)
    return path


def test_a_file_gives_back_all_that_went_into_it(digits, tmp_path):
    concept = Concept("smile", np.array([3.0, 4.0], np.float32), np.array([0.6, 0.8], np.float32), 0.7)
    principal = principal_directions(np.random.default_rng(0).normal(size=(50, 2)), 2)
    examples = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32), np.arange(9, dtype=np.uint8)
    whole = dataclasses.replace(digits, concepts=(concept,), principal=principal, examples=examples)
    again = read_vae(saved(whole, tmp_path / "vae.npz"))
    assert (again.name, again.concepts[0].name, again.concepts[0].correlation) == ("digits_notes", "smile", 0.7)
    np.testing.assert_array_equal(again.concepts[0].direction, concept.direction)
    np.testing.assert_array_equal(again.principal.directions, principal.directions)
    np.testing.assert_allclose(again.examples[0], examples[0], atol=2e-3)
    assert len(again.weights) == 64
    images = random_images(5, 28, 28, 1)
    np.testing.assert_allclose(again.encode(images)[0], digits.encode(images)[0], atol=2e-2)


def test_what_is_no_file_of_weights_is_refused_in_a_sentence(digits, tmp_path):
    whole = saved(digits, tmp_path / "vae_digits.npz").read_bytes()
    for name, data in (("cut", whole[: len(whole) // 2]), ("text", b"hello"), ("empty", b"")):
        path = tmp_path / f"{name}.npz"
        path.write_bytes(data)
        assert "damaged" in refusal(WeightsError, read_vae, path)
    np.savez(tmp_path / "other.npz", architecture=np.array("faces"), concepts=np.array("[]"))
    assert "does not contain an autoencoder" in refusal(WeightsError, read_vae, tmp_path / "other.npz")
    assert "no weights named" in refusal(WeightsError, load_vae, "cats", WeightsStore(bundled=tmp_path))


# Training


@pytest.fixture
def mnist(tmp_path) -> Path:
    """A small mnist.npz with bright squares instead of digits."""
    rng = np.random.default_rng(0)

    def draw(count: int) -> np.ndarray:
        images = np.zeros((count, 28, 28), np.uint8)
        for image, (x, y) in zip(images, rng.integers(4, 16, (count, 2)), strict=True):
            image[y : y + 8, x : x + 8] = 255
        return images

    path = tmp_path / "mnist.npz"
    labels = np.zeros(400, np.uint8)
    np.savez(path, x_train=draw(400), y_train=labels, x_test=draw(100), y_test=labels[:100])
    return path


SHORT = VAETrainingConfig(model="digits_notes", epochs=4, batch_size=40, interval=2)


def test_training_leads_down_shows_its_work_and_leaves_weights_that_load(mnist, tmp_path):
    config = dataclasses.replace(SHORT, epochs=10, learning_rate=3e-3, interval=10)
    frames = list(train(config, mnist, None, tmp_path / "vae.npz"))
    assert [frame.step for frame in frames] == list(range(10, 101, 10))
    assert frames[-1].metrics["reconstruction_loss"] < 0.6 * frames[0].metrics["reconstruction_loss"]
    assert {"kl_loss", "validation_loss", "steps_per_second"} <= set(frames[-1].metrics)
    assert frames[-1].image.shape == (4 * 28, 10 * 28, 3)
    vae = read_vae(tmp_path / "vae.npz")
    assert vae.examples is not None
    found = vae_training.evaluate({"digits_notes": tmp_path / "vae.npz"}, mnist)
    assert found["digits_notes_total"] == pytest.approx(frames[-1].metrics["validation_loss"], rel=0.05)


def test_a_checkpoint_of_another_configuration_is_refused_in_a_sentence(mnist, tmp_path, eagerly):
    checkpoint = tmp_path / "checkpoint.npz"
    frames = train(SHORT, mnist, checkpoint, None)
    next(frames)
    frames.close()
    other = dataclasses.replace(SHORT, kl_weight=2.0)
    assert "other settings" in refusal(ValueError, lambda: next(train(other, mnist, checkpoint, None)))


def test_a_finished_training_is_not_passed_off_as_one_on_other_data(mnist, tmp_path, eagerly):
    checkpoint, output = tmp_path / "checkpoint.npz", tmp_path / "vae.npz"
    short = dataclasses.replace(SHORT, epochs=1)
    list(train(short, mnist, checkpoint, None))
    with np.load(mnist) as arrays:
        np.savez(tmp_path / "other.npz", **(dict(arrays) | {"x_train": arrays["x_train"][:, ::-1]}))
    told = refusal(ValueError, lambda: list(train(short, tmp_path / "other.npz", checkpoint, output)))
    assert "other settings or data" in told
    assert not output.exists()


def test_a_disk_that_is_full_leaves_the_older_checkpoint(mnist, tmp_path, monkeypatch, eagerly):
    checkpoint = tmp_path / "checkpoint.npz"
    frames = train(SHORT, mnist, checkpoint, None)
    next(frames)
    before = checkpoint.read_bytes()
    monkeypatch.setattr(np, "savez", lambda *a, **k: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    assert "the disk is full" in next(frames).note
    assert checkpoint.read_bytes() == before
    assert files_in(tmp_path) == ["checkpoint.npz", "mnist.npz"]


def zip_of(path: Path, count: int, size: int = 64) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(count):
            buffer = io.BytesIO()
            Image.fromarray(np.full((size, size, 3), 5 * i % 256, np.uint8)).save(buffer, "PNG")
            archive.writestr(f"faces/{i:03d}.png", buffer.getvalue())
    return path


@pytest.mark.parametrize(("count", "words"), [(0, "no images"), (1, "only 1 image;"), (9, "at least 16")])
def test_a_zip_with_too_few_images_is_refused_in_a_sentence(tmp_path, count, words):
    path = zip_of(tmp_path / "few.zip", count)
    assert words in refusal(ValueError, vae_training.read_images, "faces", path)


def test_faces_are_trained_from_a_zip_with_the_last_names_held_out(tmp_path):
    path = zip_of(tmp_path / "faces.zip", 40)
    found = vae_training.read_images("faces", path)
    assert (len(found.train), len(found.held_out)) == (35, 5)
    assert found.held_out[0, 0, 0, 0] == 5 * 35
    config = VAETrainingConfig(model="faces", epochs=1, batch_size=16, interval=1, perceptual_weight=0.1)
    config = dataclasses.replace(config, perceptual_from=0.5)
    frames = list(train(config, path, None, tmp_path / "vae.npz"))
    assert "perceptual_loss" not in frames[0].metrics
    assert frames[-1].metrics["perceptual_loss"] > 0
    assert read_vae(tmp_path / "vae.npz").principal is not None


def test_concepts_are_the_directions_along_which_ratings_rise(tmp_path, faces):
    rng = np.random.default_rng(0)
    brightness = rng.uniform(20, 230, 200)
    columns = list(vae_training.CONCEPTS)
    with zipfile.ZipFile(tmp_path / "rated.zip", "w") as archive:
        for i, value in enumerate(brightness):
            buffer = io.BytesIO()
            Image.fromarray(np.full((64, 64, 3), value, np.uint8)).save(buffer, "PNG")
            archive.writestr(f"omi/{i}.png", buffer.getvalue())
        rows = [",".join([str(i), *[f"{value:.2f}"] * len(columns)]) for i, value in enumerate(brightness)]
        archive.writestr("attributes.csv", "\n".join([",".join(["name", *columns]), *rows]))
    found = concept_directions(faces, tmp_path / "rated.zip")
    assert [concept.name for concept in found] == list(vae_training.CONCEPTS.values())
    assert found[0].correlation > 0.95
    assert np.linalg.norm(found[0].probe) == pytest.approx(1, abs=1e-5)
    assert found[0].direction @ found[0].probe > 0


# What ships


def test_the_shipped_weights_score_what_the_manifest_says(shared, tmp_path):
    # Every tenth digit is enough; `python -m engines.train vae --evaluate` scores all.
    with np.load(shared / "data" / "mnist.npz") as whole:
        np.savez(tmp_path / "mnist.npz", **{name: values[::10] for name, values in whole.items()})
    with zipfile.ZipFile(shared / "data" / FACES_FILE) as faces, zipfile.ZipFile(tmp_path / FACES_FILE, "w") as last:
        for name in sorted(faces.namelist())[-FACES_HELD_OUT - 100 :]:
            last.writestr(name, faces.read(name))
    entries = {e["file"]: e for e in json.loads((ROOT / "weights" / "manifest.json").read_text())["files"]}
    shipped = {name: ROOT / "weights" / f"vae_{name}.npz" for name in ARCHITECTURES}
    found = vae_training.evaluate(shipped, tmp_path)
    for name in ARCHITECTURES:
        for key, value in entries[f"vae_{name}.npz"]["score"].items():
            if key != "on":
                assert found[f"{name}_{key}"] == pytest.approx(value, rel=0.05), key
    assert found["faces_mae"] <= 0.05
    assert found["digits_total"] < found["digits_notes_total"]
