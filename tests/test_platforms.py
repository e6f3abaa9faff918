"""The check of platforms itself, on packages of its own: what is published for one system only, or not at all."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests import platforms


@pytest.fixture
def wheels(tmp_path) -> Path:
    """A folder that stands for the registry: one package for all, one for Linux x86-64, one that needs it there."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name, tag, requires in (
        ("everywhere", "py3-none-any", ""),
        ("somewhere", "cp311-cp311-manylinux_2_28_x86_64", ""),
        ("careful", "py3-none-any", 'somewhere; sys_platform == "linux" and platform_machine == "x86_64"'),
    ):
        with zipfile.ZipFile(folder / f"{name}-1.0-{tag}.whl", "w") as wheel:
            about = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
            wheel.writestr(
                f"{name}-1.0.dist-info/METADATA", about + (f"Requires-Dist: {requires}\n" if requires else "")
            )
            wheel.writestr(f"{name}-1.0.dist-info/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
            wheel.writestr(f"{name}-1.0.dist-info/RECORD", "")
    return folder


@pytest.mark.parametrize(
    ("requirement", "system", "python", "missing"),
    [
        ("everywhere==1.0", "Windows x86-64", "3.13", ""),
        ("somewhere==1.0", "Linux x86-64", "3.11", ""),
        ("somewhere==1.0", "Linux x86-64", "3.12", "somewhere==1.0"),
        ("somewhere==1.0", "Apple silicon", "3.11", "somewhere==1.0"),
        ("nowhere==1.0", "Linux ARM", "3.11", "nowhere"),
        # Markers are asked of the machine that it is for, those of other packages too.
        ("careful==1.0", "Apple silicon", "3.12", ""),
        ("careful==1.0", "Linux x86-64", "3.12", "somewhere"),
        ('somewhere==1.0; platform_machine == "x86_64"', "Linux ARM", "3.13", ""),
    ],
)
def test_what_is_not_published_for_a_system_is_missing_there(wheels, tmp_path, requirement, system, python, missing):
    file = tmp_path / "requirements.txt"
    file.write_text(requirement + "\n", encoding="utf-8")
    answer = platforms.resolve(file, system, python, ["--no-index", "--find-links", str(wheels), "--no-cache"])
    assert bool(answer.missing) == bool(missing), answer.missing
    assert missing in answer.missing


def test_the_table_says_what_is_missing_and_why():
    found = [
        platforms.Answer("requirements.txt", "Linux ARM", python, "no wheels" if python == "3.13" else "")
        for python in platforms.PYTHONS
    ]
    assert platforms.table(found).splitlines() == [
        "                                      3.11      3.12      3.13",
        "requirements.txt  Linux ARM             ok        ok   missing",
        "requirements.txt, Linux ARM, Python 3.13: no wheels",
    ]


def test_a_registry_that_does_not_answer_is_not_a_missing_package(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    file = tmp_path / "requirements.txt"
    file.write_text("--index-url http://127.0.0.1:9/simple\neverywhere==1.0\n", encoding="utf-8")
    assert platforms.main([str(file)]) == 2
    assert "requirements.txt for Linux x86-64, Python 3.11: error" in capsys.readouterr().err
