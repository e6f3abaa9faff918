"""The page in other languages: nothing is missing, nothing is left over, and what handlers send is translated too."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pytest

from engines.core.frames import Frame
from engines.core.messages import joined, message, places_of
from engines.deep_dream import DreamConfig
from studio import page as pages
from studio.components import portrait
from studio.components.html_component import component, translate_script, translate_template
from studio.i18n.catalog import KOREAN, LANGUAGES, LOCALES, current_language, translate, use_language
from studio.i18n.page_translation import OWN, translatable_properties, translate_page, with_language
from studio.run_views.stream import Watcher
from studio.runs.run import Run
from studio.services import Studio
from tests.studio.helpers import LoopEngine, MemoryResultWriter, unserved_page
from tests.studio.i18n import extraction

HANGUL = re.compile("[가-힣]")
# The same in Korean: numbers with their unit.
ALIKE = {"{size} MB"}
OCTAVE = message("octave {octave} of {octaves}", octave=2, octaves=3)
STEP = message("step {step} of {total}", step=4, total=30)
TRANSLATIONS = [language for language in LANGUAGES if language.sentences]


@pytest.fixture(scope="module")
def studio(tmp_path_factory) -> Iterator[Studio]:
    studio = Studio(outputs=tmp_path_factory.mktemp("outputs"))
    yield studio
    studio.runs.close()


@pytest.fixture(scope="module")
def said(studio) -> dict[str, str]:
    """All that is said in English, and where."""
    with unserved_page() as page:
        pages.build_route(studio, page)
    return extraction.everything_said(page)


@pytest.fixture(scope="module")
def whole_page(studio) -> gr.Blocks:
    return pages.build_page(studio)


@pytest.mark.parametrize("language", TRANSLATIONS, ids=lambda language: language.code)
def test_all_that_is_said_is_translated_and_nothing_else(said, language):
    missing = {text: where for text, where in said.items() if text not in language.sentences}
    assert missing == {}, f"not in {language.code}.json"
    assert [text for text in language.sentences if text not in said] == [], "nobody says these any longer"


@pytest.mark.parametrize("language", TRANSLATIONS, ids=lambda language: language.code)
def test_a_translation_has_the_places_of_the_english(language):
    for text, sentence in language.sentences.items():
        places, used = places_of(text), places_of(sentence)
        assert places - extraction.places_of_plural(text) <= used <= places, text


def test_a_translation_leaves_it_to_the_english_how_values_are_formatted():
    for language in TRANSLATIONS:
        for sentence in language.sentences.values():
            assert all(f"{{{name}}}" in sentence for name in places_of(sentence)), sentence


def test_whatever_is_said_is_a_message():
    lines = [f"{name}:{line}" for name, path in extraction.sources() for line in extraction.unmarked_in(path)]
    assert lines == [], 'these are not said by message("...", name=value)'


@pytest.mark.parametrize(
    "line",
    [
        'raise ValueError(f"There is no {name}.")',
        'raise RecipeError("There is none.")',
        'Frame(step=1, total=2, note=f"picture {number}")',
        'warn(f"There is no {name}.")',
        'toasts.inform("It is there.")',
        'translate(f"There is no {name}.")',
        'message(f"There is no {name}.")',
    ],
)
def test_what_is_no_message_is_found(line, tmp_path):
    (tmp_path / "module.py").write_text(f"\n{line}\n", encoding="utf-8")
    assert list(extraction.unmarked_in(tmp_path / "module.py")) == [2]


@pytest.mark.parametrize(
    "line",
    [
        'raise ValueError(message("There is no {name}.", name=name))',
        "raise ValueError(why)",
        "raise ValueError",
        'Frame(step=1, total=2, note="")',
        'translate("Save")',
        'logger.info(f"There is no {name}.")',
    ],
)
def test_what_is_one_is_not(line, tmp_path):
    (tmp_path / "module.py").write_text(line, encoding="utf-8")
    assert list(extraction.unmarked_in(tmp_path / "module.py")) == []


def test_the_texts_of_a_module_are_found_with_their_lines(tmp_path):
    (tmp_path / "module.py").write_text(
        'steps = setting(3, "How many.")\nfound = messages.message("{a} of {b}", a=1, b=f"no {key}")\n'
        'translate(\n    "Save"\n)\nmessage(name)\n',
        encoding="utf-8",
    )
    assert list(extraction.said_in(tmp_path / "module.py")) == [("How many.", 1), ("{a} of {b}", 2), ("Save", 3)]


def test_korean_is_korean():
    for text, sentence in KOREAN.sentences.items():
        assert HANGUL.search(sentence) or text in ALIKE, text


@pytest.mark.parametrize("language", TRANSLATIONS, ids=lambda language: language.code)
def test_a_file_of_sentences_is_sorted_so_that_two_changes_to_it_merge(language):
    written = json.loads((LOCALES / f"{language.code}.json").read_text(encoding="utf-8"), object_pairs_hook=list)
    keys = [key for key, _ in written]
    assert keys == sorted(set(keys))


def test_nothing_on_the_korean_page_is_english(whole_page):
    config = whole_page.get_config_file()
    there = set(config["page"]["ko"]["components"])
    left = set()
    for block in whole_page.blocks.values():
        if block._id in there:
            for name, value in translatable_properties(block).items():
                left |= set([shown for shown, _ in value] if name == "choices" else [value])
    english = {text for text in left if re.search("[A-Za-z]{2,}", text) and not HANGUL.search(text)}
    assert english - extraction.STAYS_ENGLISH - {"Yours"} <= {text for text in english if " · " in text or "[" in text}


def test_values_and_ids_are_the_same_on_every_page(whole_page):
    blocks: dict[str, dict[str, object]] = {"": {}, "ko": {}}
    for block in whole_page.blocks.values():
        if isinstance(block, gr.Radio | gr.Dropdown) and block.elem_id:
            blocks[block.page][block.elem_id] = ([meant for _, meant in block.choices], block.value)
    assert blocks[""] == blocks["ko"] != {}


def test_programs_find_each_endpoint_once(whole_page):
    names = list(whole_page.get_api_info()["named_endpoints"])
    assert len(names) == len(set(names))
    assert {fn.page for fn in whole_page.fns.values() if fn.api_visibility == "public"} == {pages.PROGRAMS}


@pytest.mark.parametrize(
    ("english", "korean"),
    [
        (joined([OCTAVE, STEP]), "옥타브 2/3 · 스텝 4/30"),
        (
            joined([message("image {number} of {count}", number=1, count=2), joined([OCTAVE, STEP])]),
            "이미지 1/2 · 옥타브 2/3 · 스텝 4/30",
        ),
        (joined(["Studio VGG", message("bundled, {size} MB", size=7)]), "Studio VGG · 기본 제공, 7 MB"),
        ("Quick · 15 s", "빠름 · 15초"),
        (joined([message("{cores} core{s}", cores=12, s="s"), "bfloat16"]), "코어 12개 · bfloat16"),
        (message("{cores} core{s}", cores=1, s=""), "코어 1개"),
        (message("Save"), "저장"),
        (message("{title} with a sentence of nobody's", title=message("Save")), "저장 with a sentence of nobody's"),
        (message("a sentence of nobody's"), "a sentence of nobody's"),
        ("a prompt of somebody's own", "a prompt of somebody's own"),
        ("", ""),
    ],
)
def test_a_line_is_translated_part_by_part(english, korean):
    assert KOREAN.translate(english) == korean


def test_what_has_been_translated_is_a_plain_text():
    # A script of the page is sent it as JSON, whose keys may be nothing else.
    for language in LANGUAGES:
        for said in (STEP, joined([STEP, "MP4"]), message("Save"), message("a sentence of nobody's"), "Save"):
            assert type(language.translate(said)) is str


def test_what_a_person_has_written_is_not_translated_inside_of_a_sentence():
    assert KOREAN.translate(message("{file} was not found.", file="Save")) == "Save 파일이 없어요."
    assert KOREAN.translate(message("{file} was not found.", file="{step}")) == "{step} 파일이 없어요."


def test_the_sentence_of_an_engine_names_the_setting_in_the_page_s_language():
    with pytest.raises(ValueError, match="Strength") as refused:
        DreamConfig(step_size=-1)
    assert str(refused.value) == "Strength must be between 0.0 and 1000.0, not -1."
    assert KOREAN.translate(str(refused.value)) == "강도에는 0.0 이상 1000.0 이하의 값만 쓸 수 있어요(지금 값: -1)."


def test_english_is_spoken_but_where_a_page_of_another_language_is_at_work():
    assert translate("Save") == "Save"
    with use_language(KOREAN):
        assert (translate("Save"), current_language().code) == ("저장", "ko")
    assert translate("Save") == "Save"


def test_templates_and_scripts_say_their_words():
    assert translate_template('<b title="[[Clear]]">[[Close]]</b>') == '<b title="Clear">Close</b>'
    assert translate_script("trigger('pick')") == "trigger('pick')"
    with use_language(KOREAN):
        assert translate_template('<b title="[[Clear]]">[[Close]]</b>') == '<b title="비우기">닫기</b>'
        assert '"step {step}": "스텝 {step}"' in translate_script("phrase('step {step}', { step: 3 })")


@pytest.fixture
def parts():
    """A page with a component of each kind, built as for Korean."""
    page = gr.Blocks()
    with page.route("한국어", "ko"):
        made = {
            "button": gr.Button("Save"),
            "markdown": gr.Markdown("Save"),
            "text": gr.Textbox("Save", label="Prompt", info="Seed of the starting points.", placeholder="all"),
            "radio": gr.Radio(["All", ("Style", "s")], value="All", label="Show"),
            "own": gr.Dropdown(["Save"], label="Saved settings", elem_classes=OWN),
        }
    return page, made


def test_what_components_say_is_translated_and_what_persons_say_is_not(parts):
    page, made = parts
    translate_page(page, KOREAN)
    assert (made["button"].value, made["markdown"].value) == ("저장", "저장")
    text = made["text"]
    assert (text.value, text.label, text.info, text.placeholder) == (
        "Save",
        "프롬프트",
        "시작점을 정하는 시드예요.",
        "전체",
    )
    assert (made["radio"].choices, made["radio"].value) == ([("전체", "All"), ("스타일", "s")], "All")
    assert (made["own"].label, made["own"].choices) == ("저장한 설정", [("Save", "Save")])
    assert made["radio"].constructor_args["choices"] == made["radio"].choices


def answers_of(kind: str, answer):
    """A handler of a kind, which says which language it was called in."""

    def function():
        return [answer, translate("Save")]

    def generator():
        yield [answer, translate("Save")]

    async def coroutine():
        return [answer, translate("Save")]

    async def async_generator():
        yield [answer, translate("Save")]

    return {"function": function, "generator": generator, "coroutine": coroutine, "async": async_generator}[kind]


@pytest.mark.parametrize("kind", ["function", "generator", "coroutine", "async"])
def test_handlers_of_every_kind_speak_the_language_and_so_does_what_they_send(parts, kind):
    _, made = parts
    handler = with_language(answers_of(kind, "Save"), KOREAN, [made["button"], made["text"]])
    if kind == "function":
        answer = handler()
    elif kind == "generator":
        (answer,) = handler()
    elif kind == "coroutine":
        answer = asyncio.run(handler())
    else:

        async def all_of() -> list:
            return [one async for one in handler()]

        (answer,) = asyncio.run(all_of())
    assert answer == ["저장", "저장"]
    assert current_language().code == "en"


def test_a_handler_that_is_closed_closes_what_it_has_begun(parts):
    over = []

    async def asynchronous():
        try:
            yield "Save"
            yield "Save"
        finally:
            over.append("async")

    def synchronous():
        try:
            yield "Save"
            yield "Save"
        finally:
            over.append("sync")

    async def begin_and_leave() -> None:
        answers = with_language(asynchronous, KOREAN, [parts[1]["button"]])()
        assert await anext(answers) == "저장"
        await answers.aclose()

    asyncio.run(begin_and_leave())
    answers = with_language(synchronous, KOREAN, [parts[1]["button"]])()
    assert next(answers) == "저장"
    answers.close()
    assert over == ["async", "sync"]


def test_updates_are_translated_by_what_they_are_for(parts):
    _, made = parts

    def handler():
        return {
            made["button"]: gr.update(value="Delete", interactive=True),
            made["text"]: gr.update(value="Delete", label="Prompt"),
            made["radio"]: gr.update(choices=["All"], value="All"),
            made["own"]: gr.update(choices=["Delete"], value="Delete"),
        }

    sent = with_language(handler, KOREAN, list(made.values()))()
    assert sent[made["button"]]["value"] == "삭제"
    assert (sent[made["text"]]["value"], sent[made["text"]]["label"]) == ("Delete", "프롬프트")
    assert (sent[made["radio"]]["choices"], sent[made["radio"]]["value"]) == ([("전체", "All")], "All")
    assert (sent[made["own"]]["choices"], sent[made["own"]]["value"]) == (["Delete"], "Delete")


def test_a_run_is_told_of_in_the_language_of_who_watches(queue):
    run = Run(LoopEngine(), MemoryResultWriter())
    run.frame = Frame(
        step=1,
        total=2,
        note="warning: the discriminator is fooled by almost every generated image; raise its learning rate",
    )
    run._curves.values = {"style_loss": [1.0, 2.0]}
    run.error = "The drawing is empty; draw a digit first."
    with use_language(KOREAN):
        told = asyncio.run(Watcher(run, queue).full_message())
    assert told["note"].startswith("경고")
    assert told["alarm"] is True
    assert list(told["curves"]) == ["스타일 손실"]
    assert told["error"].startswith("그린 내용이")


def test_what_a_component_s_script_asks_of_the_server_is_answered_in_the_language():
    def edited(asked):
        return translate("Save")

    with unserved_page(), use_language(KOREAN):
        made = component(portrait.__file__, "a-face", {}, server_functions=[edited])
    assert made.edited([]) == "저장"


def test_every_language_but_the_first_has_a_file():
    there = {path.stem for path in Path(LOCALES).glob("*.json")}
    assert there == {language.code for language in LANGUAGES[1:]}
