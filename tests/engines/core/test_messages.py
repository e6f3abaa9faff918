"""Messages: English texts that remember what they were made of, wherever they go."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle

import pytest

from engines.core.configs import setting, validate
from engines.core.messages import Message, filled, joined, message, places_of


class SomeError(ValueError):
    """An error of an engine."""


STEP = message("step {step} of {total}", step=3, total=20)
INSIDE = message(
    "{cause}; took {seconds:.1f} s, not {given!r}", cause=message("the disk is full"), seconds=2.25, given="x"
)


def test_a_message_is_its_english_text():
    assert STEP == "step 3 of 20"
    assert {STEP: 1} == {"step 3 of 20": 1}
    assert f"{STEP}." == "step 3 of 20."
    assert json.loads(json.dumps({"note": STEP})) == {"note": "step 3 of 20"}
    assert STEP.startswith("step")


def test_it_remembers_its_template_and_what_stands_in_its_places():
    assert (STEP.template, STEP.values) == ("step {step} of {total}", {"step": "3", "total": "20"})
    assert INSIDE == "the disk is full; took 2.2 s, not 'x'"
    assert INSIDE.values == {"cause": "the disk is full", "seconds": "2.2", "given": "'x'"}
    assert isinstance(INSIDE.values["cause"], Message)


@pytest.mark.parametrize("said", [STEP, INSIDE, joined([STEP, "", INSIDE]), message("Save"), message("{not} a place")])
@pytest.mark.parametrize("through", [pickle.dumps, copy.copy, copy.deepcopy, str])
def test_it_remembers_them_as_a_copy_and_in_another_process(said, through):
    there = pickle.loads(pickle.dumps(said)) if through is pickle.dumps else through(said)
    assert isinstance(there, Message)
    assert (there, there.template, there.values) == (said, said.template, said.values)
    assert [type(value) for value in there.values.values()] == [type(value) for value in said.values.values()]


def test_what_an_error_says_is_the_message_that_it_was_raised_with():
    for error in (SomeError(INSIDE), pickle.loads(pickle.dumps(SomeError(INSIDE)))):
        said = str(error)
        assert isinstance(said, Message)
        assert said.template == INSIDE.template
        assert isinstance(message("{file} was skipped: {why}", file="a", why=said).values["why"], Message)


def test_without_values_it_is_as_it_is_and_may_be_filled_later():
    form = message("Remove {title}")
    assert form == "Remove {title}"
    assert message(form, title="VGG16") == "Remove VGG16"
    assert message("{} and {1} and {") == "{} and {1} and {"


def test_braces_of_its_own_are_doubled_where_there_are_values_and_those_of_values_are_not_read():
    assert message('as {{"steps": 10}}, not {given}', given="{steps}") == 'as {"steps": 10}, not {steps}'
    assert message("{why}", why=message("{given}", given="{x}")) == "{x}"


def test_a_place_without_a_value_is_a_mistake():
    with pytest.raises(KeyError):
        message("step {step} of {total}", step=1)


def test_the_parts_of_a_line():
    line = joined([STEP, "", message("in tiles")])
    assert line == "step 3 of 20 · in tiles"
    assert list(map(type, line.values.values())) == [Message, Message]
    assert joined([line, "x"]) == "step 3 of 20 · in tiles · x"
    assert joined([]) == ""
    assert joined(["a", "b"], ", ") == "a, b"


def test_a_translation_names_the_places_in_its_own_order():
    assert filled("{total} 가운데 {step}", STEP.values) == "20 가운데 3"
    assert places_of("{total} of {step:,} {{no}}") == {"total", "step"}


def test_a_config_s_error_names_its_setting_as_a_message():
    @dataclasses.dataclass
    class Config:
        step_size: float = setting(1.0, "How far.", low=0, high=2)

    with pytest.raises(ValueError, match=r"^Step size must be between 0 and 2, not 3\.$") as refused:
        validate(Config(3))
    said = str(refused.value)
    assert isinstance(said, Message)
    assert {name: type(value) for name, value in said.values.items()} == {
        "name": Message,
        "kind": Message,
        "given": str,
    }
