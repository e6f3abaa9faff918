"""The text tab's handlers: writing, token inspector, rewriting, scoring, restoring, training."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest

from engines.jobs import ENGINES
from engines.language_model import config as language_config
from engines.language_model import networks as transformers
from engines.language_model import tokenizers as tokenisers
from engines.language_model.config import LanguageTrainingConfig, WritingConfig
from engines.language_model.model import LanguageModel
from engines.language_model.training import MIN_TOKENS, read_texts
from engines.recipes import read_recipe
from engines.weights.store import LocatedWeights
from studio.components.config_form import Settings
from studio.runs.run import Run
from studio.services import Studio
from studio.tabs.text.scoring import TextScore
from studio.tabs.text.tab import FIXED, GREEDY, MODES, ONE, SIDE_BY_SIDE, TextTab
from studio.tabs.text.training import FIRST
from studio.wire_format import SHOWN_OF_A_PROMPT, prompt_tail, written_rows
from tests.engines.helpers import is_one_sentence
from tests.engines.language_model.test_engine import model_of
from tests.studio.helpers import eventually, unserved_page, value_in, values_through_the_page, warned, watched


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return model_of(scale=0.2)


@pytest.fixture
def tab(studio, model, monkeypatch) -> TextTab:
    return tab_of(studio, model, monkeypatch)


def tab_of(studio: Studio, model: LanguageModel, monkeypatch) -> TextTab:
    monkeypatch.setattr(type(studio.workshop.store), "find", lambda self, name: LocatedWeights(Path(name), "bundled"))
    for name in ("ours", "notes"):
        studio.workshop.keep("language_model", name, model)
    tab = TextTab(studio)
    with unserved_page():
        tab.build()
    return tab


def shown(settings: Settings, config: Any) -> list[Any]:
    """Return the values of controls for a config, after they passed through the page."""
    return values_through_the_page(settings.components, settings.updates(settings.values(config)))


def settings(tab: TextTab, **changes: Any) -> list[Any]:
    """Return the form's values for a config, after they passed through the page."""
    config = WritingConfig(**{"prompt": "This movie", "tokens": 20, "ends": False, "temperature": 1.0, **changes})
    return shown(tab.settings, config)


def written(tab: TextTab, *, restored: str | None = None, **changes: Any) -> tuple[str, list[dict[Any, Any]]]:
    """Write a text to its end; return the run's id and all updates."""
    updates = watched(tab.start(restored, "ours", 200, *settings(tab, **changes)))
    return next(update[tab.view.run_id] for update in updates if tab.view.run_id in update), updates


def last_text(updates: list[dict[Any, Any]], tab: TextTab) -> dict[str, Any]:
    messages = [update[tab.view.canvas] for update in updates if tab.view.canvas in update]
    return next(message for message in reversed(messages) if isinstance(message, dict) and "written" in message)


def rows_of(run: Any) -> tuple[Any, ...]:
    return run.frame.written


def test_what_the_settings_name_is_what_there_is():
    assert set(language_config.MODELS) == set(transformers.NETWORKS) == set(language_config.MODEL_DEFAULTS)
    assert set(language_config.MODELS) == set(ENGINES["language_model"].networks)
    assert set(language_config.TOKENISERS) == set(tokenisers.TOKENISERS)


# Writing


def test_a_text_is_written_shown_and_kept_with_its_recipe(tab):
    run_id, updates = written(tab)
    run = tab.view.run(run_id)
    message = last_text(updates, tab)
    assert (message["state"], message["prompt"]) == ("done", "This movie")
    (row,) = message["written"]
    assert len(row["pieces"]) == len(row["bits"]) == 20
    saved, recipe = updates[-1][tab.view.save], updates[-1][tab.view.recipe]
    text = Path(value_in(saved)).read_text(encoding="utf-8")
    assert text == "This movie" + "".join(row["pieces"])
    assert read_recipe(Path(value_in(recipe))).config["prompt"] == "This movie"
    assert run.result.suffix == ".txt"


