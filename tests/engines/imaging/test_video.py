"""Videos: every image is in them, in its colours, and a discarded video leaves nothing behind."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator

import av
import numpy as np
import pytest
from PIL import Image

from engines.imaging.video import (
    GIF_SIDE,
    KINDS,
    WEBP_SIDE,
    VideoConfig,
    VideoError,
    VideoWriter,
    read_comment,
    write_video,
)
from engines.recipes import RecipeError, read_recipe
from tests.engines.helpers import files_in, refusal
from tests.engines.test_recipes import recipe, steered

COLORS = [(200, 40, 40), (40, 180, 60), (50, 60, 210), (230, 220, 90), (128, 128, 128)]


def flat(color: tuple[int, int, int], height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), color, np.uint8)


def frames_of(path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.mark.parametrize(("width", "height"), [(72, 48), (71, 47), (71, 48), (16, 17)])
def test_every_image_is_in_the_video_in_its_order_and_color_and_odd_sides_lose_a_pixel(tmp_path, width, height):
    video = VideoWriter(tmp_path / "video.mp4", (width, height))
    for color in COLORS:
        video.add(flat(color, height, width))
    assert video.count == len(COLORS)
    assert video.finish("a comment") == tmp_path / "video.mp4"
    frames = frames_of(tmp_path / "video.mp4")
    assert [frame.shape for frame in frames] == [(height // 2 * 2, width // 2 * 2, 3)] * len(COLORS)
    for frame, color in zip(frames, COLORS, strict=True):
        assert np.abs(frame.mean(axis=(0, 1)) - color).max() < 8
    assert files_in(tmp_path) == ["video.mp4"]


def test_the_shapes_in_an_image_are_where_they_were(tmp_path, sample_image):
    video = VideoWriter(tmp_path / "video.mp4", (72, 48))
    video.add(sample_image)
    video.finish("")
    (frame,) = frames_of(tmp_path / "video.mp4")
    likeness = np.corrcoef(frame.astype(float).mean(axis=2).ravel(), sample_image.astype(float).mean(axis=2).ravel())
    assert likeness[0, 1] > 0.97


def test_images_of_another_size_are_resized_to_the_videos(tmp_path, sample_image):
    video = VideoWriter(tmp_path / "video.mp4", (72, 48))
    small = np.asarray(Image.fromarray(sample_image).resize((36, 24)))
    for image in (small, sample_image, np.repeat(np.repeat(sample_image, 2, axis=0), 2, axis=1)):
        video.add(image)
    video.finish("")
    frames = frames_of(tmp_path / "video.mp4")
    assert [frame.shape for frame in frames] == [(48, 72, 3)] * 3
    assert np.abs(frames[0].astype(float) - frames[2]).mean() < 12


def test_a_video_plays_at_the_rate_asked_for(tmp_path):
    video = VideoWriter(tmp_path / "video.mp4", (32, 32), rate=5)
    for color in COLORS:
        video.add(flat(color, 32, 32))
    video.finish("")
    with av.open(str(tmp_path / "video.mp4")) as container:
        (stream,) = container.streams
        assert stream.average_rate == 5
        assert stream.codec_context.name == "h264"
        assert float(stream.duration * stream.time_base) == pytest.approx(1.0, abs=0.01)


def test_the_comment_is_read_back_and_a_long_one_is_whole(tmp_path):
    comment = 'Ünïcode 漢字 🌀 = ; # \\ " \n next line ' * 2000
    video = VideoWriter(tmp_path / "video.mp4", (32, 32))
    video.add(flat(COLORS[0], 32, 32))
    video.finish(comment)
    assert read_comment(tmp_path / "video.mp4") == comment


def test_a_video_is_not_there_under_its_name_until_it_is_finished(tmp_path):
    path = tmp_path / "video.mp4"
    path.write_bytes(b"an older video")
    video = VideoWriter(path, (32, 32))
    video.add(flat(COLORS[0], 32, 32))
    assert path.read_bytes() == b"an older video"
    video.finish("")
    assert len(frames_of(path)) == 1


@pytest.mark.parametrize("images", [0, 1, 3])
def test_a_video_that_is_given_up_leaves_nothing_behind(tmp_path, images):
    video = VideoWriter(tmp_path / "video.mp4", (32, 32))
    for _ in range(images):
        video.add(flat(COLORS[1], 32, 32))
    video.discard()
    assert files_in(tmp_path) == []


def test_a_video_without_images_cannot_be_finished_and_leaves_nothing_behind(tmp_path):
    video = VideoWriter(tmp_path / "video.mp4", (32, 32))
    with pytest.raises((ValueError, OSError)):
        video.finish("")
    assert files_in(tmp_path) == []


def test_a_video_into_a_folder_that_is_not_there_is_an_error_at_once(tmp_path):
    with pytest.raises(FileNotFoundError):
        VideoWriter(tmp_path / "nowhere" / "video.mp4", (32, 32))


@pytest.mark.parametrize("data", [b"", b"hello", bytes(5000), b"\0\0\0\x18ftypmp42" + bytes(100)])
def test_a_file_that_is_no_video_has_no_comment(tmp_path, data):
    path = tmp_path / "video.mp4"
    path.write_bytes(data)
    assert read_comment(path) is None
    assert read_comment(tmp_path / "nowhere.mp4") is None


# Videos of all kinds

WORDS = 'Ünïcode 漢字 🌀 = ; # \\ " \n next line ' * 300


def shown(path) -> list[tuple[np.ndarray, float]]:
    """Every image of a video as shown, with its duration in seconds."""
    if path.suffix == ".mp4":
        with av.open(str(path)) as container:
            rate = float(container.streams[0].average_rate)
        return [(frame, 1 / rate) for frame in frames_of(path)]
    images = []
    with Image.open(path) as video:
        assert video.info["loop"] == 0
        for number in range(video.n_frames):
            video.seek(number)
            video.load()
            images.append((np.asarray(video.convert("RGB")), video.info["duration"] / 1000))
    return images


def write(folder, kind: str, images, shape: tuple[int, int], comment: str = WORDS, **options):
    path = folder / f"video.{kind}"
    assert write_video(path, images, shape, VideoConfig(kind=kind, **options), comment) == path
    assert files_in(folder) == [path.name]
    return path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("speed", "hold"), [(12, 1.5), (4, 0), (30, 5.0)])
def test_a_video_shows_every_image_for_its_time_and_holds_the_last(tmp_path, kind, speed, hold):
    images = (flat(color, 48, 72) for color in COLORS)
    path = write(tmp_path, kind, images, (48, 72), speed=speed, hold=hold)
    frames = shown(path)
    if kind == "mp4":
        assert len(frames) == len(COLORS) + round(speed * hold)
    else:
        assert len(frames) == len(COLORS)
        # A GIF has durations in hundredths of a second, which may differ but average out.
        assert np.allclose(np.cumsum([time for _, time in frames[:-1]]), np.arange(1, len(COLORS)) / speed, atol=0.006)
    assert sum(time for _, time in frames) == pytest.approx(len(COLORS) / speed + hold, abs=0.02)
    for (seen, _), color in zip(frames, COLORS, strict=False):
        assert np.abs(seen.mean((0, 1)) - color).max() < 8
    assert read_comment(path) == WORDS


@pytest.mark.parametrize("kind", KINDS)
def test_the_shapes_in_every_image_are_where_they_were(tmp_path, kind, sample_image):
    still, images = sample_image.copy(), []
    for place in (4, 20, 20, 40):  # a small thing that moves, and once does not
        images.append(still.copy())
        images[-1][10:18, place : place + 8] = 255
    frames = shown(write(tmp_path, kind, images, (48, 72), hold=0))
    assert len(frames) == 4
    for (seen, _), image in zip(frames, images, strict=True):
        # Where the object is and was: it leaves no trace.
        assert np.abs(seen[10:18, 4:48].astype(int) - image[10:18, 4:48]).mean() < 15


@pytest.mark.parametrize(("kind", "most"), [("gif", GIF_SIDE), ("webp", WEBP_SIDE)])
def test_large_and_small_images_have_one_size_that_suits_the_kind(tmp_path, kind, most, sample_image):
    small = np.asarray(Image.fromarray(sample_image).resize((36, 24)))
    with Image.open(write(tmp_path, kind, [small, sample_image], (900, 1200))) as video:
        assert (video.size, video.n_frames) == ((most, most * 3 // 4), 2)
    with Image.open(write(tmp_path, kind, [sample_image[:, :1]], (48, 1))) as video:
        assert video.size == (1, 48)


@pytest.mark.parametrize("kind", KINDS)
def test_a_video_without_images_is_refused_and_leaves_nothing_behind(tmp_path, kind):
    refusal(VideoError, write_video, tmp_path / f"video.{kind}", [], (32, 32), VideoConfig(kind=kind), "")
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_video_that_fails_on_the_way_leaves_the_old_one_and_nothing_else(tmp_path, kind):
    def images() -> Iterator[np.ndarray]:
        yield flat(COLORS[0], 32, 32)
        raise OSError(28, "No space left on device")

    path = tmp_path / f"video.{kind}"
    path.write_bytes(b"an older video")
    with pytest.raises(OSError, match="No space"):
        write_video(path, images(), (32, 32), VideoConfig(kind=kind), "")
    assert files_in(tmp_path) == [path.name]
    assert path.read_bytes() == b"an older video"


@pytest.mark.parametrize(
    "settings", [{"kind": "avi"}, {"speed": 3}, {"speed": 31}, {"speed": 12.5}, {"hold": -1}, {"hold": 5.1}], ids=str
)
def test_what_a_video_cannot_be_is_refused_with_one_sentence(settings):
    refusal(ValueError, lambda: VideoConfig(**settings))


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_memory_does_not_grow_with_the_number_of_images(tmp_path, kind):
    """Peak of Python's memory; an image of 120 x 160 has 58 KB, and an encoded one at most 25 KB."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (120, 160, 3)).astype(np.uint8)

    def peak(count: int) -> int:
        tracemalloc.start()
        try:
            images = (np.roll(noise, number, axis=0) for number in range(count))
            write_video(tmp_path / f"video.{kind}", images, noise.shape[:2], VideoConfig(kind=kind), "")
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(2)
    assert peak(24) < 1.2 * peak(4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_recipe_in_a_video_is_read_back(tmp_path, kind, sample_image):
    written = recipe(backbone='Ünïcode 漢字 🌀 "quoted"', steering=steered(300))
    path = write(tmp_path, kind, [sample_image, sample_image[::-1]], (48, 72), written.to_json())
    assert read_recipe(path) == written
    write(tmp_path, kind, [sample_image], (48, 72), "My holiday in reverie")
    assert read_recipe(path) is None
    write(tmp_path, kind, [sample_image], (48, 72), "")
    assert read_recipe(path) is None
    write(tmp_path, kind, [sample_image], (48, 72), json.dumps({"reverie": 1}))
    refusal(RecipeError, read_recipe, path)


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_a_damaged_animation_or_another_image_has_no_recipe_and_is_no_error(tmp_path, kind, sample_image):
    path = write(tmp_path, kind, [sample_image, sample_image[::-1]], (48, 72), recipe().to_json())
    whole = path.read_bytes()
    for length in (0, 3, 12, 40, len(whole) // 3):
        path.write_bytes(whole[:length])
        read_recipe(path)
    Image.fromarray(sample_image).save(path, "PNG")
    assert read_recipe(path) is None
    Image.fromarray(sample_image).save(path, kind.upper())
    assert read_recipe(path) is None
