"""The Gallery tab's handlers: listed, opened, compared, handed over, restored, exported, deleted."""

from __future__ import annotations

import asyncio
import dataclasses
import zipfile
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest

from engines.core.configs import fields_by_name, label_of
from engines.deep_dream import DreamConfig
from engines.imaging.images import digest, read_image
from engines.jobs import ENGINES, Job
from engines.language_model.config import LanguageTrainingConfig, WritingConfig
from engines.recipes import Recipe, from_json, read_recipe, write_png, write_text
from studio.i18n.catalog import KOREAN, use_language
from studio.page import RESULT_TABS
from studio.services import Studio
from studio.tabs.deep_dream.tab import DreamTab
from studio.tabs.gallery.recipe_panel import WRITTEN, change_text, table_of
from studio.tabs.gallery.tab import A_PAGE, NOTHING, TITLES, GalleryTab
from studio.tabs.style_transfer.tab import StyleTab
from tests.engines.helpers import files_in
from tests.studio.conftest import SMALL
from tests.studio.helpers import unserved_page, value_in, warned


@pytest.fixture
def tabs(studio_with_examples) -> SimpleNamespace:
    """The Gallery tab with two tabs that accept images."""
    dream, style = DreamTab(studio_with_examples), StyleTab(studio_with_examples)
    gallery = GalleryTab(studio_with_examples, RESULT_TABS)
    with unserved_page(), gr.Tabs() as everything:
        for tab in (dream, style, gallery):
            with gr.Tab("tab"):
                tab.build()
        gallery.connect(everything, [*dream.handoffs(), *style.handoffs()])
    return SimpleNamespace(gallery=gallery, dream=dream, style=style, everything=everything)


def made(studio: Studio, job: Job) -> str:
    """Run a job and return its result's name."""
    writer, started = studio.result_writer(job), studio.workshop.start(job)
    for _ in started:
        writer.add(started)
    return writer.finish(started).name


def written(studio: Studio, text: str) -> str:
    path = studio.gallery.new_path("language_model", ".txt")
    config = {"prompt": "", "tokens": 10}
    write_text(path, text, Recipe(engine="language_model", config=config, backbone="ours", weights="", inputs={}))
    return path.name


def drawn(studio: Studio, shade: int, engine: str = "dcgan") -> str:
    path = studio.gallery.new_path(engine, ".png")
    recipe = Recipe(engine=engine, config={}, backbone="faces", weights="", inputs={}, seconds=3.2)
    write_png(path, np.full((30, 40, 3), shade, np.uint8), recipe)
    return path.name


def picks(**data: Any) -> Any:
    return SimpleNamespace(**data)


def names_in(value: dict[str, Any]) -> list[str]:
    return [result["name"] for result in value["results"]]


def test_every_engine_with_a_result_has_a_title_and_a_way_back():
    assert set(TITLES) == set(ENGINES)


def test_results_are_listed_with_thumbnails_and_first_words_and_by_tab(tabs, studio_with_examples):
    studio = studio_with_examples
    assert tabs.gallery.list_results("All", None)["nothing"] == NOTHING
    face, text = drawn(studio, 90), written(studio, "A video that I liked.")
    value = tabs.gallery.list_results("All", None)
    assert set(names_in(value)) == {face, text}
    by_name = {result["name"]: result for result in value["results"]}
    assert by_name[face]["thumbnail"].startswith("data:image/jpeg;base64,")
    assert (by_name[text]["thumbnail"], by_name[text]["words"]) == ("", "A video that I liked.")
    assert names_in(tabs.gallery.list_results("Words", None)) == [text]
    assert files_in(studio.gallery.folder / "thumbnails") == [face.replace(".png", ".jpg")]