def test_side_by_side_each_text_says_where_it_parts_from_the_one_before(tab):
    run_id, updates = written(tab, temperatures=language_config.TEMPERATURES)
    rows = last_text(updates, tab)["written"]
    assert [row["temperature"] for row in rows] == list(language_config.TEMPERATURES)
    assert rows[0]["parts"] is None
    tokens = [writing.tokens for writing in rows_of(tab.view.run(run_id))]
    for before, row, own in zip(tokens, rows[1:], tokens[1:], strict=False):
        expected = next((i for i in range(20) if before[i] != own[i]), None)
        assert row["parts"] == expected
    assert any(row["parts"] is not None for row in rows)


def test_texts_that_are_the_same_part_nowhere(model):
    from engines.language_model import SamplingConfig, generate

    *_, last = generate("A", SamplingConfig(tokens=4, temperatures=(0.0, 0.0), ends=False), model)
    assert [row["parts"] for row in written_rows(last.written)] == [None, None]


def test_greedy_against_sampling_is_a_mode_as_any(tab):
    values = settings(tab, temperatures=MODES[GREEDY])
    assert GREEDY in values
    assert tab.settings.config(values).temperatures == (0.0, 0.7)
    assert tab.settings.config(settings(tab)).temperatures == ()


def test_of_a_long_prompt_the_end_is_shown():
    assert prompt_tail("short") == "short"
    assert prompt_tail("x" * 100_000 + "end").endswith("end")
    assert len(prompt_tail("x" * 100_000)) < SHOWN_OF_A_PROMPT + 5


def test_without_a_model_the_page_says_so(tab):
    _, sentence = warned(watched, tab.start(None, None, 40, *settings(tab)))
    assert "No language model" in sentence


@pytest.mark.parametrize(
    ("changes", "part"),
    [({"prompt": "x" * 100_001}, "100,000"), ({"temperature": -1}, "Temperature"), ({"top_k": -3}, "Top-k")],
)
def test_what_cannot_be_written_is_refused_with_one_sentence(tab, changes, part):
    values = settings(tab)
    for name, value in changes.items():
        values[list(tab.settings.controls).index(name)] = value
    _, sentence = warned(watched, tab.start(None, "ours", 40, *values))
    assert part in sentence


def test_a_slider_moved_while_it_writes_steers_the_next_word(tab):
    values = settings(tab, tokens=400)
    run = None

    async def write() -> None:
        nonlocal run
        async for update in tab.start(None, "ours", 100, *values):
            run = run or tab.view.run(update.get(tab.view.run_id, ""))
            if run is None or run.frame is None:
                continue
            if not any(one.after == 1.0 for one in run.frame.written[0].distributions):
                moved = settings(tab, tokens=10, seed=9, temperature=0.0, prompt="Other")
                tab.view.steer(run.id, "ours", tab.settings, moved, FIXED)
            else:
                run.stop()

    asyncio.run(write())
    recipe = read_recipe(run.result)
    assert recipe.steering[0][1]["temperature"] == 0.0
    assert recipe.steering[0][1]["prompt"] == "This movie"
    assert recipe.config["tokens"] == 400


# Token inspector


def test_a_word_shows_its_distribution(tab, model):
    run_id, _ = written(tab)
    place, seen, again = tab.picked(run_id, SimpleNamespace(row=0, index=3))
    one = rows_of(tab.view.run(run_id))[0].distributions[3]
    assert place == [0, 3]
    assert (seen["token"], seen["before"], seen["rewritable"]) == (one.token, one.before, True)
    assert [token for *_, token in seen["alternatives"]] == [token for token, _, _ in one.alternatives]
    assert seen["alternatives"][0][0] == model.tokeniser.pieces([one.alternatives[0][0]])[0]
    assert again["interactive"]
    json.dumps(seen)


@pytest.mark.parametrize("event", [SimpleNamespace(row=0, index=99), SimpleNamespace(row=7, index=0)])
def test_a_word_that_is_not_there_shows_nothing(tab, event):
    run_id, _ = written(tab)
    assert tab.picked(run_id, event)[:2] == [None, {}]
    assert tab.picked("no such run", event)[:2] == [None, {}]


