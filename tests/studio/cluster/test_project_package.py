"""What is sent to the workers of a cluster."""

from __future__ import annotations

import json
import zipfile

from studio.cluster.project_package import ROOT, pack_project


def test_workers_get_the_engines_and_the_bundled_weights_but_not_what_only_trainings_start_from(tmp_path):
    pack_project(tmp_path / "project.zip")
    with zipfile.ZipFile(tmp_path / "project.zip") as archive:
        names = archive.namelist()
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "engines").rglob("*.py")}
    bundled = json.loads((ROOT / "weights" / "manifest.json").read_text(encoding="utf-8"))["files"]
    weights = {"weights/manifest.json", *(f"weights/{entry['file']}" for entry in bundled)}
    assert len(names) == len(set(names))
    assert set(names) == sources | weights


def test_the_same_files_make_the_same_package(tmp_path):
    for name in ("first.zip", "second.zip"):
        pack_project(tmp_path / name)
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()
