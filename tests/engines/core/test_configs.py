"""Validation of settings: range, type and choices, from code or from untrusted files."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import pytest

from engines.core.configs import fields_by_name, for_programs, from_mapping, label_of, setting, validate
from engines.core.options import format_weights, parse_weights
from engines.deep_dream import DreamConfig
from tests.engines.helpers import refusal


def refused(**values) -> str:
    """The error message for these settings."""
    return refusal(ValueError, DreamConfig, **values)


def numbers() -> list[dataclasses.Field]:
    return [field for field in dataclasses.fields(DreamConfig) if field.metadata["high"] is not None]


def with_value(field: dataclasses.Field, value):
    return {field.name: {"block4_conv2": value} if field.name == "layer_weights" else value}


def is_whole(field: dataclasses.Field) -> bool:
    return field.type in {"int", "int | None"}


def test_the_defaults_are_allowed():
    assert DreamConfig() == DreamConfig()


@pytest.mark.parametrize("field", numbers(), ids=lambda field: field.name)
def test_the_ends_of_a_range_are_allowed_and_what_lies_beyond_is_not(field):
    low, high = field.metadata["low"], field.metadata["high"]
    beyond = 1 if is_whole(field) else 0.001 * max(1, abs(high))
    name = label_of(field)
    DreamConfig(**with_value(field, low))
    DreamConfig(**with_value(field, high))
    for value in (low - beyond, high + beyond):
        sentence = refused(**with_value(field, value))
        assert sentence.startswith(name)
        assert str(low) in sentence
        assert str(high) in sentence


@pytest.mark.parametrize("field", numbers(), ids=lambda field: field.name)
@pytest.mark.parametrize("value", [True, "3", [3], {"a": {}}, math.nan, math.inf, -math.inf], ids=repr)
def test_what_is_no_finite_number_is_refused_by_every_number(field, value):
    assert refused(**with_value(field, value)).startswith(label_of(field))


@pytest.mark.parametrize("field", [field for field in numbers() if is_whole(field)], ids=lambda field: field.name)
def test_a_fraction_is_refused_where_a_whole_number_is_meant(field):
    assert "a whole number" in refused(**{field.name: 1.5})


def test_a_whole_number_is_allowed_where_a_fraction_is_meant():
    assert DreamConfig(step_size=1).step_size == 1


@pytest.mark.parametrize("name", ["size", "seed", "step_size"])
def test_a_whole_number_beyond_all_floats_is_refused_with_one_sentence(name):
    refused(**{name: 10**400})


@pytest.mark.parametrize("value", [None, 3, "L2", "", "l2 "])
def test_a_choice_that_is_not_offered_is_refused_and_the_offer_named(value):
    sentence = refused(normalization=value)
    assert sentence.startswith("Step normalisation")
    if isinstance(value, str):
        assert "mean_absolute, l2" in sentence


@pytest.mark.parametrize("value", [None, [], (), "block4_conv2", {3: 1.0}, {"a": None}, {"a": "1"}, {"a": True}])
def test_layer_weights_that_are_not_names_with_numbers_are_refused(value):
    assert refused(layer_weights=value).startswith("Layers")


def test_layer_weights_that_are_all_zero_are_refused():
    refused(layer_weights={"block4_conv2": 0, "block3_conv1": 0.0})


@pytest.mark.parametrize("tile", [1, 127])
def test_a_tile_that_is_too_small_is_refused(tile):
    assert refused(tile_size=tile).startswith("Tile size")


def test_a_very_long_value_is_cut_short_in_the_sentence():
    assert len(refused(normalization="x" * 100_000)) < 200
    assert len(refused(size="9" * 100_000)) < 200


def test_a_mapping_gives_the_config_that_it_was_made_from():
    config = DreamConfig(size=100, channel=3, layer_weights={"block4_conv2": 2.0})
    assert from_mapping(DreamConfig, dataclasses.asdict(config)) == config
    assert from_mapping(DreamConfig, {}) == DreamConfig()


@pytest.mark.parametrize("name", ["__class__", "__init__", "metadata", "Size", "", "x" * 10_000])
def test_a_field_that_the_config_does_not_have_is_refused_by_its_name(name):
    sentence = refusal(ValueError, from_mapping, DreamConfig, {"size": 64, name: 1})
    assert "has no setting" in sentence
    assert name[:40] in sentence
    assert len(sentence) < 200


@pytest.mark.parametrize(
    "values",
    [
        {"size": "640"},
        {"size": [640]},
        {"size": [[[]]]},
        {"size": None},
        {"size": {"__class__": "int"}},
        {"layer_weights": [["block4_conv2", 1.0]]},
        {"layer_weights": {"block4_conv2": [1.0]}},
        {"layer_weights": {"block4_conv2": {"nested": 1}}},
        {"normalization": ["l2"]},
        {"normalization": {}},
    ],
    ids=str,
)
def test_a_mapping_with_values_of_the_wrong_kind_is_refused_with_one_sentence(values):
    sentence = refusal(ValueError, from_mapping, DreamConfig, values)
    assert sentence.startswith(label_of(fields_by_name(DreamConfig)[next(iter(values))]))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    """A config with the kinds of field that DreamConfig lacks."""

    flag: bool = setting(False, "A switch.")
    least: float = setting(1.0, "Open above.", low=0.5)
    per_step: int = setting(1, "Named otherwise.", label="Speed", low=1)
    names: tuple[str, ...] = setting((), "Names.")
    extra: Mapping[str, float] = setting(dict, "Pairs.")

    def __post_init__(self):
        validate(self)


def test_a_switch_takes_only_true_and_false():
    assert Sample(flag=True).flag
    for value in (1, 0, "true", None):
        with pytest.raises(ValueError, match="Flag must be true or false"):
            Sample(flag=value)


@pytest.mark.parametrize(
    ("config", "name", "label"),
    [(Sample, "per_step", "Speed"), (Sample(), "per_step", "Speed"), (DreamConfig, "octave_scale", "Octave scale")],
)
def test_a_setting_has_one_name_for_people_by_default_its_own_in_words(config, name, label):
    assert label_of(fields_by_name(config)[name]) == label


def test_a_refusal_calls_a_setting_by_its_label():
    assert refusal(ValueError, Sample, per_step=0) == "Speed must be at least 1, not 0."


def test_a_range_without_an_upper_end_says_at_least():
    assert Sample(least=1e9).least == 1e9
    with pytest.raises(ValueError, match=r"Least must be at least 0\.5, not 0\.25\."):
        Sample(least=0.25)


def test_a_list_from_json_becomes_a_tuple_whose_items_are_checked():
    assert from_mapping(Sample, {"names": ["a", "b"]}).names == ("a", "b")
    with pytest.raises(ValueError, match="Names must be"):
        from_mapping(Sample, {"names": ["a", 1]})


def test_a_mutable_default_is_not_shared_between_configs():
    assert Sample().extra == {}
    assert Sample().extra is not Sample().extra


def test_layer_weights_survive_being_written_as_text_and_read_again():
    weights = {"mixed4": 1.0, "mixed5": 1.5, "mixed6": -2.0}
    assert parse_weights(format_weights(weights)) == weights
    assert parse_weights("mixed4, mixed5 = 1.5,\n mixed6=-2,,") == weights
    assert parse_weights("  ") == {}


@pytest.mark.parametrize("text", ["mixed4=much", "mixed4=1=2", "mixed4=1.0.0"])
def test_a_layer_weight_that_is_no_number_is_refused_with_one_sentence(text):
    assert "mixed4" in refusal(ValueError, parse_weights, text)


def test_programs_are_also_told_the_name_of_the_setting():
    with pytest.raises(ValueError, match="Strength must be") as refused_value:
        DreamConfig(step_size=-1)
    assert for_programs(refused_value.value).startswith("step_size: Strength must be")
    with pytest.raises(ValueError, match="Octaves must be") as refused_value:
        DreamConfig(octaves=0)
    assert for_programs(refused_value.value).startswith("Octaves must be"), "which is its name"
    assert for_programs(ValueError("No photo.")) == "No photo."