def test_another_word_is_put_in_its_place_and_written_on_from(tab):
    run_id, _ = written(tab)
    before = rows_of(tab.view.run(run_id))[0]
    token = next(i for i, _, _ in before.distributions[4].alternatives if i not in (0, before.tokens[4]))
    updates = watched(tab.replace_token(run_id, [0, 4], SimpleNamespace(token=token), "ours", 200, *settings(tab)))
    run = tab.view.run(next(update[tab.view.run_id] for update in updates if tab.view.run_id in update))
    tokens = rows_of(run)[0].tokens
    assert tokens[:5] == (*before.tokens[:4], token)
    assert len(tokens) == 25
    recipe = read_recipe(run.result)
    assert tuple(recipe.config["begun"]) == tokens[:5]


def test_of_several_texts_the_chosen_one_is_gone_on_with_at_its_temperature(tab):
    run_id, _ = written(tab, temperatures=language_config.TEMPERATURES)
    before = rows_of(tab.view.run(run_id))[3]
    both = settings(tab, temperatures=language_config.TEMPERATURES)
    updates = watched(tab.continue_text(run_id, [3, 2], "ours", 200, *both))
    run = tab.view.run(next(update[tab.view.run_id] for update in updates if tab.view.run_id in update))
    assert run.job.config.temperature == 1.0
    assert rows_of(run)[0].tokens[:20] == before.tokens
    assert value_in(updates[0][tab.settings.controls["temperatures"]]) == ONE
    assert value_in(updates[0][tab.settings.controls["temperature"]]) == 1.0


def test_continue_goes_on_as_if_it_had_never_stopped(tab):
    whole, _ = written(tab, tokens=40)
    half, _ = written(tab, tokens=20)
    updates = watched(tab.continue_text(half, None, "ours", 200, *settings(tab, tokens=20, prompt="changed meanwhile")))
    run = tab.view.run(next(update[tab.view.run_id] for update in updates if tab.view.run_id in update))
    assert rows_of(run)[0].tokens == rows_of(tab.view.run(whole))[0].tokens
    assert run.job.config.prompt == "This movie"


def test_try_again_keeps_what_is_before_and_draws_other_words(tab):
    run_id, _ = written(tab)
    before = rows_of(tab.view.run(run_id))[0].tokens
    updates = watched(tab.rewrite_from_token(run_id, [0, 6], "ours", 200, *settings(tab)))
    run = tab.view.run(next(update[tab.view.run_id] for update in updates if tab.view.run_id in update))
    tokens = rows_of(run)[0].tokens
    assert tokens[:6] == before[:6]
    assert tokens[6:20] != before[6:]
    assert value_in(updates[0][tab.settings.controls["seed"]]) == 1


def test_there_must_be_a_text_to_go_on_from(tab):
    _, sentence = warned(watched, tab.continue_text("no such run", None, "ours", 40, *settings(tab)))
    assert "no text to continue" in sentence


# Restoring


def test_a_recipe_brings_its_settings_back_and_repeats_its_text(tab):
    run_id, _ = written(tab, seed=5, stop=("never there\n",), top_k=30)
    continued = watched(tab.continue_text(run_id, None, "ours", 200, *settings(tab, seed=5, top_k=30)))
    run = tab.view.run(next(update[tab.view.run_id] for update in continued if tab.view.run_id in update))
    back = tab.restore_upload(str(run.result.with_suffix(".json")))
    controls = tab.settings.components
    values = [value_in(back[control]) for control in controls]
    assert tab.settings.config(values) == run.job.config
    again = watched(tab.start(back[tab.restored], back[tab.model], 200, *values))
    assert last_text(again, tab)["written"] == last_text(continued, tab)["written"]


def test_a_text_becomes_the_prompt(tab, tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("Once upon\0 a time 😀", encoding="utf-8")
    back = tab.restore_upload(str(path))
    assert back[tab.settings.controls["prompt"]] == "Once upon a time 😀"
    assert back[tab.restored] is None


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("a.txt", b"caf\xe9 au lait", "UTF-8"),
        ("a.txt", b"x" * 100_001, "100,000"),
        ("a.json", b"{}", "no recipe"),
        ("a.json", b'{"reverie": 1}', "damaged"),
        ("a.json", b'{"reverie": 99}', "update the studio"),
    ],
)
def test_what_cannot_come_back_is_refused_with_one_sentence(tab, tmp_path, name, content, part):
    path = tmp_path / name
    path.write_bytes(content)
    answer, sentence = warned(tab.restore_upload, str(path))
    assert part in sentence
    assert answer == {tab.restored: None}


