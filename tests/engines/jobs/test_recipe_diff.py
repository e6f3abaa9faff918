"""Comparing two recipes: every different field is reported in words, and no equal one."""

from __future__ import annotations

import dataclasses
import json

import pytest

from engines.core.configs import fields_by_name, label_of
from engines.deep_dream import DreamConfig
from engines.jobs.recipe_diff import MAX_CHARACTERS, SAME, Difference, differences
from engines.jobs.sweep import DreamSweepConfig
from engines.language_model.config import WritingConfig
from engines.recipes import Recipe, RecipeError, from_json
from engines.style_transfer.config import StyleConfig
from tests.engines.helpers import is_one_sentence, refusal

CONFIG = dataclasses.asdict(DreamConfig(size=64, layer_weights={"block4_conv2": 1.5}))


def recipe(config: dict | None = None, **changes) -> Recipe:
    values = {
        "engine": "deep_dream",
        "config": {**CONFIG, **(config or {})},
        "backbone": "studio_vgg",
        "weights": "ab" * 32,
        "inputs": {"image": "cd" * 32},
        "steering": ((3, {**CONFIG, "step_size": 0.5}),),
        "stopped_at": 9,
    }
    return Recipe(**values | changes)


def only(*others: Recipe) -> Difference:
    (difference,) = differences(*others)
    return difference


def help_of(config_class: type, name: str) -> str:
    return fields_by_name(config_class)[name].metadata["help"]


def test_a_recipe_is_the_same_as_itself_as_one_from_a_file_and_as_one_rounded():
    assert differences(recipe(), recipe()) == ()
    assert differences(recipe({"layer_weights": {}}), from_json(recipe({"layer_weights": {}}).to_json())) == ()
    assert differences(recipe({"step_size": 0.1 + 0.2}), recipe({"step_size": 0.3})) == ()
    assert differences(recipe({"max_loss": 0.0}), recipe({"max_loss": 0})) == ()
    assert is_one_sentence(SAME)


@pytest.mark.parametrize(
    ("name", "one", "other", "read"),
    [
        ("step_size", 0.02, 0.5, ("0.02", "0.5")),
        ("seed", 2**31 - 1, 2**31 - 2, ("2147483647", "2147483646")),
        ("channel", None, 7, ("none", "7")),
        ("normalization", "mean_absolute", "l2", ("mean_absolute", "l2")),
        ("layer_weights", {"a": 1.0}, {"a": 1.0, "b": 2.5}, ("a 1", "a 1, b 2.5")),
        ("zoom", 1.0500001, 1.0500009, ("1.0500001", "1.0500009")),
    ],
)
def test_a_setting_that_differs_is_told_with_both_values_and_its_help(name, one, other, read):
    difference = only(recipe({name: one}, steering=()), recipe({name: other}, steering=()))
    label = label_of(fields_by_name(DreamConfig)[name])
    assert difference == Difference(label, *read, help_of(DreamConfig, name))


def test_network_weights_inputs_and_the_stop_are_told_in_words():
    other = recipe(backbone="vgg16", weights="", inputs={"image": "ef" * 32, "guide": "12" * 32}, stopped_at=None)
    assert differences(recipe(), other) == (
        Difference("Network", "studio_vgg", "vgg16"),
        Difference("Network weights", "abababababab", "none"),
        Difference("Image", "cdcdcdcdcdcd", "efefefefefef"),
        Difference("Guide", "none", "121212121212"),
        Difference("Stopped", "after step 9", "not stopped"),
    )


def test_a_run_that_went_on_elsewhere_is_told_apart_from_one_that_did_not():
    difference = only(recipe(), recipe(interruptions=(2, 5)))
    assert difference == Difference("Resumed after step", "never", "2, 5")


def test_of_a_series_of_images_it_is_said_which():
    one = recipe(inputs={"content_image": "a" * 64, "style_images_2": "b" * 64, "masks_1": "c" * 64})
    other = recipe(inputs={"content_image": "a" * 64, "style_images_2": "d" * 64})
    assert [difference.name for difference in differences(one, other)] == ["Style image 2", "Mask 1"]


def test_a_setting_that_is_newer_than_a_recipe_is_told_with_what_it_then_is():
    older = recipe()
    older = dataclasses.replace(older, config={k: v for k, v in older.config.items() if k != "jitter"}, steering=())
    newer = recipe({"jitter": 4}, steering=())
    words = "default, as the recipe predates this setting: 16"
    assert only(older, newer) == Difference("Jitter", words, "4", help_of(DreamConfig, "jitter"))
    assert only(newer, older).second == words
    assert differences(older, older) == ()
    unknown = dataclasses.replace(newer, config={**newer.config, "later": 1})
    assert only(newer, unknown) == Difference("Later", "not in this recipe", "1")


