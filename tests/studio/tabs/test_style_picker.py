"""The style picker: paintings picked, uploaded, dropped, checked, and their weights."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from engines.style_transfer import MAX_STYLES
from studio.examples.paintings import PAINTINGS
from studio.tabs.style_transfer.style_picker import StylePicker, blend_of, paths_in
from tests.engines.helpers import files_in, is_one_sentence
from tests.studio.helpers import decoded, huge_png, unserved_page, warned


@pytest.fixture
def palette(studio_with_examples) -> StylePicker:
    """A style picker on a page of its own."""
    palette = StylePicker(studio_with_examples, studio_with_examples.gallery.folder / "examples" / "paintings", "test")
    with unserved_page():
        palette.drop_zone()
        palette.choices()
        palette.weights()
    return palette


@pytest.fixture
def files(tmp_path, painting) -> list[str]:
    """Nine small paintings, one more than allowed."""
    paths = [tmp_path / f"painting {number}.png" for number in range(MAX_STYLES + 1)]
    for number, path in enumerate(paths):
        Image.fromarray(np.roll(painting, number, axis=1)).save(path)
    return [str(path) for path in paths]


@pytest.fixture
def notes(tmp_path) -> str:
    """A file that is not an image."""
    path = tmp_path / "notes.png"
    path.write_text("These are not pixels.")
    return str(path)


def in_gallery(paths: list[str]) -> list[tuple[str, None]]:
    """Return files as a handler receives them from the gallery, with captions."""
    return [(path, None) for path in paths]


def click(index: int) -> gr.EventData:
    """A click on an example."""
    return gr.EventData(None, {"index": index})


def weights_shown(update: list[Any]) -> list[bool]:
    """Return which paintings have a visible weight."""
    return [slider["visible"] for slider in update[2:]]


def names_in(row: str) -> list[str]:
    """Return the names in a row of examples."""
    return re.findall(r'title="([^"]+)"', row)


# Examples


def test_the_palette_begins_with_the_first_example_and_a_row_of_all(palette):
    assert [Path(item["image"]["path"]).stem for item in palette.gallery.value] == [next(iter(PAINTINGS))]
    assert names_in(palette.row.value) == [name.capitalize() for name in PAINTINGS]


def test_a_palette_whose_examples_are_not_drawn_yet_begins_empty_and_draws_nothing_itself(studio, tmp_path):
    palette = StylePicker(studio, tmp_path / "paintings", "test")
    with unserved_page():
        palette.drop_zone()
        palette.choices()
    assert not (tmp_path / "paintings").exists()
    assert palette.gallery.value == []
    assert names_in(palette.row.value) == []


def test_hanging_draws_what_is_not_there_yet_and_shows_all_with_the_first_one_chosen(studio, studio_with_examples):
    folder = studio.gallery.folder / "examples" / "paintings"
    quickest = folder / "pointillism.png"
    kept = {path: path.stat().st_mtime_ns for path in folder.iterdir() if path != quickest}
    was = quickest.read_bytes()
    quickest.unlink()
    palette = StylePicker(studio, folder, "test")
    row = palette.draw_examples()
    assert quickest.read_bytes() == was
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert files_in(folder) == sorted(f"{name}.png" for name in PAINTINGS)
    assert names_in(row) == [name.capitalize() for name in PAINTINGS]
    assert palette.fill_gallery([]) == [str(folder / f"{next(iter(PAINTINGS))}.png")]
    assert palette.fill_gallery([("uploaded.png", None)]) == gr.skip(), "what was added meanwhile stays"
    thumbnails = [decoded(uri) for uri in re.findall(r'src="([^"]+)"', row)]
    assert len(thumbnails) == len(PAINTINGS)
    assert all(max(thumbnail.shape) <= 224 for thumbnail in thumbnails)


@pytest.mark.parametrize(("drawn_already", "asks"), [(True, 0), (False, 2)])
def test_only_a_page_that_lacks_an_example_asks_for_them(studio, studio_with_examples, drawn_already, asks):
    folder = studio.gallery.folder / "examples" / "paintings"
    if not drawn_already:
        (folder / "mosaic.png").unlink()
    palette = StylePicker(studio, folder, "test")
    with unserved_page() as page:
        palette.drop_zone()
        palette.choices()
        palette.on_page_load(page)
    assert len(page.fns) == asks


# Picking and uploading


def test_a_picked_example_takes_the_place_of_what_is_there(palette, files):
    assert palette.pick_example(in_gallery(files[:3]), False, click(2)) == [str(palette.examples[2])]
    assert palette.pick_example(None, False, click(0)) == [str(palette.examples[0])]


def test_a_picked_example_joins_what_is_there_where_several_are_wanted(palette, files):
    assert palette.pick_example(in_gallery(files[:2]), True, click(1)) == [*files[:2], str(palette.examples[1])]
    assert palette.pick_example(None, True, click(1)) == [str(palette.examples[1])]


def test_no_more_paintings_can_be_picked_than_a_run_takes(palette, files):
    full = in_gallery(files[:MAX_STYLES])
    assert palette.pick_example(in_gallery(files[: MAX_STYLES - 1]), True, click(0))[-1] == str(palette.examples[0])
    answer, sentence = warned(palette.pick_example, full, True, click(0))
    assert answer == gr.skip()
    assert f"use at most {MAX_STYLES}" in sentence
    assert palette.pick_example(full, False, click(0)) == [str(palette.examples[0])]


def test_an_uploaded_painting_takes_the_place_of_what_is_there_or_joins_it(palette, files):
    assert palette.add_uploads(files[:1], in_gallery(files[1:3]), False) == files[:1]
    assert palette.add_uploads(files[:1], in_gallery(files[1:3]), True) == [*files[1:3], files[0]]


def test_several_that_are_uploaded_together_are_all_there(palette, files):
    assert palette.add_uploads(files[:3], None, False) == files[:3]


def test_of_good_and_bad_files_the_good_ones_are_taken_with_a_sentence_about_the_bad_one(palette, files, notes):
    answer, sentence = warned(palette.add_uploads, [notes, files[0]], None, False)
    assert answer == files[:1]
    assert "not an image" in sentence


def test_an_upload_of_bad_files_only_leaves_what_is_there(palette, files, notes):
    answer, _ = warned(palette.add_uploads, [notes], in_gallery(files[:1]), False)
    assert answer == gr.skip()


def test_an_upload_of_too_many_leaves_what_is_there(palette, files):
    answer, sentence = warned(palette.add_uploads, files, None, False)
    assert answer == gr.skip()
    assert sentence == f"That would make {MAX_STYLES + 1} style images; use at most {MAX_STYLES}."


# Checking dropped paintings


def test_good_paintings_stay_as_they_are(palette, files):
    assert palette.check_gallery(in_gallery(files[:2]))[0] == gr.skip()
    assert palette.check_gallery(None)[0] == gr.skip()


def bad_file(name: str, folder: Path) -> str:
    path = folder / name
    if name == "tiny.png":
        Image.new("RGB", (15, 40)).save(path)
    elif name == "huge.png":
        path.write_bytes(huge_png(30_000))
    elif name == "cut.png":
        Image.effect_noise((60, 60), 50).save(path)
        path.write_bytes(path.read_bytes()[:500])
    elif name != "gone.png":
        path.write_text("These are not pixels.")
    return str(path)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("notes.png", "not an image"),
        ("video.mp4", "not an image"),
        ("tiny.png", "at least 16 × 16"),
        ("huge.png", "million pixels"),
        ("cut.png", "damaged"),
        ("gone.png", "gone.png was not found"),
    ],
)
def test_a_bad_file_is_taken_out_with_one_sentence_and_the_others_stay(palette, files, tmp_path, name, told):
    answer, sentence = warned(palette.check_gallery, in_gallery([files[0], bad_file(name, tmp_path), files[1]]))
    assert told in sentence
    assert answer[0] == files[:2]
    assert weights_shown(answer) == [True, True] + [False] * (MAX_STYLES - 2)


def test_every_bad_file_has_its_own_sentence(palette, files, tmp_path):
    bad = [bad_file(name, tmp_path) for name in ("notes.png", "tiny.png")]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        answer = palette.check_gallery(in_gallery([*bad, files[0]]))
    sentences = [warning.message for warning in caught if warning.category is UserWarning]
    assert len(sentences) == 2
    assert all(is_one_sentence(sentence) for sentence in sentences)
    assert answer[0] == files[:1]


def test_a_painting_that_is_too_large_even_to_be_shrunk_is_taken_out(palette, studio, files):
    studio.max_pixels = 500
    answer, sentence = warned(palette.check_gallery, in_gallery(files[:1]))
    assert "million pixels" in sentence
    assert answer[0] == []


def test_of_forty_files_the_first_are_kept_with_one_sentence(palette, files):
    forty = (files * 5)[:40]
    answer, sentence = warned(palette.check_gallery, in_gallery(forty))
    assert sentence == f"You added 40 style images; only the first {MAX_STYLES} are kept."
    assert answer[0] == forty[:MAX_STYLES]
    assert weights_shown(answer) == [True] * MAX_STYLES


@pytest.mark.parametrize(("count", "shown"), [(0, 0), (1, 1), (2, 2), (5, 5)])
def test_weights_are_to_be_seen_only_where_there_are_several(palette, files, count, shown):
    answer = palette.check_gallery(in_gallery(files[:count]))
    fold = answer[1]
    assert (fold["visible"], fold["open"]) == (count > 1, count > 1)
    assert weights_shown(answer) == [True] * shown + [False] * (MAX_STYLES - shown)


def test_at_first_there_are_no_weights_to_be_seen_and_all_count_the_same(palette):
    assert not palette.fold.visible
    assert len(palette.blend) == MAX_STYLES
    assert {(slider.value, slider.visible) for slider in palette.blend} == {(1, False)}


# Reading the gallery


@pytest.mark.parametrize("empty", [None, [], ()])
def test_an_empty_gallery_has_no_files(empty):
    assert paths_in(empty) == []


def test_files_are_found_with_and_without_captions():
    assert paths_in([("a.png", None), ["b.png", "a caption"], "c.png", Path("d.png")]) == [
        "a.png",
        "b.png",
        "c.png",
        "d.png",
    ]


@pytest.mark.parametrize(
    ("weights", "count", "blend"),
    [
        ([1.0] * MAX_STYLES, 3, ()),
        ([0.4] * MAX_STYLES, 3, ()),
        ([0.5, 1, 0.2, 0.1], 2, (0.5, 1.0)),
        ([0.0, 1.0], 2, (0.0, 1.0)),
        ([None, 0.5], 2, (1.0, 0.5)),
        ([None, 1], 2, ()),
        ([0.3, 1.0], 1, ()),
        ([0.0, 1.0], 1, ()),
        ([], 0, ()),
    ],
)
def test_a_blend_is_said_only_where_paintings_count_differently(weights, count, blend):
    assert blend_of(weights, count) == blend


def test_weights_come_as_whole_numbers_from_a_browser_and_become_floats():
    assert all(isinstance(weight, float) for weight in blend_of([1, 0], 2))


def test_weights_that_are_all_zero_are_not_taken_for_equal_ones():
    assert blend_of([0.0, 0.0, 1.0], 2) == (0.0, 0.0)


def test_a_change_of_the_gallery_is_told_to_whoever_asked_with_what_it_asked_for(studio, files, studio_with_examples):
    told = []

    def changed(gallery: Any, more: Any) -> list[Any]:
        told.append((paths_in(gallery), more))
        return ["shown"]

    palette = StylePicker(studio, studio.gallery.folder / "examples" / "paintings", "test")
    with unserved_page() as page:
        palette.drop_zone()
        palette.choices()
        palette.weights()
        other = gr.Textbox()
        palette.wire(changed, [other], [other])
    (change,) = [event for event in page.fns.values() if event.targets == [(palette.gallery._id, "change")]]
    assert change.outputs[-1] is other
    answer = change.fn(in_gallery(files[:2]), "more")
    assert len(answer) == len(change.outputs)
    assert answer[-1] == "shown"
    assert told == [(files[:2], "more")]