def test_a_recipe_of_another_tab_or_model_is_refused(tab, tmp_path):
    run_id, _ = written(tab)
    recipe = json.loads(tab.view.run(run_id).result.with_suffix(".json").read_text())
    for changes, part in (({"engine": "dcgan"}, "another tab"), ({"backbone": "nobody"}, "not available")):
        path = tmp_path / "recipe.json"
        path.write_text(json.dumps(recipe | changes))
        assert part in warned(tab.restore_upload, str(path))[1]


# Scoring


def test_a_text_is_scored_word_by_word_and_each_has_its_distribution(tab):
    message, said, scored, inspected = asyncio.run(tab.score.score("This movie was great.", "ours"))
    (row,) = message["written"]
    assert "".join(row["pieces"]) == "This movie was great."
    assert f"{scored.perplexity:.1f}" in said
    assert inspected == {}
    seen = tab.score.picked(scored, "ours", SimpleNamespace(row=0, index=1))
    assert (seen["token"], seen["rewritable"]) == (scored.distributions[1].token, False)
    assert seen["before"] == pytest.approx(seen["after"])
    assert tab.score.picked(scored, "ours", SimpleNamespace(row=0, index=99)) == {}
    assert tab.score.picked(None, "ours", SimpleNamespace(row=0, index=0)) == {}


@pytest.mark.parametrize(
    ("text", "name", "part"),
    [("", "ours", "no text"), ("x" * 10_001, "ours", "10,000"), ("a", None, "No language model")],
)
def test_what_cannot_be_scored_is_said_in_one_sentence(tab, text, name, part):
    answer, sentence = warned(asyncio.run, tab.score.score(text, name))
    assert part in sentence
    assert answer == [gr.skip()] * 4
    assert isinstance(tab.score, TextScore)


# Training


def small(tab: TextTab, **changes: Any) -> list[Any]:
    config = LanguageTrainingConfig(
        **{
            "tokens": 64 * 16 * 4,
            "tokeniser": "characters",
            "vocab_size": 64,
            "block_size": 16,
            "embed_dim": 32,
            "num_layers": 1,
            "num_heads": 1,
            "dense_dim": 64,
            "batch_tokens": 256,
            "interval": 5,
            **changes,
        }
    )
    return shown(tab.training.settings, config.filled())


