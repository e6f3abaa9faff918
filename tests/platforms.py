"""Whether all that Reverie requires is published for the machines that people have: python -m tests.platforms.

Each file of requirements is resolved for each system and version of Python, with all that its packages require in turn,
from wheels alone. uv does that rather than pip: pip takes the wheels of `--platform`, but asks the markers, such as
`; sys_platform == "win32"`, of the machine that it runs on, and so would resolve another set than the other one gets.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
# uv's names of them: glibc 2.28 or newer, macOS as below or newer.
SYSTEMS = {
    "Linux x86-64": "x86_64-manylinux_2_28",
    "Linux ARM": "aarch64-manylinux_2_28",
    "Apple silicon": "aarch64-apple-darwin",
    "Windows x86-64": "x86_64-pc-windows-msvc",
}
MACOS = "14.0"  # what PyAV's wheels are for
# Of the requirements' files: where they are meant for some systems only.
ONLY_ON = {"requirements-gpu.txt": ("Linux x86-64", "Linux ARM")}


@dataclass(frozen=True)
class Answer:
    """Whether a file of requirements can be installed on a system.

    Attributes:
        missing: what cannot be installed, and why; empty if all can.
    """

    file: str
    system: str
    python: str
    missing: str


class ResolverError(Exception):
    """uv could not find out; the message says why."""


def resolve(file: Path, system: str, python: str, options: Sequence[str] = ()) -> Answer:
    """Resolve a file of requirements for a system.

    Args:
        options: more of `uv pip compile`'s.

    Raises:
        ResolverError: it cannot be said, such as where the package registry does not answer.
    """
    command = ["uv", "pip", "compile", "--quiet", "--no-header", "--only-binary", ":all:", "--color", "never"]
    # It needs an interpreter, but any will do: it is told the version, and should fetch no other.
    command += ["--python", sys.executable, "--no-python-downloads"]
    command += ["--python-platform", SYSTEMS[system], "--python-version", python, *options, str(file)]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = os.environ | {"PATH": path, "MACOSX_DEPLOYMENT_TARGET": MACOS}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8")
    said = " ".join(done.stderr.split())
    if done.returncode and "No solution found" not in said:
        raise ResolverError(f"{file.name} for {system}, Python {python}: {said}")
    return Answer(file.name, system, python, said.partition("cause: ")[2] or said if done.returncode else "")


def answers(files: Iterable[Path], options: Sequence[str] = ()) -> list[Answer]:
    """Every file on every system that it is meant for, with every version of Python."""
    asked = [
        (file, system, python)
        for file in files
        for system in ONLY_ON.get(file.name, tuple(SYSTEMS))
        for python in PYTHONS
    ]
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda one: resolve(*one, options=options), asked))


def table(found: Sequence[Answer]) -> str:
    """Rows of files and systems, a column for each version of Python; below it what is missing, and why."""
    width = max(len(one.file) for one in found)
    lines = [f"{'':{width}}  {'':14}" + "".join(f"{python:>10}" for python in PYTHONS)]
    by_row: dict[tuple[str, str], dict[str, str]] = {}
    for one in found:
        by_row.setdefault((one.file, one.system), {})[one.python] = "missing" if one.missing else "ok"
    for (file, system), cells in by_row.items():
        lines.append(f"{file:{width}}  {system:14}" + "".join(f"{cells[python]:>10}" for python in PYTHONS))
    reasons = [f"{one.file}, {one.system}, Python {one.python}: {one.missing}" for one in found if one.missing]
    return "\n".join([*lines, *reasons])


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit status is 0 if everything is published for everybody."""
    parser = argparse.ArgumentParser(prog="python -m tests.platforms", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="files of requirements [all of the project's]")
    files = parser.parse_args(arguments).files or sorted(ROOT.glob("requirements*.txt"))
    try:
        found = answers(files)
    except (ResolverError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(table(found))
    return int(any(one.missing for one in found))


if __name__ == "__main__":
    sys.exit(main())
