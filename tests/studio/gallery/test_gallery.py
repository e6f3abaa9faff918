"""Gallery: names, inputs by hash, recipes in the files, nothing left after a failure."""

from __future__ import annotations

import dataclasses
import re
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from engines.imaging.images import digest, load_image, read_image
from engines.recipes import from_json, read_recipe
from studio.gallery.gallery import Gallery
from studio.gallery.result_writer import JobResultWriter
from studio.services import Studio
from tests.engines.helpers import encoded, files_in, refusal
from tests.studio.conftest import SMALL


@pytest.fixture
def gallery(tmp_path) -> Gallery:
    """An empty gallery."""
    return Gallery(tmp_path / "results")


def followed(started, writer: JobResultWriter, steps: int | None = None):
    """Pass a job's frames to its writer: all, or the first `steps`."""
    for frame in started:
        writer.add(started)
        if frame.step == steps:
            break
    return started


def test_names_of_results_are_unique_and_cannot_be_guessed(gallery):
    names = [gallery.new_path("deep_dream", ".png").name for _ in range(300)]
    assert len(set(names)) == 300
    secrets = [re.fullmatch(r"deep_dream-\d{8}-\d{6}-([0-9a-f]{12})\.png", name)[1] for name in names]
    assert len(set(secrets)) == 300


def test_an_image_is_kept_once_under_its_hash_without_loss(gallery, sample_image):
    path = gallery.keep_input(sample_image)
    assert path == gallery.inputs / f"{digest(sample_image)}.png"
    written = path.stat()
    assert gallery.keep_input(sample_image.copy()) == path
    assert path.stat().st_mtime_ns == written.st_mtime_ns
    assert path.stat().st_ino == written.st_ino
    assert files_in(gallery.inputs) == [path.name]
    np.testing.assert_array_equal(read_image(path), sample_image)


def test_images_that_differ_in_one_pixel_or_in_shape_only_are_different_inputs(gallery, sample_image):
    other = sample_image.copy()
    other[0, 0, 0] ^= 1
    filter_logits = sample_image.reshape(sample_image.shape[1], sample_image.shape[0], 3)
    assert len({gallery.keep_input(image) for image in (sample_image, other, filter_logits)}) == 3


def test_a_kept_input_is_found_by_its_hash(gallery, sample_image):
    path = gallery.keep_input(sample_image)
    assert gallery.find_input(digest(sample_image)) == path
    assert gallery.find_input("0" * 64) is None


def test_nothing_but_a_hash_is_looked_for(gallery, sample_image):
    kept = gallery.keep_input(sample_image)
    (gallery.folder / "x.png").write_bytes(kept.read_bytes())
    (gallery.inputs / "short.png").write_bytes(kept.read_bytes())
    upper = digest(sample_image).upper()
    (gallery.inputs / f"{upper}.png").write_bytes(kept.read_bytes())
    hashes = [
        "../x",
        "short",
        upper,
        "",
        digest(sample_image)[:-1],
        digest(sample_image) + "\n",
        f"../inputs/{digest(sample_image)}",
    ]
    assert [gallery.find_input(hash_) for hash_ in hashes] == [None] * len(hashes)


def test_a_result_holds_its_recipe_and_its_input_is_found_again(studio, small_job, sample_image):
    writer = studio.result_writer(small_job)
    started = followed(studio.workshop.start(small_job), writer)
    path = writer.finish(started)
    assert path.parent == studio.gallery.folder
    recipe = read_recipe(path)
    assert recipe == started.recipe
    np.testing.assert_array_equal(np.asarray(Image.open(path)), started.last.image)
    np.testing.assert_array_equal(read_image(studio.gallery.find_input(recipe.inputs["image"])), sample_image)


def test_a_result_carries_neither_photo_nor_path_inside(studio, small_job):
    writer = studio.result_writer(small_job)
    path = writer.finish(followed(studio.workshop.start(small_job), writer))
    with Image.open(path) as result:
        result.load()
        assert set(result.info) == {"reverie", "srgb"}
        assert str(studio.gallery.folder) not in result.info["reverie"]


