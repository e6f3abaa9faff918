"""Photos dropped on both image tabs: shown, decoded and checked once, and refused with one sentence."""

from __future__ import annotations

from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from engines.imaging import images
from studio.panels.image_drop import ECHO_SECONDS
from tests.engines.helpers import as_png
from tests.studio.helpers import Clock, decoded, finished, huge_png, png_with_late_chunk, warned


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("notes.png", b"These are not pixels.", "not an image"),
        ("empty.png", b"", "not an image"),
        ("cut.png", as_png(np.zeros((40, 40, 3), np.uint8))[:60], "damaged"),
        ("tiny.png", as_png(np.zeros((8, 40, 3), np.uint8)), "at least 16 × 16"),
        ("page.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a supported image"),
        ("huge.png", huge_png(30_000), "million pixels"),
        ("odd profile.png", png_with_late_chunk(np.zeros((40, 40, 3), np.uint8), b"iCCP", b"a"), "damaged"),
        ("odd colours.png", png_with_late_chunk(np.zeros((40, 40, 3), np.uint8), b"cHRM", b"12345"), "damaged"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_file_is_refused_with_one_sentence_and_the_photo_cleared(subject, tmp_path, name, content, told):
    path = tmp_path / name
    path.write_bytes(content)
    answer, sentence = warned(subject.drop, str(path))
    assert told in sentence
    assert answer == {subject.tab.photo: None, subject.tab.restored: None}


def test_a_photo_is_shown_on_the_canvas(subject, photo, sample_image):
    shown = subject.drop(photo)[subject.tab.view.canvas]
    assert shown["state"] == "ready"
    assert abs(decoded(shown["original"]).astype(int) - sample_image).mean() < 12


def test_a_photo_dropped_while_a_run_goes_does_not_cover_it(subject, photo):
    run = subject.begun(subject.long)
    assert subject.tab.view.canvas not in subject.drop(photo, run.id)
    run.stop()
    finished(run)
    assert subject.tab.view.canvas in subject.drop(photo, run.id)


@pytest.mark.parametrize("name", ["photo.png", "photo.tiff"])  # browsers show the first, and a copy of the second
def test_a_dropped_photo_is_decoded_once_and_checked_once(subject, sample_image, tmp_path, monkeypatch, name):
    Image.fromarray(sample_image).save(tmp_path / name)
    decoded_photos, checked_photos = [], []

    def decode(*arguments: Any, real: Any = images._pixels) -> np.ndarray:
        pixels = real(*arguments)
        decoded_photos.append(np.array_equal(pixels, sample_image))
        return pixels

    def check(image: np.ndarray, **options: Any) -> None:
        checked_photos.append(np.array_equal(image, sample_image))
        images.check_image(image, **options)

    monkeypatch.setattr(images, "_pixels", decode)
    monkeypatch.setattr("studio.services.check_image", check)
    path = str(tmp_path / name)
    answer = subject.drop(path)
    shown = answer.get(subject.tab.photo, path)
    if shown != path:
        answer = subject.drop(shown)  # as the box reports the copy
    assert answer[subject.tab.view.canvas]["state"] == "ready"
    subject.start(shown, subject.values(subject.quick))
    assert (sum(decoded_photos), sum(checked_photos)) == (1, 1)


def test_a_photo_that_was_changed_on_the_disk_is_read_anew(subject, sample_image, tmp_path):
    path = tmp_path / "photo.png"
    for image in (sample_image, sample_image[::-1, :-8]):
        Image.fromarray(image).save(path)
        np.testing.assert_array_equal(subject.studio.read(str(path)), image)


def test_a_cleared_photo_forgets_the_recipe(subject):
    assert subject.drop(None) == {subject.tab.restored: None}


def test_what_the_page_tells_twice_is_read_once(subject, photo, monkeypatch):
    tab, clock = subject.tab, Clock()
    monkeypatch.setattr("studio.panels.image_drop.current_session", lambda: "this page")
    monkeypatch.setattr("studio.panels.image_drop.time", clock)
    assert tab.view.canvas in subject.drop(photo)
    clock.now += ECHO_SECONDS / 2
    assert subject.drop(photo) == {tab.restored: gr.skip()}
    # Removed and dropped again, or dropped again later, it is a new drop.
    assert subject.drop(None) == {tab.restored: None}
    assert tab.view.canvas in subject.drop(photo)
    clock.now += 2 * ECHO_SECONDS
    assert tab.view.canvas in subject.drop(photo)
