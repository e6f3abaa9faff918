"""Pack what workers need of the project."""

from __future__ import annotations

import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("engines", "weights")
SUFFIXES = (".py", ".npz", ".json")
# Only `python -m engines.train` reads these, which no worker runs.
NOT_NEEDED = ROOT / "weights" / "training"


def pack_project(path: Path) -> None:
    """Write the project as a zip: the same bytes for the same files, so that machines recognise it by its SHA-256."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for folder in FOLDERS:
            for file in sorted((ROOT / folder).rglob("*")):
                if file.is_relative_to(NOT_NEEDED):
                    continue
                name = file.relative_to(ROOT)
                if file.is_file() and "__pycache__" not in name.parts and file.suffix in SUFFIXES:
                    entry = zipfile.ZipInfo(name.as_posix())  # without the file's date
                    entry.compress_type = zipfile.ZIP_DEFLATED if file.suffix == ".py" else zipfile.ZIP_STORED
                    archive.writestr(entry, file.read_bytes())