def test_thumbnails_that_are_missing_keep_nobody_waiting(tabs, studio_with_examples, monkeypatch):
    names = [drawn(studio_with_examples, i) for i in range(3)]
    monkeypatch.setattr("studio.tabs.gallery.tab.PATIENCE", -1.0)
    assert [result["pending"] for result in tabs.gallery.list_results("All", None)["results"]] == [True] * 3
    monkeypatch.undo()
    cards = tabs.gallery.list_results("All", None)["results"]
    assert all(card["thumbnail"] and not card["pending"] for card in cards)
    assert {card["name"] for card in cards} == set(names)


def test_a_run_leaves_a_thumbnail_beside_its_result(tabs, studio_with_examples, small_job, monkeypatch):
    made(studio_with_examples, small_job)
    monkeypatch.setattr("studio.tabs.gallery.tab.PATIENCE", -1.0)
    assert tabs.gallery.list_results("All", None)["results"][0]["thumbnail"].startswith("data:image/jpeg")


def test_pages_hold_so_many_and_ticks_are_kept_over_pages_as_long_as_there_is_something_to_tick(
    tabs, studio_with_examples
):
    names = [drawn(studio_with_examples, i) for i in range(A_PAGE + 3)]
    first = tabs.gallery.list_results("All", {"chosen": [names[0], "gone"]})
    second = tabs.gallery.picked("All", first, picks(page=1))[tabs.gallery.grid]
    assert (first["page"], first["pages"], len(first["results"])) == (0, 2, A_PAGE)
    assert (second["page"], len(second["results"]), second["where"]) == (1, 3, f"25–{A_PAGE + 3} of {A_PAGE + 3}")
    assert second["chosen"] == [names[0]]
    assert set(names_in(first)) | set(names_in(second)) == set(names)
    assert tabs.gallery.list_results("All", second, page=99)["page"] == 1


def test_an_opened_image_says_what_it_is_and_offers_what_can_be_done_with_it(tabs, studio_with_examples, small_job):
    gallery = tabs.gallery
    name = made(studio_with_examples, small_job)
    shown = gallery.picked("All", None, picks(name=name))
    viewed = shown[gallery.viewer]
    assert viewed["kind"] == "picture"
    assert viewed["url"].endswith(name)
    assert "DeepDream · " in viewed["facts"]
    assert "took " in viewed["facts"]
    assert "Studio VGG" in viewed["facts"]
    assert "72 × 48" in viewed["facts"]
    assert shown[gallery.restore]["visible"]
    offered = {button.value: shown[button]["visible"] for button in gallery._buttons}
    assert offered == dict.fromkeys(
        ["Apply DeepDream", "Use as guide image", "Paint this image", "Use as style image"], True
    )
    text = gallery.picked("All", None, picks(name=written(studio_with_examples, "Words.")))
    assert text[gallery.viewer]["text"] == "Words."
    assert not any(text[button]["visible"] for button in gallery._buttons)
    assert not text[gallery.restore]["visible"], "no tab here takes texts back"


def test_damaged_and_missing_files_are_said_to_be_so(tabs, studio_with_examples):
    gallery, folder = tabs.gallery, studio_with_examples.gallery.folder
    for name in ("deep_dream-20260101-000000-000000000000.png", "vae-20260101-000000-000000000000.mp4"):
        (folder / name).write_bytes(b"junk")
        assert gallery.picked("All", None, picks(name=name))[gallery.viewer]["kind"] == "damaged"
    assert [result["words"] for result in gallery.list_results("All", None)["results"]] == [
        "This file cannot be read."
    ] * 2
    for name in ("deep_dream-20260101-000000-111111111111.png", "../../etc/passwd", ""):
        _, sentence = warned(gallery.picked, "All", None, picks(name=name))
        assert "no longer exists" in sentence


def test_two_ticked_images_are_compared_and_nothing_else_is(tabs, studio_with_examples):
    gallery = tabs.gallery
    left, right, text = (
        drawn(studio_with_examples, 1),
        drawn(studio_with_examples, 2),
        written(studio_with_examples, ""),
    )
    viewed = gallery.compare_results({"chosen": [left, right]})[gallery.viewer]
    assert (viewed["kind"], viewed["url"].endswith(left), viewed["other"].endswith(right)) == ("compare", True, True)
    for chosen in ([], [left], [left, text], [left, left, right]):
        assert "Select two images" in warned(gallery.compare_results, {"chosen": chosen})[1]


