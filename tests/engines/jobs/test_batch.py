"""Batches: every image as in a run of its own, unusable ones skipped, zips opened safely."""

from __future__ import annotations

import dataclasses
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from engines.core.frames import Frame
from engines.data import archives
from engines.deep_dream import DreamConfig
from engines.imaging.images import ImageError, digest
from engines.jobs import Job, Workshop
from engines.jobs import batch as batches
from engines.jobs.batch import Batch, BatchExecution, ImageFile, batch_of, image_files
from engines.recipes import Recipe, RecipeError
from tests.engines.helpers import as_png, is_one_sentence, refusal

QUICK = DreamConfig(size=0, octaves=1, steps=2, step_size=0.1, jitter=2, layer_weights={"block1_conv1": 1.0})
STRONG = dataclasses.replace(QUICK, step_size=0.5)


@pytest.fixture
def workshop(studio_vgg) -> Workshop:
    """A workshop in which the bundled network is already loaded, with random weights."""
    workshop = Workshop()
    workshop.keep("deep_dream", "studio_vgg", studio_vgg)
    return workshop


def random_images(count: int = 2) -> list[np.ndarray]:
    """Different small images."""
    return [np.random.default_rng(i).integers(0, 256, (24, 32, 3), np.uint8) for i in range(count)]


def written(folder: Path, **contents: np.ndarray | bytes) -> list[Path]:
    """Files by name without suffix: images, or any bytes."""
    paths = []
    for name, content in contents.items():
        paths.append(folder / f"{name}.png")
        paths[-1].write_bytes(content if isinstance(content, bytes) else as_png(content))
    return paths