def test_what_was_changed_on_the_way_is_told_step_by_step():
    one = recipe(steering=((3, {**CONFIG, "step_size": 0.5}), (7, {**CONFIG, "step_size": 0.5, "zoom": 1.2})))
    other = recipe(steering=((3, {**CONFIG, "step_size": 0.4}), (8, {**CONFIG, "step_size": 0.4, "zoom": 1.2})))
    assert differences(one, other) == (
        Difference("Changed after step 3", "Strength 0.5", "Strength 0.4"),
        Difference("Changed after step 7", "Zoom 1.2", "nothing"),
        Difference("Changed after step 8", "nothing", "Zoom 1.2"),
    )
    # A different initial setting is reported once, not with every change.
    begun = recipe({"size": 99}, steering=((3, {**CONFIG, "size": 99, "step_size": 0.5}),))
    assert only(recipe(), begun).name == "Size"
    assert only(recipe(), recipe(steering=((3, {}),))).name == "Changed after step 3"


def test_recipes_of_two_engines_say_so_first_and_are_compared_in_what_they_share():
    painting = recipe(
        engine="style_transfer",
        config=dataclasses.asdict(StyleConfig(size=64, steps=30, seed=5)),
        inputs={"content_image": "12" * 32},
        steering=(),
    )
    found = differences(recipe(), painting)
    assert found[0] == Difference("Engine", "DeepDream", "Style transfer")
    assert [difference.name for difference in found[1:]] == ["Seed"]


def test_sweeps_are_compared_in_what_is_swept_and_in_each_setting_that_their_images_share():
    one = sweep_recipe(settings={"jitter": 4})
    other = sweep_recipe(settings={"jitter": 8}, columns="octaves", column_values=(1, 2))
    found = {difference.name: (difference.first, difference.second) for difference in differences(one, other)}
    assert found == {
        "Columns": ("step_size", "octaves"),
        "Column values": ("0.01, 0.02, 0.04", "1, 2"),
        "Jitter": ("4", "8"),
    }
    assert only(sweep_recipe(), sweep_recipe(settings={"size": 99})).help == help_of(DreamConfig, "size")
    assert differences(one, from_json(one.to_json())) == ()


def test_what_was_changed_during_a_sweep_is_told_by_the_settings_alone():
    one, other = (sweep_recipe(steering=((3, sweep_config({"jitter": jitter})),)) for jitter in (4, 8))
    assert only(one, other) == Difference("Changed after step 3", "Jitter 4", "Jitter 8")


def test_a_sweep_and_a_dream_are_compared_in_the_settings_that_they_share():
    found = differences(recipe(steering=()), sweep_recipe(settings={"size": 99}))
    assert [difference.name for difference in found] == ["Engine", "Size"]


def sweep_config(settings: dict, **changes) -> dict:
    return dataclasses.asdict(DreamSweepConfig(settings={**CONFIG, **settings}, **changes))


def sweep_recipe(settings: dict | None = None, steering: tuple = (), **changes) -> Recipe:
    """The recipe of a sweep of dreams."""
    made = recipe(engine="deep_dream_sweep", steering=steering)
    return dataclasses.replace(made, config=sweep_config(settings or {}, **changes))


def test_of_long_values_the_place_is_shown_where_they_part():
    prompt = "It begins. " * 50
    configs = [dataclasses.asdict(WritingConfig(prompt=prompt + end)) for end in ("One end.", "Another end.")]
    found = only(*map(text_recipe, configs))
    assert found.first.endswith("It begins. One end.")
    assert found.second.endswith("It begins. Another end.")
    walks = [{"waypoints": [*[0.25] * 90, value, *[0.25] * 90]} for value in (1.5, -1.5)]
    found = only(*(recipe(engine="vae", config=walk, steering=()) for walk in walks))
    assert "1.5" in found.first
    assert "-1.5" in found.second
    for text in (found.first, found.second):
        assert len(text) <= MAX_CHARACTERS + 2
        assert text.startswith("…0.25")
        assert text.endswith("…")


def text_recipe(config: dict) -> Recipe:
    return Recipe(engine="language_model", config=config, backbone="ours", weights="", inputs={})


@pytest.mark.parametrize(
    "settings",
    [{"size": 10**400}, {"size": [[1], {"a": None}]}, {"__class__": "x" * 10_000}, {"size": True}, {"": ""}],
    ids=["large", "nested", "long", "bool", "empty"],
)
def test_what_strangers_write_is_compared_as_it_is(settings):
    other = dataclasses.replace(recipe(), config={**CONFIG, "size": 1.0, **settings}, engine="nobody's")
    found = differences(dataclasses.replace(recipe({"size": 1.0}), engine="nobody's", config={"size": 1.0}), other)
    assert all(max(map(len, dataclasses.astuple(difference))) < 200 for difference in found)
    assert differences(other, other) == ()


def test_settings_that_are_nested_too_deep_are_refused_with_one_sentence():
    nested = json.loads("[" * 900 + "]" * 900)
    refusal(RecipeError, differences, recipe({"size": nested}), recipe({"size": json.loads(json.dumps(nested))}))