def test_an_image_goes_to_another_tab_as_a_photo_without_its_recipe(tabs, studio_with_examples, small_job):
    name = made(studio_with_examples, small_job)
    image = read_image(studio_with_examples.gallery.folder / name)
    for i, (title, tab, component) in enumerate(
        [
            ("Apply DeepDream", "dream", tabs.dream.photo),
            ("Use as guide image", "dream", tabs.dream.guide),
            ("Paint this image", "style", tabs.style.photo),
            ("Use as style image", "style", tabs.style.style_picker.gallery),
        ]
    ):
        door = tabs.gallery._outgoing[i]
        assert (door.title, door.tab) == (title, tab)
        updates = asyncio.run(tabs.gallery._send_to(door)(name, *[None] * len(door.inputs)))
        assert updates[tabs.everything]["selected"] == tab
        path = updates[component][0] if isinstance(updates[component], list) else updates[component]
        np.testing.assert_array_equal(read_image(path), image)
        assert read_recipe(studio_with_examples.gallery.find_input(digest(image))) is None
    _, sentence = warned(asyncio.run, tabs.gallery._send_to(door)("gone"))
    assert "no longer exists" in sentence


def test_a_result_goes_back_to_its_tab_with_its_settings(
    tabs, studio_with_examples, small_job, painting_job, sample_image
):
    gallery = tabs.gallery
    nothing = [None] * sum(len(door.inputs) for door in gallery._returning)
    dreamt = asyncio.run(gallery.restore_result(made(studio_with_examples, small_job), *nothing))
    assert dreamt[tabs.everything]["selected"] == "dream"
    np.testing.assert_array_equal(read_image(dreamt[tabs.dream.photo]), sample_image)
    values = [value_in(dreamt[one]) for one in tabs.dream.settings.components]
    config: DreamConfig = tabs.dream.settings.config(values)
    assert (config.steps, config.layer_weights) == (SMALL.steps, SMALL.layer_weights)
    painted = asyncio.run(gallery.restore_result(made(studio_with_examples, painting_job), *nothing))
    assert painted[tabs.everything]["selected"] == "style"
    np.testing.assert_array_equal(read_image(painted[tabs.style.photo]), sample_image)
    for name, said in (
        (written(studio_with_examples, "."), "does not have"),
        ("gone", "has no recipe"),
        (drawn(studio_with_examples, 3, "deep_dream"), "network that is not available"),
    ):
        _, sentence = warned(asyncio.run, gallery.restore_result(name, *nothing))
        assert said in sentence


def test_what_made_a_result_is_read_and_taken_as_code_and_pasted_back(tabs, studio_with_examples, small_job):
    gallery, name = tabs.gallery, made(studio_with_examples, small_job)
    shown = gallery.picked("All", None, picks(name=name))
    assert from_json(shown[gallery.panel.recipe]) == read_recipe(studio_with_examples.gallery.folder / name)
    compile(shown[gallery.panel.code], "repeat.py", "exec")
    nothing = [None] * sum(len(door.inputs) for door in gallery._returning)
    back = asyncio.run(gallery.restore_pasted(shown[gallery.panel.recipe], *nothing))
    assert back[tabs.everything]["selected"] == "dream"
    for text in ("", "{}", "no recipe", None):
        assert "recipe" in warned(asyncio.run, gallery.restore_pasted(text, *nothing))[1]


