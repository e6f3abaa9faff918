"""Every setting is a command-line option, with the help, type and default that its field declares."""

from __future__ import annotations

import argparse
import dataclasses

import pytest

from engines.backbones.config import BackboneTrainingConfig
from engines.core.configs import setting
from engines.core.options import (
    add_options,
    changed_options,
    format_numbers,
    format_weights,
    parse_numbers,
    parse_settings,
    parse_weights,
)
from engines.deep_dream import DreamConfig
from engines.jobs.sweep import DreamSweepConfig
from engines.style_transfer import StyleConfig
from tests.engines.helpers import refusal


def parser_for(config_class: type) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="test")
    add_options(parser, config_class)
    return parser


def changed(config_class: type, *arguments: str) -> dict:
    return changed_options(parser_for(config_class).parse_args(arguments), config_class)


@pytest.mark.parametrize("config_class", [DreamConfig, StyleConfig, BackboneTrainingConfig, DreamSweepConfig])
def test_every_field_is_an_option_with_its_help_and_its_default(config_class):
    # argparse wraps lines at the terminal's width.
    shown = " ".join(parser_for(config_class).format_help().split())
    for field in dataclasses.fields(config_class):
        assert f"--{field.name.replace('_', '-')} " in shown
        text = " ".join(field.metadata["help"].split())
        has_default = field.default is not None and field.default is not dataclasses.MISSING
        assert (f"{text} [{field.default}]" if has_default else text) in shown


def test_nothing_given_is_nothing_changed():
    assert changed(DreamConfig) == {}
    assert DreamConfig(**changed(DreamConfig)) == DreamConfig()


def test_only_what_was_given_is_changed_and_has_the_type_of_its_field():
    given = changed(
        DreamConfig, "--octave-scale", "1.5", "--steps", "7", "--normalization", "l2", "--channel", "3", "--turn", "-9"
    )
    assert given == {"octave_scale": 1.5, "steps": 7, "normalization": "l2", "channel": 3, "turn": -9.0}
    assert isinstance(given["turn"], float)
    assert isinstance(given["steps"], int)


def test_a_value_equal_to_the_default_counts_as_given():
    # Options override a recipe, even if they equal the defaults.
    assert changed(DreamConfig, "--size", "640") == {"size": 640}


def test_layer_weights_are_read_as_pairs():
    assert changed(DreamConfig, "--layer-weights", "a=1, b=-2.5,") == {"layer_weights": {"a": 1.0, "b": -2.5}}


@pytest.mark.parametrize(
    "arguments",
    [
        ("--steps", "many"),
        ("--steps", "1.5"),
        ("--channel", "red"),
        ("--normalization", "L3"),
        ("--layer-weights", "a=b"),
        ("--no-such-option", "1"),
    ],
)
def test_what_cannot_be_read_ends_with_a_usage_message_that_names_the_option(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        changed(DreamConfig, *arguments)
    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err


@dataclasses.dataclass(frozen=True)
class Switches:
    """A config with what DreamConfig lacks: a boolean, and a per cent sign in its help."""

    grain: bool = setting(True, "Add 5 % of grain.")


def test_a_switch_can_be_turned_on_and_off_and_left_alone():
    assert changed(Switches) == {}
    assert changed(Switches, "--grain") == {"grain": True}
    assert changed(Switches, "--no-grain") == {"grain": False}
    assert "Add 5 % of grain." in parser_for(Switches).format_help()


def test_numbers_are_read_with_commas_between_them():
    assert changed(StyleConfig, "--blend", "1, 0.25,") == {"blend": (1.0, 0.25)}
    assert "commas" in refusal(ValueError, parse_numbers, "1; 2")


@pytest.mark.parametrize("weight", [1.0, 2.0, 0.1, 1 / 3, 1e-6, 2.5e-8, 123456.789])
def test_weights_are_written_so_that_they_are_read_back_exactly(weight):
    weights = {"block1_conv1": weight, "mixed4": 2.0}
    assert parse_weights(format_weights(weights)) == weights


def test_weights_are_written_short():
    assert format_weights({"a": 1.0, "b": 0.5}) == "a=1, b=0.5"


@pytest.mark.parametrize("number", [0, 1, -2.5, 0.1, 1 / 3, 1e-6, 2.5e-8, 123456.789, 4e6, 2**31 - 1, 1e300, -0.05])
def test_numbers_are_written_so_that_they_are_read_back_exactly(number):
    assert parse_numbers(format_numbers((number, 7.0))) == (number, 7.0)


def test_numbers_are_written_short_and_whole_ones_with_all_their_digits():
    assert format_numbers((0.01, 2.0, 2**31 - 1, 4e6)) == "0.01, 2, 2147483647, 4000000"
    assert format_numbers(()) == ""
    assert parse_numbers("") == ()


def test_settings_are_read_from_a_json_object():
    text = '{"steps": 10, "layer_weights": {"block1_conv1": 1.5}}'
    wanted = {"steps": 10, "layer_weights": {"block1_conv1": 1.5}}
    assert parse_settings(text) == wanted
    assert changed(DreamSweepConfig, "--settings", text) == {"settings": wanted}
    assert parse_settings("{}") == {}


@pytest.mark.parametrize("text", ["", "steps=10", "[1, 2]", "7", '"steps"', "{", "[" * 100_000, "x" * 10_000])
def test_what_is_no_json_object_is_refused_as_settings_with_a_sentence(text):
    sentence = refusal(ValueError, parse_settings, text)
    assert sentence.startswith("Settings must be a JSON object")
    assert len(sentence) < 150