@pytest.fixture
def text(tmp_path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("the cat sat on the mat. " * 200, encoding="utf-8")
    return path


@pytest.fixture
def unsampled(monkeypatch) -> None:
    """Disable the samples of a training."""
    monkeypatch.setattr("engines.language_model.training.samples", lambda model, prompt: ((), ""))


def test_a_model_is_trained_on_a_text_shows_samples_and_writes(tab, text):
    updates = watched(tab.training.start([str(text)], *small(tab)))
    view = tab.training.view
    run = view.run(next(update[view.run_id] for update in updates if view.run_id in update))
    assert run.state == "done"
    message = next(u[view.canvas] for u in reversed(updates) if isinstance(u.get(view.canvas), dict))
    assert len(message["written"]) == 5
    assert {"loss", "perplexity", "bits per character"} <= set(message["curves"])
    assert run.result.read_text(encoding="utf-8").startswith("Temperature 0.2")
    choice = asyncio.run(tab.use_trained(run.id))
    assert choice["value"] == f"trained-{run.id}"
    assert ("Yours", choice["value"]) in choice["choices"]
    writing = watched(tab.start(None, choice["value"], 200, *settings(tab, prompt="the ", tokens=5)))
    assert last_text(writing, tab)["state"] == "done"


def test_a_training_that_was_stopped_goes_on(tab, text, unsampled):
    values = small(tab, tokens=256 * 400)

    view = tab.training.view

    async def until_there_is_a_frame() -> Run:
        run = None
        async for update in tab.training.start([str(text)], *values):
            run = run or view.run(update.get(view.run_id, ""))
            if run is not None and run.frame is not None and not run.frame.preparing:
                run.stop()
        return run

    first = asyncio.run(until_there_is_a_frame())
    assert first.state == "stopped"
    assert "not finished" in warned(asyncio.run, tab.use_trained(first.id))[1]
    second = asyncio.run(until_there_is_a_frame())
    assert second.frame.step > first.frame.step


def test_another_network_brings_its_own_settings_and_leaves_the_persons(tab):
    values = tab.training.network_chosen("notes", *small(tab, seed=7))
    names = list(tab.training.settings.controls)
    own = dict(zip(names, map(value_in, values), strict=True))
    assert (own["seed"], own["tokens"]) == (7, 64 * 16 * 4)
    assert (own["vocab_size"], own["optimizer"], own["embed_dim"]) == (15_000, "rmsprop", 256)
    back = tab.training.network_chosen("ours", *own.values())
    assert dict(zip(names, map(value_in, back), strict=True))["embed_dim"] == 128


@pytest.mark.parametrize(
    ("content", "part"),
    [(b"ten words are few", "at least 2,000"), ("é".encode("latin-1") * 3000, "UTF-8"), (b"", "at least 2,000")],
)
def test_what_cannot_be_learnt_from_is_said_in_one_sentence(tab, tmp_path, content, part):
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    _, sentence = warned(watched, tab.training.start([str(path)], *small(tab)))
    assert part in sentence
    assert is_one_sentence(sentence)


@pytest.mark.parametrize(
    "text",
    ["天地玄黃宇宙洪荒日月盈昃" * 200, "".join(chr(0x4E00 + i * i % 701) for i in range(4000)), "gattaca" * 1000],
)
def test_unbroken_texts_are_enough_at_what_the_controls_show_at_first(tmp_path, text):
    path = tmp_path / "unbroken.txt"
    path.write_text(text, encoding="utf-8")
    found = read_texts(FIRST.filled(), path)
    assert len(found.train) >= MIN_TOKENS
    assert "".join(found.tokeniser.pieces(found.train)) == text[: len(text) * 9 // 10]


def test_a_training_that_is_stopped_while_it_reads_leaves_nothing(tab, tmp_path):
    path, view = tmp_path / "long.txt", tab.training.view
    # Learning this vocabulary takes many seconds.
    path.write_bytes(np.random.default_rng(0).integers(97, 123, 4_000_000).astype(np.uint8).tobytes())

    async def until_there_is_a_frame() -> Run:
        run = None
        async for update in tab.training.start([str(path)], *small(tab, tokeniser="subwords", vocab_size=8192)):
            run = run or view.run(update.get(view.run_id, ""))
            if run is not None and run.frame is not None:
                run.stop()
        return run

    run = asyncio.run(until_there_is_a_frame())
    assert (run.state, run.error, run.result, run.frame.preparing) == ("stopped", "", None, True)
    assert run.frame.note in ("reading the texts", "building the vocabulary")


def test_a_training_needs_data(tab):
    assert "Choose the training data first" in warned(watched, tab.training.start(None, *small(tab)))[1]


def test_the_recipe_of_a_training_brings_its_settings_back(tab, text, unsampled):
    updates = watched(tab.training.start([str(text)], *small(tab)))
    view = tab.training.view
    run = view.run(next(update[view.run_id] for update in updates if view.run_id in update))
    back = tab.training.data_chosen([str(run.result.with_suffix(".json"))])
    values = [value_in(back[control]) for control in tab.training.settings.components]
    assert tab.training.settings.config(values) == run.job.config
    assert back[tab.training.data] is None
    assert eventually(lambda: run.over, "its end")


def test_side_by_side_is_what_an_unknown_set_of_temperatures_is_called(tab):
    assert settings(tab, temperatures=(0.3, 0.9))[list(tab.settings.controls).index("temperatures")] == SIDE_BY_SIDE