def test_two_compared_results_say_why_they_differ(tabs, studio_with_examples, small_job):
    gallery = tabs.gallery
    other = dataclasses.replace(small_job, config=dataclasses.replace(SMALL, steps=2))
    names = [made(studio_with_examples, job) for job in (small_job, other)]
    said = gallery.compare_results({"chosen": names})[gallery.panel.differences]
    assert "Recipe differences" in said
    assert "<td>3</td><td>2</td>" in said
    same = gallery.compare_results({"chosen": [names[0], made(studio_with_examples, small_job)]})
    assert "The recipes are the same" in same[gallery.panel.differences]
    hostile = Recipe(engine="deep_dream", config={"steps": "<script>"}, backbone="", weights="", inputs={})
    assert "<script>" not in table_of(hostile, dataclasses.replace(hostile, config={"steps": 2}))


@pytest.mark.parametrize(
    ("english", "korean"),
    [
        ("max", "최댓값"),
        ("Pooling max, Start from noise", "풀링 최댓값, 시작점 노이즈"),
        ("Loss normalisation book", "손실 정규화 book"),
    ],
)
def test_what_was_chosen_is_compared_in_the_language_of_the_page(english, korean):
    assert change_text(english) == english
    with use_language(KOREAN):
        assert change_text(english) == korean


def test_a_person_s_own_texts_are_known_by_the_labels_of_their_settings():
    settings = (WritingConfig, "prompt"), (WritingConfig, "stop"), (LanguageTrainingConfig, "prompt")
    assert set(WRITTEN) == {label_of(fields_by_name(config)[name]) for config, name in settings}


def test_deleting_is_asked_twice_and_for_the_very_same_results(tabs, studio_with_examples):
    gallery, names = tabs.gallery, [drawn(studio_with_examples, i) for i in range(4)]
    folder = studio_with_examples.gallery.folder
    value = gallery.list_results("All", {"chosen": names[:2]})
    asked = gallery.delete_selected([], "All", value)
    assert asked[gallery.remove]["value"] == "Delete 2 results?"
    other = {**value, "chosen": names[:3]}
    assert gallery.delete_selected(asked[gallery.asked], "All", other)[gallery.asked] == names[:3]
    assert all((folder / name).exists() for name in names)
    gone = gallery.delete_selected(asked[gallery.asked], "All", value)
    assert set(names_in(gone[gallery.grid])) == set(names[2:])
    assert [(folder / name).exists() for name in names] == [False, False, True, True]
    first = gallery.delete_opened(names[2], gone[gallery.asked], "All", gone[gallery.grid])
    assert first[gallery.delete]["value"] == "Delete this result?"
    last = gallery.delete_opened(names[2], first[gallery.asked], "All", gone[gallery.grid])
    assert names_in(last[gallery.grid]) == [names[3]]
    assert not last[gallery.opened]["visible"], "what is deleted is not open any longer"
    assert "Select the results" in warned(gallery.delete_selected, [], "All", {"chosen": []})[1]


def test_what_is_ticked_is_exported_with_its_recipe(tabs, studio_with_examples):
    name = drawn(studio_with_examples, 5)
    with zipfile.ZipFile(tabs.gallery.export_selected({"chosen": [name]})) as archive:
        assert sorted(archive.namelist()) == [name.replace(".png", ".json"), name]
    assert "Select the results" in warned(tabs.gallery.export_selected, {"chosen": []})[1]


def test_a_text_is_gone_on_with_and_comes_back_to_the_words_tab(studio):
    from studio.tabs.text.tab import TextTab

    text, gallery = TextTab(studio), GalleryTab(studio, RESULT_TABS)
    with unserved_page(), gr.Tabs() as everything:
        for tab in (text, gallery):
            with gr.Tab("tab"):
                tab.build()
        gallery.connect(everything, text.handoffs())
    name = written(studio, "It was a good video.")
    (door,) = gallery._outgoing
    updates = asyncio.run(gallery._send_to(door)(name))
    assert updates[text.settings.controls["prompt"]] == "It was a good video."
    back = asyncio.run(gallery.restore_result(name))
    values = [value_in(back[one]) for one in text.settings.components]
    assert text.settings.config(values) == WritingConfig(prompt="", tokens=10)
    assert back[text.parts]["selected"] == "write"
