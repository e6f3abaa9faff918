"""Results on disk: names, inputs by their hash, recipes inside, nothing left of what failed."""

from __future__ import annotations

import dataclasses
import re

import av
import numpy as np
import pytest
from PIL import Image

from engines.parts.pictures import digest, read_picture
from engines.recipes import read_recipe
from studio.gallery import Gallery, ResultKeeper
from tests.engines.helpers import files_in
from tests.studio.conftest import SMALL


@pytest.fixture
def gallery(tmp_path) -> Gallery:
    """An empty gallery."""
    return Gallery(tmp_path / "results")


def followed(started, keeper: ResultKeeper, steps: int | None = None):
    """A job's frames shown to its keeper, all or the first so many."""
    for frame in started:
        keeper.see(frame)
        if frame.step == steps:
            break
    return started


def test_names_of_results_are_unique_and_cannot_be_guessed(gallery):
    names = [gallery.new_path("deep_dream", ".png").name for _ in range(300)]
    assert len(set(names)) == 300
    secrets = [re.fullmatch(r"deep_dream-\d{8}-\d{6}-([0-9a-f]{12})\.png", name)[1] for name in names]
    assert len(set(secrets)) == 300


def test_a_picture_is_kept_once_under_its_hash_without_loss(gallery, picture):
    path = gallery.keep_input(picture)
    assert path == gallery.inputs / f"{digest(picture)}.png"
    written = path.stat()
    assert gallery.keep_input(picture.copy()) == path
    assert path.stat().st_mtime_ns == written.st_mtime_ns
    assert path.stat().st_ino == written.st_ino
    assert files_in(gallery.inputs) == [path.name]
    np.testing.assert_array_equal(read_picture(path), picture)


def test_pictures_that_differ_in_one_pixel_or_in_shape_only_are_different_inputs(gallery, picture):
    other = picture.copy()
    other[0, 0, 0] ^= 1
    reshaped = picture.reshape(picture.shape[1], picture.shape[0], 3)
    assert len({gallery.keep_input(image) for image in (picture, other, reshaped)}) == 3


def test_a_kept_input_is_found_by_its_hash(gallery, picture):
    path = gallery.keep_input(picture)
    assert gallery.find_input(digest(picture)) == path
    assert gallery.find_input("0" * 64) is None


def test_nothing_but_a_hash_is_looked_for(gallery, picture):
    kept = gallery.keep_input(picture)
    (gallery.folder / "x.png").write_bytes(kept.read_bytes())
    (gallery.inputs / "short.png").write_bytes(kept.read_bytes())
    upper = digest(picture).upper()
    (gallery.inputs / f"{upper}.png").write_bytes(kept.read_bytes())
    hashes = ["../x", "short", upper, "", digest(picture)[:-1], digest(picture) + "\n", f"../inputs/{digest(picture)}"]
    assert [gallery.find_input(hash_) for hash_ in hashes] == [None] * len(hashes)


def test_a_result_holds_its_recipe_and_its_input_is_found_again(studio, small_job, picture):
    keeper = studio.gallery.keeper(small_job)
    started = followed(studio.workshop.start(small_job), keeper)
    path = keeper.finish(started)
    assert path.parent == studio.gallery.folder
    recipe = read_recipe(path)
    assert recipe == started.recipe
    np.testing.assert_array_equal(np.asarray(Image.open(path)), started.last.image)
    np.testing.assert_array_equal(read_picture(studio.gallery.find_input(recipe.inputs["image"])), picture)


def test_a_result_carries_neither_photo_nor_path_inside(studio, small_job):
    keeper = studio.gallery.keeper(small_job)
    path = keeper.finish(followed(studio.workshop.start(small_job), keeper))
    with Image.open(path) as result:
        result.load()
        assert set(result.info) == {"reverie"}
        assert str(studio.gallery.folder) not in result.info["reverie"]


def test_a_guide_is_kept_too(studio, small_job, picture):
    job = dataclasses.replace(small_job, inputs={"image": picture, "guide": picture[::-1]})
    keeper = studio.gallery.keeper(job)
    recipe = read_recipe(keeper.finish(followed(studio.workshop.start(job), keeper)))
    np.testing.assert_array_equal(read_picture(studio.gallery.find_input(recipe.inputs["guide"])), picture[::-1])


def test_a_run_of_several_pictures_becomes_a_film_with_its_recipe(studio, small_job):
    job = dataclasses.replace(small_job, config=dataclasses.replace(SMALL, pictures=3, steps=2))
    keeper = studio.gallery.keeper(job)
    started = followed(studio.workshop.start(job), keeper)
    path = keeper.finish(started)
    assert path.suffix == ".mp4"
    assert read_recipe(path) == started.recipe
    with av.open(str(path)) as film:
        shapes = [(frame.height, frame.width) for frame in film.decode(video=0)]
    assert shapes == [(48, 72)] * 3
    assert files_in(studio.gallery.folder) == sorted([path.name, "inputs", "moments"])


def test_a_film_stopped_after_its_first_picture_is_a_film_of_that_picture(studio, small_job):
    job = dataclasses.replace(small_job, config=dataclasses.replace(SMALL, pictures=3, steps=2))
    keeper = studio.gallery.keeper(job)
    path = keeper.finish(followed(studio.workshop.start(job), keeper, steps=3))
    assert path.suffix == ".mp4"
    assert read_recipe(path).stopped_at == 3
    with av.open(str(path)) as film:
        assert len(list(film.decode(video=0))) == 1


def test_a_film_stopped_before_its_first_picture_is_whole_keeps_what_there_is_as_a_picture(studio, small_job):
    job = dataclasses.replace(small_job, config=dataclasses.replace(SMALL, pictures=3, steps=2))
    keeper = studio.gallery.keeper(job)
    path = keeper.finish(followed(studio.workshop.start(job), keeper, steps=1))
    assert path.suffix == ".png"
    assert read_recipe(path).stopped_at == 1


@pytest.mark.parametrize("steps", [1, 3])
def test_a_discarded_run_leaves_nothing_but_its_moments_until_they_are_forgotten(studio, small_job, steps):
    job = dataclasses.replace(small_job, config=dataclasses.replace(SMALL, pictures=3, steps=2))
    keeper = studio.gallery.keeper(job)
    followed(studio.workshop.start(job), keeper, steps=steps)
    keeper.discard()
    assert files_in(studio.gallery.folder) == ["inputs", "moments"]
    assert files_in(studio.gallery.inputs) == []
    keeper.moments.forget()
    assert files_in(studio.gallery.folder / "moments") == []


def test_a_gallery_opens_on_a_folder_that_has_results_already(tmp_path, picture):
    kept = Gallery(tmp_path / "results").keep_input(picture)
    assert Gallery(tmp_path / "results").find_input(digest(picture)) == kept
