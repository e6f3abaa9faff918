"""DCGAN: networks, samples, walks, the discriminator's scores, projection, and files."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest

from engines.dcgan import DrawConfig, FaceWalkConfig, draw, resolve, sheet, walk
from engines.dcgan.config import ProjectionConfig
from engines.dcgan.model import read_gan, save_gan
from engines.dcgan.networks import ARCHITECTURES
from engines.dcgan.projection import project
from engines.dcgan.training import (
    diversity,
)
from engines.jobs import Job, Workshop, job_from_recipe
from engines.recipes import from_json
from engines.weights.store import WeightsError
from tests.engines.helpers import blocks, refusal, untrained_gan

pytestmark = pytest.mark.usefixtures("principal_directions_from_few_images", "few_candidates")


# Networks


def test_the_books_networks_have_the_books_numbers_of_weights():
    notes = ARCHITECTURES["notes"]
    generator, discriminator = notes.build_generator(), notes.build_discriminator()
    expected = 128 * 8192 + 8192
    for before, after in ((128, 128), (128, 256), (256, 512)):
        expected += 4 * 4 * before * after + after
    assert generator.count_params() == expected + 5 * 5 * 512 * 3 + 3
    trainable = sum(int(np.prod(weight.shape)) for weight in discriminator.trainable_weights)
    layers = 4 * 4 * (3 * 64 + 64 * 128 + 128 * 128) + 64 + 128 + 128
    assert trainable == layers + 8 * 8 * 128 + 1
    assert generator.output_shape == (None, 64, 64, 3)


def test_our_generator_and_discriminator_do_a_fifth_of_the_arithmetic_of_the_books():
    def products(network: keras.Model) -> float:
        total = 0
        for layer in network.layers:
            kernel = getattr(layer, "kernel", None)
            if kernel is None:
                continue
            # A transposed convolution multiplies once for each input pixel, others for each output pixel.
            places = layer.input.shape if isinstance(layer, keras.layers.Conv2DTranspose) else layer.output.shape
            total += int(np.prod(kernel.shape)) * int(np.prod(places[1:3] if len(places) == 4 else (1,)))
        return total

    def step(name: str) -> float:
        return 3 * products(ARCHITECTURES[name].build_generator()) + 9 * products(
            ARCHITECTURES[name].build_discriminator()
        )

    assert step("faces") < 0.2 * step("notes")


# Drawing


def test_an_image_is_a_function_of_its_seed_alone(gan):
    together = gan.sample([5, 6, 7])
    assert together.shape == (3, 64, 64, 3)
    assert together.dtype == np.uint8
    np.testing.assert_allclose(gan.sample([6])[0].astype(int), together[1].astype(int), atol=1)
    assert not np.array_equal(together[0], together[1])


def test_truncation_shortens_latent_vectors_and_makes_images_more_alike(gan):
    np.testing.assert_allclose(gan.latents([1, 2], 0.5), 0.5 * gan.latents([1, 2]), rtol=1e-6)
    assert diversity(gan.sample(range(16), 0.3)) < diversity(gan.sample(range(16), 1.0))


@pytest.mark.parametrize("seed", [-1, 2**31])
def test_a_seed_that_is_none_is_refused(gan, seed):
    assert "A seed must be between" in refusal(ValueError, gan.latents, [seed])


def test_a_sheet_has_images_in_rows_and_black_where_none_is_left():
    whole = sheet(blocks(5))
    assert whole.shape == (2 * 64, 3 * 64, 3)
    np.testing.assert_array_equal(whole[64:, 64:128], blocks(5)[4])
    assert not whole[64:, 128:].any()


def test_drawing_is_a_frame_and_steering_draws_again(gan):
    frames = draw(DrawConfig(seed=3, count=4), gan)
    first = next(frames)
    assert (first.step, first.total, first.image.shape) == (1, 1, (128, 128, 3))
    again = frames.send(DrawConfig(seed=3, count=4, truncation=0.1))
    assert again.step == 2
    assert not np.array_equal(again.image, first.image)
    assert next(frames, None) is None


def test_an_edited_face_is_moved_along_the_directions_and_towards_another(gan):
    z, other = gan.latents([1, 2])
    assert len(gan.directions) == 12
    np.testing.assert_allclose(np.linalg.norm(gan.directions, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(gan.edited(z, None, 0, [0, 2.0]), z + 2 * gan.directions[1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gan.edited(z, other, 1.0, []), other, rtol=1e-4, atol=1e-5)
    config = DrawConfig(z=tuple(map(float, z)), second=tuple(map(float, other)), blend=0.5, along=(1.0,))
    frame = next(draw(config, gan))
    np.testing.assert_allclose(frame.z, gan.edited(z, other, 0.5, [1.0]), rtol=1e-5, atol=1e-6)


def test_the_first_layers_directions_count_the_normalisation_in(gan):
    scaled = keras.models.clone_model(gan.generator)
    scaled.set_weights(gan.generator.get_weights())
    after = scaled.layers[[layer.name for layer in scaled.layers].index("first") + 2]
    after.gamma.assign(np.linspace(0.1, 5, 384))
    other = dataclasses.replace(gan, generator=scaled)
    # Including normalisation, the first direction changes the pre-activations more than any other.
    answer = keras.Model(scaled.input, after.output)

    def length(direction: np.ndarray) -> float:
        moved = answer(np.stack([direction, np.zeros(128, np.float32)]))
        return float(np.linalg.norm(moved[0] - moved[1]))

    rng = np.random.default_rng(0).standard_normal((20, 128)).astype(np.float32)
    others = rng / np.linalg.norm(rng, axis=1, keepdims=True)
    assert length(other.directions[0]) > max(length(one) for one in (*others, *gan.directions[:1]))


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (DrawConfig(z=(0.0,) * 3), "must have 128 numbers, not 3"),
        (DrawConfig(z=(0.0,) * 128, second=(1.0,)), "must have 128 numbers, not 1"),
        (DrawConfig(along=(0.0,) * 13), "12 directions"),
        (FaceWalkConfig(waypoints=(0.0,) * 200), "must have 128 numbers"),
        (FaceWalkConfig(waypoints=(0.0,) * 128), "at least two waypoints"),
        (FaceWalkConfig(seeds=(4,)), "at least two waypoints"),
        (FaceWalkConfig(seeds=()), "at least two waypoints"),
    ],
)
def test_a_latent_vector_of_the_wrong_length_or_a_walk_of_one_place_is_refused(gan, config, told):
    assert told in refusal(ValueError, resolve, config, gan)


# Walks


def test_a_loop_passes_its_places_and_ends_before_it_would_stand_still(gan):
    frames = list(walk(FaceWalkConfig(seeds=(1, 2, 3), steps=4, truncation=1.0), gan))
    assert [frame.step for frame in frames] == list(range(1, 13))
    assert frames[-1].total == 12
    np.testing.assert_allclose(frames[4].z, gan.latents([2])[0], rtol=1e-4, atol=1e-5)
    lengths = [float(np.linalg.norm(frame.z)) for frame in frames]
    ends = [float(np.linalg.norm(z)) for z in gan.latents([1, 2, 3])]
    assert min(ends) - 1e-3 <= min(lengths), "an arc stays where samples are"
    assert max(lengths) <= max(ends) + 1e-3


def test_an_open_walk_ends_at_its_last_place_and_waypoints_replace_seeds(gan):
    places = gan.latents([8, 9])
    config = FaceWalkConfig(waypoints=tuple(map(float, places.ravel())), steps=3, closed=False)
    frames = list(walk(config, gan))
    assert len(frames) == 4
    np.testing.assert_allclose(frames[-1].z, places[1], rtol=1e-5, atol=1e-6)


def test_a_recipe_gives_the_same_walk_again(gan):
    workshop = Workshop()
    workshop.keep("dcgan", "faces", gan)
    first = workshop.start(Job(engine="dcgan_walk", config=FaceWalkConfig(steps=2), inputs={}, backbone="faces"))
    images = [frame.image for frame in first]
    again = workshop.start(job_from_recipe(from_json(first.recipe.to_json()), {}))
    for one, other in zip(images, (frame.image for frame in again), strict=True):
        np.testing.assert_array_equal(one, other)


# The discriminator


def test_verdicts_do_not_depend_on_what_else_is_judged(gan):
    images = blocks(5)
    together = gan.scores(images)
    assert together.shape == (5,)
    np.testing.assert_allclose([gan.scores(image[None])[0] for image in images], together, atol=1e-4)


def test_the_books_discriminator_is_turned_round_so_that_more_is_realer():
    gan = untrained_gan("notes")
    images = blocks(3)
    said = gan.discriminator(images.astype(np.float32) / 255, training=False)
    np.testing.assert_allclose(gan.scores(images), -np.asarray(said)[:, 0], atol=1e-5)
    assert gan.score_percentile(0.0) is None


def test_a_verdicts_standing_is_the_share_of_photographs_below_it(gan):
    scores = gan.scores(blocks(40))
    assert gan.score_percentile(float(np.median(scores))) == pytest.approx(50, abs=2)
    assert (gan.score_percentile(1e6), gan.score_percentile(-1e6)) == (100, 0)


def test_saliency_is_where_a_change_would_move_the_score(gan):
    where = gan.saliency_map(blocks(1)[0])
    assert where.shape == (64, 64)
    assert where.max() == pytest.approx(1, abs=1e-4)
    assert 0 <= where.min() < 0.9


@pytest.mark.parametrize("image", [np.zeros((32, 32, 3), np.uint8), np.zeros((64, 64, 3), np.float32)])
def test_the_discriminator_refuses_what_is_no_image_of_its_size(gan, image):
    refusal(ValueError, gan.scores, image[None])
    refusal(ValueError, gan.saliency_map, image)


# Projection


def test_a_search_comes_nearer_and_yields_the_best_that_it_found(gan):
    target = gan.sample([1234])[0]
    frames = list(project(target, ProjectionConfig(steps=12, starts=2), gan))
    losses = [frame.metrics["loss"] for frame in frames]
    assert [frame.step for frame in frames] == list(range(1, 13))
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]
    assert set(frames[0].metrics) == {"loss", "pixel_error", "perceptual_loss"}
    shown = gan.decode(frames[-1].z)[0].astype(float)
    assert np.abs(shown - target).mean() / 255 == pytest.approx(frames[-1].metrics["pixel_error"], abs=0.01)


def test_the_same_seed_finds_the_same_face_and_closing_ends_the_search(gan, sample_image):
    config = ProjectionConfig(steps=3, starts=2)
    first, again = (list(project(sample_image, config, gan))[-1].z for _ in range(2))
    np.testing.assert_array_equal(first, again)
    frames = project(sample_image, config, gan)
    next(frames)
    frames.close()
    assert next(frames, None) is None


def test_with_other_weights_the_best_is_looked_for_anew(gan, sample_image):
    config = ProjectionConfig(steps=6, starts=2)
    frames = project(sample_image, config, gan)
    before = [next(frames), next(frames)][-1].metrics
    heavier = frames.send(dataclasses.replace(config, pixel_weight=10.0)).metrics
    assert heavier["loss"] > before["loss"]
    assert [frame.metrics["loss"] for frame in frames][-1] <= heavier["loss"]


def test_a_search_that_looks_for_nothing_and_an_image_that_is_none_are_refused(gan):
    told = refusal(ValueError, ProjectionConfig, perceptual_weight=0.0, pixel_weight=0.0)
    assert "must be above 0" in told
    refusal(ValueError, lambda: next(project(np.zeros((4, 4, 3), np.uint8), ProjectionConfig(), gan)))


# Files


def test_what_is_saved_is_read_back_in_half_precision(gan, tmp_path):
    path = tmp_path / "gan.npz"
    with path.open("wb") as file:
        save_gan(file, gan)
    back = read_gan(path)
    assert (back.name, back.seen, back.score_sign) == ("faces", 7, 1.0)
    np.testing.assert_array_equal(back.held_out_percentiles, gan.held_out_percentiles)
    np.testing.assert_allclose(back.principal.directions, gan.principal.directions)
    difference = back.sample([1, 2]).astype(int) - gan.sample([1, 2])
    assert np.abs(difference).max() <= 2
    path.write_bytes(path.read_bytes()[:2000])
    assert "damaged" in refusal(WeightsError, read_gan, path)
