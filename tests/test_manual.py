"""Every command, piece of code and link of the manual; tests/studio/api/test_api.py has the code of docs/api.md."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

from engines import __main__ as command_line
from engines import export, train
from engines.jobs import Workshop
from tests.engines.helpers import blocks

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "weights/README.md",
    *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
]
TOY = {
    "deep_dream": "--size 64 --octaves 1 --steps 1",
    "deep_dream_sweep": """--settings '{"size": 64, "octaves": 1, "steps": 1}'""",
    "style_transfer": "--seconds 0 --size 64 --scales 1 --steps 1",
    "vae": "--steps 2",
    "dcgan": "--count 2",
    "dcgan_walk": "--steps 2",
    "dcgan_projection": "--steps 2",
    "language_model": "--tokens 3",
}
# Of a video.
IMAGES = "--pictures 2"


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def commands(name: str, program: str) -> list[list[str]]:
    """What follows a program's name in the lines of a manual's shell blocks, without what stands for more of it."""
    blocks_of_it = re.findall(r"```bash\n(.*?)```", text_of(name), re.S)
    lines = [line.partition(program)[2] for block in blocks_of_it for line in block.splitlines() if program in line]
    return [[word for word in shlex.split(line, comments=True) if word != "…"] for line in lines]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The working folder of a person who follows the manual, with the images that it speaks of."""
    names = ("photo.jpg", "painting.jpg", "a.jpg", "b.jpg")
    for name, image in zip(names, blocks(len(names)), strict=True):
        Image.fromarray(image).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_of_the_manual_makes_what_it_says(folder, monkeypatch, capsys):
    workshop = Workshop()
    monkeypatch.setattr(command_line.Workshop, "of", lambda _: workshop)
    every = [words for page in PAGES for words in commands(page, "python -m engines ")]
    assert {words[0] for words in every} == set(TOY)
    for words in every:
        if "--help" in words:
            with pytest.raises(SystemExit) as done:
                command_line.main(words)
            assert done.value.code == 0
            continue
        # What a recipe says is of toy size as well.
        toy = "" if "--recipe" in words else TOY[words[0]] + f" {IMAGES}" * ("--pictures" in words)
        assert command_line.main([*words, *shlex.split(toy)]) == 0, capsys.readouterr().err
        result = folder / words[words.index("-o") + 1]
        assert result.stat().st_size > 0, words


def test_the_code_of_the_manual_runs(folder, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", text_of("docs/command_line.md"), re.S)
    small = code.replace("DreamConfig(steps=20)", "DreamConfig(steps=1, octaves=1, size=64)")
    assert small != code
    exec(compile(small, "docs/command_line.md", "exec"), {})
    assert capsys.readouterr().out.split()[:2] == ["1", "1"]


def test_every_training_command_is_one(tmp_path):
    every = commands("weights/README.md", "python -m engines.train ")
    assert {words[0] for words in every} == {"backbone", "distillation", "vae", "dcgan", "language_model"}
    for words in every:
        assert train._parser().parse_args(words).name == words[0]


def test_every_export_command_writes_what_it_says(folder, capsys):
    (digits, _) = commands("docs/command_line.md", "python -m engines.export ")
    assert export.main(digits) == 0
    assert (folder / "digits_encoder.keras").stat().st_size > 0
    assert (folder / "digits_decoder.keras").stat().st_size > 0


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_what_is_to_be_made_can_be_made(name):
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.M))
    said = set(re.findall(r"(?:`|^)make ([a-z-]+)", text_of(name), re.M))
    assert said
    assert said <= targets


def anchors(name: str) -> set[str]:
    """What a link may name after a page's #, as GitHub makes it of headings."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text_of(name), flags=re.S), re.M)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_every_link_of_the_manual_leads_somewhere(name):
    links = re.findall(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", text_of(name))
    for link in filter(None, (first or second for first, second in links)):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        page = ((ROOT / name).parent / path).resolve() if path else ROOT / name
        assert page.is_file(), link
        assert not anchor or anchor in anchors(page.relative_to(ROOT).as_posix()), link


def test_every_page_of_the_manual_is_reached_from_the_readme():
    assert {name for name in PAGES if name.startswith("docs/")} <= set(
        re.findall(r"docs/\w+\.md", text_of("README.md"))
    )
    assert len(text_of("README.md").splitlines()) <= 200
    assert len(text_of("CONTRIBUTING.md").splitlines()) <= 150