def test_what_the_photos_file_says_goes_on_into_the_result_and_the_kept_photo(studio, small_job, sample_image):
    exif = Image.Exif()
    exif.update({0x010F: "Maker", 0x0112: 6})
    exif.get_ifd(0x8825)[1] = "N"
    photo = load_image(encoded(Image.fromarray(sample_image), "PNG", exif=exif.tobytes(), dpi=(300, 300)))
    job = dataclasses.replace(small_job, inputs={"image": photo.pixels}, details=photo.details)
    writer = studio.result_writer(job)
    path = writer.finish(followed(studio.workshop.start(job), writer))
    for kept in (path, studio.gallery.find_input(read_recipe(path).inputs["image"])):
        with Image.open(kept) as result:
            assert dict(result.getexif()) == {0x010F: "Maker"}
            assert result.info["dpi"] == pytest.approx((300, 300), abs=0.01)
        assert load_image(kept).details.exif == photo.details.exif, "and on from there"


def test_a_guide_is_kept_too(studio, small_job, sample_image):
    job = dataclasses.replace(small_job, inputs={"image": sample_image, "guide": sample_image[::-1]})
    writer = studio.result_writer(job)
    recipe = read_recipe(writer.finish(followed(studio.workshop.start(job), writer)))
    np.testing.assert_array_equal(read_image(studio.gallery.find_input(recipe.inputs["guide"])), sample_image[::-1])


def test_a_run_of_several_images_becomes_a_video_with_its_recipe(studio, small_job):
    job = dataclasses.replace(small_job, config=dataclasses.replace(SMALL, pictures=3, steps=2))
    writer = studio.result_writer(job)
    started = followed(studio.workshop.start(job), writer)
    path = writer.finish(started)
    assert path.suffix == ".mp4"
    assert read_recipe(path) == started.recipe
    with av.open(str(path)) as video:
        shapes = [(frame.height, frame.width) for frame in video.decode(video=0)]
    assert shapes == [(48, 72)] * 3
    assert files_in(studio.gallery.folder) == sorted([path.name, "inputs", "moments", "thumbnails"])


def test_a_video_stopped_after_its_first_image_is_a_video_of_that_image(studio, small_job):
    job = dataclasses.replace(small_job, config=dataclasses.replace(SMALL, pictures=3, steps=2))
    writer = studio.result_writer(job)
    path = writer.finish(followed(studio.workshop.start(job), writer, steps=3))
    assert path.suffix == ".mp4"
    assert read_recipe(path).stopped_at == 3
    with av.open(str(path)) as video:
        assert len(list(video.decode(video=0))) == 1


def test_a_video_stopped_before_its_first_image_is_whole_keeps_what_there_is_as_an_image(studio, small_job):
    job = dataclasses.replace(small_job, config=dataclasses.replace(SMALL, pictures=3, steps=2))
    writer = studio.result_writer(job)
    path = writer.finish(followed(studio.workshop.start(job), writer, steps=1))
    assert path.suffix == ".png"
    assert read_recipe(path).stopped_at == 1


@pytest.mark.parametrize("steps", [1, 3])
def test_a_discarded_run_leaves_nothing_but_its_snapshots_until_they_are_deleted(studio, small_job, steps):
    job = dataclasses.replace(small_job, config=dataclasses.replace(SMALL, pictures=3, steps=2))
    writer = studio.result_writer(job)
    followed(studio.workshop.start(job), writer, steps=steps)
    writer.discard()
    assert files_in(studio.gallery.folder) == ["moments"]
    writer.snapshots.delete()
    assert files_in(studio.gallery.folder / "moments") == []


def test_a_gallery_opens_on_a_folder_that_has_results_already(tmp_path, sample_image):
    kept = Gallery(tmp_path / "results").keep_input(sample_image)
    assert Gallery(tmp_path / "results").find_input(digest(sample_image)) == kept


# Listing


