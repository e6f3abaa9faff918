"""Recipes in images dropped on both image tabs: good ones fill the form, hostile ones do no harm."""

from __future__ import annotations

import json
from typing import Any

from PIL import Image

from engines.recipes import Recipe, write_png
from tests.studio.helpers import png_with_text, through_the_page, warned
from tests.studio.tabs.image_tabs.helpers import Subject


def config_in(subject: Subject, answer: dict[Any, Any]) -> Any:
    """Return the config that the form shows after an answer."""
    return through_the_page(subject.tab.settings, [answer[control] for control in subject.tab.settings.components])


HOSTILE: list[str | dict[str, Any]] = [
    "{",
    "[" * 100_000,
    "{" + " " * 300_000 + "}",
    "null",
    "[1, 2]",
    '{"reverie": "1"}',
    {"reverie": 99},
    {"surprise": 1},
    {"engine": "neural_style"},
    {"engine": ["deep_dream"]},
    {"backbone": "../../etc/passwd"},
    {"backbone": None},
    {"config": {"size": "huge"}},
    {"config": {"size": 10**9}},
    {"config": {"__class__": 1}},
    {"config": []},
    {"inputs": {"image": 5}},
    {"inputs": []},
    {"steering": [[1, {"size": "huge"}]]},
    {"steering": [["1", {}]]},
    {"stopped_at": "soon"},
    {"stopped_at": True},
]
HOSTILE_DREAMS: list[dict[str, Any]] = [
    {"config": {"step_size": float("inf")}},
    {"config": {"layer_weights": {"block1_conv1": float("nan")}}},
    {"config": {"layer_weights": ["block1_conv1"]}},
]
HOSTILE_PAINTINGS: list[dict[str, Any]] = [
    {"engine": "deep_dream"},
    {"backbone": "inception_v3"},
    {"config": {"style_weight": float("inf")}},
    {"config": {"blend": "much"}},
    {"config": {"blend": [[1]]}},
    {"config": {"blend": [-1]}},
    {"config": {"blend": [0, 0]}},
    {"config": {"blend": [float("nan")]}},
    {"config": {"blend": [10**400]}},
    {"config": {"style_layers": {"block1_conv1": 0}}},
    {"config": {"style_layers": ["block1_conv1"]}},
    {"config": {"content_layer": 1}},
    {"steering": [[1, {"blend": "much"}]]},
]


def test_a_hostile_recipe_is_refused_with_one_sentence_and_the_image_is_still_a_photo(subject, tmp_path):
    own = HOSTILE_DREAMS if subject.engine == "deep_dream" else HOSTILE_PAINTINGS
    for hostile in [*HOSTILE, *own]:
        text = hostile if isinstance(hostile, str) else json.dumps(subject.recipe(**hostile))
        answer, sentence = warned(subject.drop, png_with_text(tmp_path / "hostile.png", text))
        assert len(sentence) < 200, hostile
        assert answer[subject.tab.restored] is None, hostile
        assert answer[subject.tab.view.canvas]["state"] == "ready", hostile
        assert not set(answer) & set(subject.tab.settings.components), hostile


def test_the_recipe_that_the_hostile_ones_differ_from_is_good(subject, tmp_path):
    answer = subject.drop(png_with_text(tmp_path / "good.png", json.dumps(subject.recipe())))
    assert answer[subject.tab.restored]
    assert config_in(subject, answer) == subject.quick


def test_an_input_hash_in_a_recipe_cannot_name_another_file(subject, tmp_path, sample_image):
    Image.fromarray(sample_image).save(subject.studio.gallery.folder / "private.png")
    for digest in ("../private", "..\\private", "/etc/passwd"):
        inputs = dict.fromkeys((*subject.inputs, "guide", "start_image"), digest)
        inputs.pop("start_image" if subject.engine == "deep_dream" else "guide")
        answer = subject.drop(png_with_text(tmp_path / "path.png", json.dumps(subject.recipe(inputs=inputs))))
        assert answer[subject.tab.restored]
        assert subject.tab.photo not in answer
        assert not any(str(value).endswith(("private.png", "passwd")) for value in answer.values())


def test_an_image_of_another_engine_keeps_its_settings_to_itself(subject, tmp_path, sample_image):
    other = "style_transfer" if subject.engine == "deep_dream" else "deep_dream"
    for engine in (other, "latents"):
        path = tmp_path / f"{engine}.png"
        write_png(path, sample_image, Recipe(engine=engine, config={}, backbone="studio_vgg", weights="", inputs={}))
        answer, sentence = warned(subject.drop, str(path))
        assert "another tab" in sentence
        assert answer[subject.tab.restored] is None