def packed(path: Path, contents: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def batch(paths: list[Path], config: DreamConfig = QUICK, **inputs: np.ndarray) -> Batch:
    job = Job(engine="deep_dream", config=config, inputs=inputs, backbone="studio_vgg")
    return batch_of(job, image_files(paths), "image")


def results(started: BatchExecution) -> list[tuple[str, Frame, Recipe]]:
    """The last frame of each image, with its name and recipe."""
    return [(started.name, frame, started.part.recipe) for frame in started if frame.yield_point]


def single(workshop: Workshop, image: np.ndarray, config: DreamConfig = QUICK, **inputs) -> tuple[np.ndarray, Recipe]:
    run = workshop.start(
        Job(engine="deep_dream", config=config, inputs={"image": image, **inputs}, backbone="studio_vgg")
    )
    *_, last = run
    return last.image, run.recipe


# Results


def test_every_result_is_that_of_a_run_of_its_own_and_so_is_its_recipe(tmp_path, workshop):
    first, second = random_images()
    found = results(workshop.start(batch(written(tmp_path, first=first, second=second), guide=first)))
    assert [name for name, *_ in found] == ["first", "second"]
    for original, (_, frame, recipe) in zip((first, second), found, strict=True):
        image, expected = single(workshop, original, guide=first)
        np.testing.assert_array_equal(frame.image, image)
        assert recipe == expected
        assert recipe.inputs == {"image": digest(original), "guide": digest(first)}
        assert recipe.engine == "deep_dream"


def test_a_paintings_photo_is_what_varies_and_its_styles_are_shared(tmp_path, workshop):
    from engines.style_transfer import StyleConfig

    config = StyleConfig(
        seconds=0.0, size=48, scales=1, steps=1, style_layers={"block1_conv1": 1.0}, content_layer="block1_conv2"
    )
    style, *photos = random_images(3)
    job = Job(engine="style_transfer", config=config, inputs={"style_images_1": style}, backbone="studio_vgg")
    paths = written(tmp_path, one=photos[0], two=photos[1])
    started = workshop.start(batch_of(job, image_files(paths), "content_image"))
    recipes = [recipe for *_, recipe in results(started)]
    assert [recipe.inputs["content_image"] for recipe in recipes] == [digest(photo) for photo in photos]
    assert {recipe.inputs["style_images_1"] for recipe in recipes} == {digest(style)}


def test_the_frames_tell_how_far_it_is_and_which_image_is_at_work(tmp_path, workshop):
    one, two, three = random_images(3)
    started = workshop.start(batch(written(tmp_path, one=one, two=two, three=three)))
    seen = [(frame, started.number, started.name, started.job.inputs["image"]) for frame in started]
    frames = [frame for frame, *_ in seen]
    assert [frame.step for frame in frames] == [1, 2, 3, 4, 5, 6]
    assert {frame.total for frame in frames} == {6}
    assert [frame.yield_point for frame in frames] == [False, True] * 3
    assert [frame.progress for frame in frames] == pytest.approx([i / 6 for i in range(1, 7)])
    assert [(number, name) for _, number, name, _ in seen[::2]] == [(0, "one"), (1, "two"), (2, "three")]
    assert frames[3].note.startswith("image 2 of 3 · octave 1 of 1")
    for image, (*_, input_) in zip((one, two, three), seen[::2], strict=True):
        np.testing.assert_array_equal(input_, image)


def test_steering_holds_for_the_image_at_work_and_all_after_it(tmp_path, workshop):
    one, two, three = random_images(3)
    started = workshop.start(batch(written(tmp_path, one=one, two=two, three=three)))
    images, recipes = [], []
    for step in range(6):
        frame = started.send(STRONG if step == 3 else None)
        if frame.yield_point:
            images.append(frame.image)
            recipes.append(started.part.recipe)
    assert [recipe.config["step_size"] for recipe in recipes] == [0.1, 0.1, 0.5]
    assert [len(recipe.steering) for recipe in recipes] == [0, 1, 0]
    np.testing.assert_array_equal(images[0], single(workshop, one)[0])
    assert not np.array_equal(images[1], single(workshop, two)[0])
    np.testing.assert_array_equal(images[2], single(workshop, three, STRONG)[0])


def test_what_is_sent_between_two_images_is_what_the_next_begins_with(tmp_path, workshop):
    one, two = random_images()
    started = workshop.start(batch(written(tmp_path, one=one, two=two)))
    next(started)
    next(started)
    started.send(STRONG)
    recipe = started.recipe
    assert (recipe.config["step_size"], recipe.steering) == (0.5, ())


def test_a_config_that_does_not_fit_is_refused_to_whoever_would_steer(tmp_path, workshop):
    started = workshop.start(batch(written(tmp_path, one=random_images()[0])))
    next(started)
    misfit = dataclasses.replace(QUICK, layer_weights={"mixed4": 1.0})
    assert "no layer 'mixed4'" in refusal(ValueError, started.resolve, misfit)


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_stopped_batch_begins_no_further_image(tmp_path, workshop, steps):
    started = workshop.start(batch(written(tmp_path, one=random_images()[0], two=random_images()[1])))
    for _ in range(steps):
        next(started)
    started.close()
    assert next(started, None) is None
    assert started.number <= 0
    if steps == 0:
        refusal(RecipeError, getattr, started, "recipe")
    else:
        assert started.recipe.stopped_at == (1 if steps == 1 else None)


# Skipped images


def test_what_cannot_be_used_is_left_out_and_told_of_and_the_rest_goes_on(tmp_path, workshop):
    good, other = random_images()
    tiny = np.zeros((8, 8, 3), np.uint8)
    started = workshop.start(batch(written(tmp_path, notes=b"no pixels", good=good, tiny=tiny, other=other)))
    assert [name for name, *_ in results(started)] == ["good", "other"]
    assert [notice.partition(":")[0] for notice in started.notices] == ["notes was skipped", "tiny was skipped"]
    assert all(is_one_sentence(notice) for notice in started.notices)
    assert "not an image" in started.notices[0]
    assert "at least 16 × 16" in started.notices[1]


def test_of_many_that_were_left_out_some_are_told_of_one_by_one(tmp_path, workshop):
    bad = {f"bad{i}": b"no pixels" for i in range(archives.MAX_NOTICES + 2)}
    started = workshop.start(batch(written(tmp_path, **bad, good=random_images()[0])))
    assert len(results(started)) == 1
    assert len(started.notices) == archives.MAX_NOTICES + 1
    assert started.notices[-1] == "2 more files were skipped."


def test_where_every_one_is_left_out_the_first_refusal_is_raised_and_said_only_once(tmp_path, workshop):
    started = workshop.start(batch(written(tmp_path, notes=b"no pixels", tiny=np.zeros((8, 8, 3), np.uint8))))
    assert "not an image" in refusal(ImageError, next, started)
    assert started.notices == ()


def test_where_the_last_is_left_out_the_batch_ends_all_the_same(tmp_path, workshop):
    started = workshop.start(batch(written(tmp_path, good=random_images()[0], notes=b"no pixels")))
    assert [name for name, *_ in results(started)] == ["good"]
    assert len(started.notices) == 1


def running_away(monkeypatch, at: int, step: int = 2) -> None:
    """Make the image with this number, counted from 1, diverge at a step."""
    from engines.deep_dream import engine as deep_dream

    real, begun = deep_dream.OctavePyramid, []

    class LoadedImage(real):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            begun.append(self)
            self.number, self.steps = len(begun), 0

        def step(self) -> float:
            self.steps += 1
            if (self.number, self.steps) == (at, step):
                raise ValueError("The dream has run away to infinity.")
            return super().step()

    monkeypatch.setattr(deep_dream, "OctavePyramid", LoadedImage)


def test_an_image_that_runs_away_is_left_out_too(tmp_path, workshop, monkeypatch):
    one, two, three = random_images(3)
    running_away(monkeypatch, at=2)
    started = workshop.start(batch(written(tmp_path, one=one, two=two, three=three)))
    assert [name for name, *_ in results(started)] == ["one", "three"]
    assert started.notices == ("two was skipped: The dream has run away to infinity.",)


def test_where_the_only_image_runs_away_in_the_middle_that_is_told(tmp_path, workshop, monkeypatch):
    running_away(monkeypatch, at=1)
    started = workshop.start(batch(written(tmp_path, one=random_images()[0])))
    next(started)
    assert "run away" in refusal(ValueError, next, started)
    assert started.part is None


def test_images_of_more_pixels_than_are_taken_are_shrunk_and_counted(tmp_path, workshop):
    small, large = random_images()[0][:16, :16], np.zeros((34, 34, 3), np.uint8)
    job = Job(engine="deep_dream", config=QUICK, inputs={}, backbone="studio_vgg")
    files = image_files(written(tmp_path, large=large, small=small))
    started = workshop.start(batch_of(job, files, "image", max_pixels=300))
    made = [(name, frame.image.shape) for name, frame, _ in results(started)]
    assert made == [("large", (17, 17, 3)), ("small", (16, 16, 3))]
    assert started.notices == ("One image was shrunk to 300 pixels.",)


# Files and zips


def names_of(path: Path) -> list[str]:
    return [file.name for file in image_files([path])]


def test_the_images_of_a_zip_are_found_in_all_its_folders_and_nothing_else_is(tmp_path):
    png = as_png(random_images()[0])
    inside = ["b.png", "a.JPG", "holidays/c.webp", "./d.png", "holidays\\e.png"]
    unread = ["f.PSD", "page.svg"]
    aside = [
        "notes.txt",
        "__MACOSX/._a.jpg",
        "__MACOSX/f.png",
        ".hidden.png",
        ".trash/g.png",
        "folder.png/",
    ]
    path = packed(tmp_path / "all.zip", dict.fromkeys(inside + unread + aside, png))
    found = image_files([path])
    assert sorted(file.name for file in found) == ["a", "b", "c", "d", "e", "f", "page"]
    for file in found:
        np.testing.assert_array_equal(file.read().pixels, random_images()[0])


@pytest.mark.parametrize("encoding", ["cp949", "utf-8"])
def test_results_of_a_zip_are_called_as_its_files_are(tmp_path, workshop, encoding):
    from tests.engines.data.test_archives import zip_named

    path = zip_named(tmp_path / "sea.zip", {"여름/바다.png": as_png(random_images()[0])}, encoding)
    assert [name for name, *_ in results(workshop.start(batch([path])))] == ["바다"]


def test_files_and_zips_come_in_their_order_and_the_images_of_a_zip_by_name(tmp_path):
    one, two, three = (as_png(image) for image in random_images(3))
    (single_file,) = written(tmp_path, last=three)
    path = packed(tmp_path / "Two.ZIP", {"b.png": two, "a.png": one})
    assert [file.name for file in image_files([path, single_file])] == ["a", "b", "last"]


def test_an_image_in_a_zip_gives_the_same_as_its_file(tmp_path, workshop):
    image = random_images()[0]
    path = packed(tmp_path / "one.zip", {"folder/it.png": as_png(image)}, zipfile.ZIP_DEFLATED)
    ((name, frame, _),) = results(workshop.start(batch([path])))
    assert name == "it"
    np.testing.assert_array_equal(frame.image, single(workshop, image)[0])


@pytest.mark.parametrize("content", [b"", b"this is no zip", b"PK\x03\x04 cut off"])
def test_what_is_no_zip_is_refused_by_its_name(tmp_path, content):
    path = tmp_path / "holidays.zip"
    path.write_bytes(content)
    assert refusal(ValueError, image_files, [path]).startswith("holidays.zip is damaged or not a zip file")


def test_a_zip_that_is_not_there_is_refused_with_a_sentence(tmp_path):
    refusal(ValueError, image_files, [tmp_path / "gone.zip"])


def test_no_images_or_too_many_are_refused_with_a_sentence(tmp_path, monkeypatch):
    assert "no images" in refusal(ImageError, image_files, [])
    assert "no images" in refusal(ImageError, image_files, [packed(tmp_path / "a.zip", {"notes.txt": b"x"})])
    monkeypatch.setattr(batches, "MAX_IMAGES", 2)
    path = packed(tmp_path / "b.zip", {f"{i}.png": b"" for i in range(3)})
    assert "not 3" in refusal(ImageError, image_files, [path])
    # A camera's other files do not count as images.
    beside = {f"{i}.{suffix}": b"" for i in range(2) for suffix in ("png", "dng")}
    assert len(image_files([packed(tmp_path / "c.zip", beside)])) == 4


def test_an_image_that_unpacks_to_more_than_is_taken_is_refused_before_it_is_all_there(tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "MAX_BYTES", 1 << 20)
    bomb = packed(tmp_path / "bomb.zip", {"a.png": bytes(8 << 20)}, zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 20_000
    (file,) = image_files([bomb])
    assert "larger than 1 MB" in refusal(ValueError, file.read)


@pytest.mark.parametrize("said", [10, 2**32 - 2])
def test_a_header_that_lies_about_the_size_of_an_image_is_found_out(tmp_path, said):
    path = packed(tmp_path / "lie.zip", {"a.png": as_png(random_images()[0])}, zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    directory = data.index(b"PK\x01\x02")
    struct.pack_into("<I", data, directory + 24, said)
    path.write_bytes(data)
    (file,) = image_files([path])
    if said == 10:
        assert "cannot be unpacked" in refusal(ValueError, file.read)
    else:
        np.testing.assert_array_equal(file.read().pixels, random_images()[0])


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_image_in_a_zip_is_refused_however_it_was_packed(tmp_path, method):
    path = packed(tmp_path / "damaged.zip", {"a.png": as_png(random_images()[0])}, method)
    whole = path.read_bytes()
    place = whole.index(b"a.png") + 40
    path.write_bytes(whole[:place] + bytes(60) + whole[place + 60 :])
    (file,) = image_files([path])
    assert "cannot be unpacked" in refusal(ValueError, file.read)


def test_an_image_with_a_password_is_left_out_and_a_zip_of_such_is_refused(tmp_path, workshop):
    from tests.engines.data.test_archives import encrypted

    png = as_png(random_images()[0])
    some = encrypted(packed(tmp_path / "some.zip", {"a.png": png, "b.png": png}), "a.png")
    started = workshop.start(batch([some]))
    assert [name for name, *_ in results(started)] == ["b"]
    assert started.notices == ("a was skipped: This file is password-protected; zip it again without a password.",)
    all_of_it = encrypted(packed(tmp_path / "all.zip", {"a.png": png}), "a.png")
    assert refusal(ValueError, image_files, [all_of_it]).startswith("all.zip is password-protected")


def test_a_zip_that_goes_away_meanwhile_leaves_its_images_out(tmp_path, workshop):
    (good,) = written(tmp_path, good=random_images()[0])
    path = packed(tmp_path / "gone.zip", {"a.png": as_png(random_images()[0])})
    started = workshop.start(batch([good, path]))
    path.unlink()
    assert [name for name, *_ in results(started)] == ["good"]
    assert started.notices[0].startswith("a was skipped")


@pytest.mark.parametrize(
    ("file", "name"),
    [
        (ImageFile(Path("/uploads/At the sea.jpeg")), "At the sea"),
        (ImageFile(Path("/uploads/all.zip"), "2024/summer/beach.day.png"), "beach.day"),
        (ImageFile(Path("/uploads/all.zip"), "..\\..\\evil.png"), "evil"),
        (ImageFile(Path("/uploads/all.zip"), "../../evil.png"), "evil"),
    ],
)
def test_an_image_is_called_by_its_name_without_folders_and_suffix(file, name):
    assert file.name == name
