"""Films: every picture is in them, in its colours, and a film that is given up leaves nothing behind."""

from __future__ import annotations

import av
import numpy as np
import pytest
from PIL import Image

from engines.films import GIF_SIDE, Film, read_comment, write_gif
from tests.engines.helpers import files_in

COLORS = [(200, 40, 40), (40, 180, 60), (50, 60, 210), (230, 220, 90), (128, 128, 128)]


def flat(color: tuple[int, int, int], height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), color, np.uint8)


def frames_of(path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.mark.parametrize(("width", "height"), [(72, 48), (71, 47), (71, 48), (16, 17)])
def test_every_picture_is_in_the_film_in_its_order_and_color_and_odd_sides_lose_a_pixel(tmp_path, width, height):
    film = Film(tmp_path / "film.mp4", (width, height))
    for color in COLORS:
        film.add(flat(color, height, width))
    assert film.count == len(COLORS)
    assert film.finish("a comment") == tmp_path / "film.mp4"
    frames = frames_of(tmp_path / "film.mp4")
    assert [frame.shape for frame in frames] == [(height // 2 * 2, width // 2 * 2, 3)] * len(COLORS)
    for frame, color in zip(frames, COLORS, strict=True):
        assert np.abs(frame.mean(axis=(0, 1)) - color).max() < 8
    assert files_in(tmp_path) == ["film.mp4"]


def test_the_shapes_in_a_picture_are_where_they_were(tmp_path, picture):
    film = Film(tmp_path / "film.mp4", (72, 48))
    film.add(picture)
    film.finish("")
    (frame,) = frames_of(tmp_path / "film.mp4")
    likeness = np.corrcoef(frame.astype(float).mean(axis=2).ravel(), picture.astype(float).mean(axis=2).ravel())
    assert likeness[0, 1] > 0.97


def test_pictures_of_another_size_are_resized_to_the_films(tmp_path, picture):
    film = Film(tmp_path / "film.mp4", (72, 48))
    small = np.asarray(Image.fromarray(picture).resize((36, 24)))
    for image in (small, picture, np.repeat(np.repeat(picture, 2, axis=0), 2, axis=1)):
        film.add(image)
    film.finish("")
    frames = frames_of(tmp_path / "film.mp4")
    assert [frame.shape for frame in frames] == [(48, 72, 3)] * 3
    assert np.abs(frames[0].astype(float) - frames[2]).mean() < 12


def test_a_film_plays_at_the_rate_asked_for(tmp_path):
    film = Film(tmp_path / "film.mp4", (32, 32), rate=5)
    for color in COLORS:
        film.add(flat(color, 32, 32))
    film.finish("")
    with av.open(str(tmp_path / "film.mp4")) as container:
        (stream,) = container.streams
        assert stream.average_rate == 5
        assert stream.codec_context.name == "h264"
        assert float(stream.duration * stream.time_base) == pytest.approx(1.0, abs=0.01)


def test_the_comment_is_read_back_and_a_long_one_is_whole(tmp_path):
    comment = 'Ünïcode 漢字 🌀 = ; # \\ " \n next line ' * 2000
    film = Film(tmp_path / "film.mp4", (32, 32))
    film.add(flat(COLORS[0], 32, 32))
    film.finish(comment)
    assert read_comment(tmp_path / "film.mp4") == comment


def test_a_film_is_not_there_under_its_name_until_it_is_finished(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(b"an older film")
    film = Film(path, (32, 32))
    film.add(flat(COLORS[0], 32, 32))
    assert path.read_bytes() == b"an older film"
    film.finish("")
    assert len(frames_of(path)) == 1


@pytest.mark.parametrize("pictures", [0, 1, 3])
def test_a_film_that_is_given_up_leaves_nothing_behind(tmp_path, pictures):
    film = Film(tmp_path / "film.mp4", (32, 32))
    for _ in range(pictures):
        film.add(flat(COLORS[1], 32, 32))
    film.discard()
    assert files_in(tmp_path) == []


def test_a_film_without_pictures_cannot_be_finished_and_leaves_nothing_behind(tmp_path):
    film = Film(tmp_path / "film.mp4", (32, 32))
    with pytest.raises((ValueError, OSError)):
        film.finish("")
    assert files_in(tmp_path) == []


def test_a_film_into_a_folder_that_is_not_there_is_an_error_at_once(tmp_path):
    with pytest.raises(FileNotFoundError):
        Film(tmp_path / "nowhere" / "film.mp4", (32, 32))


@pytest.mark.parametrize("data", [b"", b"hello", bytes(5000), b"\0\0\0\x18ftypmp42" + bytes(100)])
def test_a_file_that_is_no_film_has_no_comment(tmp_path, data):
    path = tmp_path / "film.mp4"
    path.write_bytes(data)
    assert read_comment(path) is None
    assert read_comment(tmp_path / "nowhere.mp4") is None


def test_a_gif_holds_its_pictures_for_their_time_and_the_comment(tmp_path):
    path = tmp_path / "film.gif"
    images = (flat(color, 48, 72) for color in COLORS)
    assert write_gif(path, images, (48, 72), rate=10, held=4, comment="a recipe: ünïcode") == path
    with Image.open(path) as gif:
        assert gif.info["comment"].decode() == "a recipe: ünïcode"
        assert gif.info["loop"] == 0
        shown = []
        for number in range(gif.n_frames):
            gif.seek(number)
            shown.append((np.asarray(gif.convert("RGB")).mean((0, 1)), gif.info["duration"]))
    assert [duration for _, duration in shown] == [100] * (len(COLORS) - 1) + [500]
    for (seen, _), color in zip(shown, COLORS, strict=True):
        assert np.abs(seen - color).max() < 8
    assert files_in(tmp_path) == ["film.gif"]


def test_a_gif_of_large_and_small_pictures_has_one_size_that_suits_the_format(tmp_path, picture):
    small = np.asarray(Image.fromarray(picture).resize((36, 24)))
    write_gif(tmp_path / "film.gif", [small, picture], (900, 1200), rate=12, held=0, comment="")
    with Image.open(tmp_path / "film.gif") as gif:
        assert (gif.size, gif.n_frames) == ((GIF_SIDE, GIF_SIDE * 3 // 4), 2)


def test_a_gif_without_pictures_cannot_be_written_and_leaves_nothing_behind(tmp_path):
    with pytest.raises((ValueError, OSError, IndexError)):
        write_gif(tmp_path / "film.gif", [], (32, 32), rate=12, held=0, comment="")
    assert files_in(tmp_path) == []
