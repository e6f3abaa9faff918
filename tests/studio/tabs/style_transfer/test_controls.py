"""The style transfer tab's controls: settings, presets, networks, examples."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from engines.imaging.images import read_image
from engines.style_transfer import BOOK, MAX_STYLES, StyleConfig, presets
from studio.components.image_input import example_title
from studio.examples.examples import painting_paths
from studio.examples.paintings import PAINTINGS
from studio.tabs.style_transfer.tab import TIMES, time_choice
from tests.engines.helpers import files_in
from tests.studio.conftest import QUICK_PAINTING
from tests.studio.helpers import (
    through_the_page,
    warned,
)
from tests.studio.tabs.style_transfer.helpers import controls, start

# Controls and configs


def test_every_setting_but_the_blend_has_its_control_and_the_defaults_are_the_fields_own(tab):
    assert {*tab.settings.controls, "blend"} == {field.name for field in dataclasses.fields(StyleConfig)}
    assert "blend" not in tab.settings.controls
    assert tab.settings.config([*controls(tab, StyleConfig()), ["one.png", "two.png"]]) == StyleConfig()


def test_every_choice_of_a_setting_can_be_made_on_the_page(tab):
    for field in dataclasses.fields(StyleConfig):
        if field.metadata["choices"]:
            offered = [value for _, value in tab.settings.controls[field.name].choices]
            assert sorted(offered) == sorted(field.metadata["choices"])


@pytest.mark.parametrize(
    ("seconds", "name"),
    [(0, "By steps"), (1, "Quick · 15 s"), (15, "Quick · 15 s"), (50, "Good · 1 min"), (7200, "Best · 5 min")],
)
def test_a_time_is_shown_as_the_choice_nearest_to_it(seconds, name):
    assert time_choice(seconds) == name


def test_every_choice_of_time_names_itself():
    assert [time_choice(seconds) for seconds in TIMES.values()] == list(TIMES)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"balance": 0.99}, "More style ↔ more photo must be between 0.0 and 0.95"),
        ({"size": 2.5}, "Size must be a whole number"),
        ({"scales": 99}, "Number of scales must be between 1 and 8"),
        ({"steps": 0}, "Steps at full size must be between 1 and"),
        ({"style_scale": 0.1}, "Stroke size must be between 0.25 and 4"),
        ({"style_weight": float("nan")}, "Style weight α must be a finite number"),
        ({"content_weight": -1}, "Photo weight β must be between"),
        ({"learning_rate": float("inf")}, "Learning rate must be a finite number"),
        ({"style_layers": "block1_conv1=much"}, "must be a number"),
        ({"style_layers": "block1_conv1=-1"}, "Style layers must be between"),
        ({"style_layers": "block1_conv1=0, block2_conv1=0"}, "All style layers have weight zero"),
        ({"style_weight": 0, "content_weight": 0, "total_variation_weight": 0}, "All weights are zero"),
        ({"color": "grey"}, "Colours must be one of"),
        ({"optimizer": "newton"}, "Optimiser must be one of"),
        ({"seed": -1}, "Seed must be between"),
        ({"tile_size": "all"}, "Tile size must be a whole number"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_value_that_cannot_be_is_refused_with_a_sentence(tab, photo, studio, styles, changes, told):
    values = tab.settings.by_name(tab.settings.values(QUICK_PAINTING)) | changes
    taken, sentence = warned(lambda: start(tab, photo, styles, [*values.values(), *[1] * MAX_STYLES]))
    assert told in sentence
    assert taken == [{tab.view.start_button: gr.skip()}]
    assert studio.runs._by_id == {}


# Presets and networks


def test_a_preset_keeps_the_visitors_size_time_and_seed_except_for_the_books(tab):
    own = {"size": 320, "seed": 7, "seconds": 60.0, "scales": 2, "steps": 9}
    mine = StyleConfig(**own, balance=0.9, color="matched")
    for name, preset in presets("vgg19").items():
        kept = {"seed": 7} if preset is BOOK else own
        answer = tab.preset_chosen(name, "vgg19", "", *controls(tab, mine), None)
        assert through_the_page(tab.settings, answer) == dataclasses.replace(preset, **kept)


# Examples


def test_the_drawn_paintings_are_images_of_their_own_with_much_to_learn_from(drawn):
    paths = painting_paths(drawn / "paintings")
    assert len(paths) == len(PAINTINGS) >= 6
    assert files_in(drawn / "paintings") == sorted(path.name for path in paths)
    images = []
    for path in paths:
        with Image.open(path) as opened:
            assert opened.mode == "RGB"
            assert max(opened.size) >= 400
            images.append(np.asarray(opened))
        assert images[-1].std(axis=(0, 1)).min() > 15
    means = [image.mean(axis=(0, 1)) for image in images]
    distances = [np.abs(one - other).sum() for i, one in enumerate(means) for other in means[:i]]
    assert min(distances) > 10


@pytest.mark.parametrize(
    ("file", "title"),
    [
        ("marbled paper.png", "Marbled paper"),
        ("hills at dusk.png", "Hills at dusk"),
        ("cheetah1.jpg", "Cheetah"),
        ("grace_hopper.jpg", "Grace Hopper"),
    ],
)
def test_an_example_is_called_by_what_it_shows(file, title):
    assert example_title(Path(file)) == title


@pytest.mark.parametrize("name", ["pointillism", "marbled paper"])
def test_a_painting_that_is_drawn_again_is_the_same(drawn, name):
    np.testing.assert_array_equal(np.asarray(PAINTINGS[name]()), read_image(drawn / "paintings" / f"{name}.png"))