def put(gallery: Gallery, name: str, content: bytes = b"not a picture") -> Path:
    path = gallery.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_results_come_newest_first_and_by_engine_and_nothing_else_is_one(gallery):
    old, new = "deep_dream-20260101-120000-0123456789ab.png", "vae-20260102-000000-ffffffffffff.mp4"
    text = "language_model-20260101-120001-0123456789ab.txt"
    for name in (
        old,
        text,
        new,
        "deep_dream-20260101-120000-0123456789ab.json",
        ".vae-20260101-120000-x.mp4",
        "me.png",
    ):
        put(gallery, name)
    put(gallery, "inputs/" + "0" * 64 + ".png")
    assert gallery.names() == [new, text, old]
    assert [gallery.find(name).kind for name in gallery.names()] == ["video", "text", "picture"]
    assert gallery.names(["vae", "dcgan"]) == [new]
    assert str(gallery.find(old).made) == "2026-01-01 12:00:00"
    assert Gallery(gallery.folder / "nothing there").names() == []


def test_ten_thousand_results_are_listed_without_reading_them(gallery):
    for i in range(10_000):
        put(gallery, f"deep_dream-20260101-{i // 3600:02d}{i // 60 % 60:02d}{i % 60:02d}-{i:012x}.png", b"")
    stamps = [gallery.find(name).stamp for name in gallery.names()]
    assert len(stamps) == 10_000
    assert stamps == sorted(stamps, reverse=True)


@pytest.mark.parametrize("name", ["../secret.png", "inputs", "", "deep_dream-1-2-3.png", "a\0b.png", "x" * 5000])
def test_nothing_but_a_result_is_found_or_removed(gallery, name):
    outside = put(gallery, "../secret.png")
    assert gallery.find(name) is None
    assert gallery.remove([name]) == 0
    assert outside.exists()


def test_a_removed_result_takes_its_recipe_and_thumbnail_along(gallery):
    kept = put(gallery, "language_model-20260101-120000-000000000000.txt")
    result = gallery.find(put(gallery, "language_model-20260101-120001-000000000000.txt").name)
    put(gallery, "language_model-20260101-120001-000000000000.json")
    put(gallery, "thumbnails/" + gallery.thumbnail(result).name)
    assert gallery.remove([result.name, "language_model-20260101-120002-000000000000.txt"]) == 1
    assert files_in(gallery.folder) == [kept.name, "thumbnails"]
    assert files_in(gallery.folder / "thumbnails") == []


def test_an_archive_holds_results_with_their_recipes_and_few_archives_are_kept(studio, small_job):
    gallery, names = studio.gallery, []
    for _ in range(2):
        writer = studio.result_writer(small_job)
        names.append(writer.finish(followed(studio.workshop.start(small_job), writer)).name)
    damaged = put(gallery, "deep_dream-20260101-120000-000000000000.png").name
    for _ in range(5):
        path = gallery.archive([*names, damaged, "deep_dream-20260101-120000-111111111111.png"])
    with zipfile.ZipFile(path) as archive:
        stems = [name.removesuffix(".png") for name in names]
        assert sorted(archive.namelist()) == sorted([*names, damaged, *(f"{stem}.json" for stem in stems)])
        assert archive.read(names[0]) == (gallery.folder / names[0]).read_bytes()
        assert from_json(archive.read(f"{stems[1]}.json").decode()) == read_recipe(gallery.folder / names[1])
    assert len(files_in(path.parent)) == 3
    assert "Select the results" in refusal(ValueError, gallery.archive, ["deep_dream-20260101-120000-111111111111.png"])


def test_each_visitor_has_a_gallery_where_there_are_several(tmp_path, monkeypatch):
    shared, alone = Studio(outputs=tmp_path / "shared", shared=True), Studio(outputs=tmp_path / "alone")
    sessions: dict[str, str] = {}
    monkeypatch.setattr("studio.gallery.visitors.current_session", lambda: sessions.get("now", ""))

    def folder(studio: Studio, session: str) -> Path:
        sessions["now"] = session
        return studio.gallery.folder

    assert folder(alone, "one") == folder(alone, "two") == tmp_path / "alone"
    assert len({folder(shared, session) for session in ("one", "two", "")}) == 3
    # The browser's secret outlives the session, and folder names do not reveal it.
    sessions["now"] = "one"
    secret = shared.visitors.register("")
    before = folder(shared, "one")
    sessions["now"] = "three"
    assert shared.visitors.register(secret) == secret
    assert folder(shared, "three") == before
    assert secret not in str(before)
    assert shared.visitors.register("short") != "short"
