"""Available memory, from file trees like those of Linux and cgroups v1 and v2."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from engines.core.memory import free_bytes

MIB = 1 << 20


def tree(folder: Path, files: dict[str, str]) -> Path:
    """A folder with these files."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def system(monkeypatch):
    """A system with 8,000 MiB left."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=8000 * MIB))


def of_version_2(limit: str, used: int, cached: int) -> dict[str, str]:
    stat = f"anon 5\ninactive_file {cached * MIB}\nactive_file 7\n"
    return {"memory.max": limit, "memory.current": str(used * MIB), "memory.stat": stat}


def of_version_1(limit: str, used: int, cached: int) -> dict[str, str]:
    return {
        "memory/memory.limit_in_bytes": limit,
        "memory/memory.usage_in_bytes": str(used * MIB),
        "memory/memory.stat": f"inactive_file 3\ntotal_inactive_file {cached * MIB}\n",
    }


@pytest.mark.parametrize("version", [of_version_1, of_version_2])
@pytest.mark.parametrize(
    ("limit", "used", "cached", "free"),
    [
        (4000, 1500, 500, 3000),
        (4000, 5000, 0, 0),
        (100_000, 1000, 0, 8000),
    ],
    ids=["the container has less", "the container is over its limit", "the system has less"],
)
def test_the_smaller_of_system_and_container_counts(system, tmp_path, version, limit, used, cached, free):
    cgroup = tree(tmp_path / "cgroup", version(str(limit * MIB), used, cached))
    assert free_bytes(cgroup) == free * MIB


@pytest.mark.parametrize(
    "files",
    [
        {},
        of_version_2("max\n", 100, 0),
        of_version_1(str(0x7FFFFFFFFFFFF000), 100, 0),
        {"memory.max": "a lot"},
        {"memory.max": str(MIB)},
        of_version_2(str(MIB), 0, 0) | {"memory.stat": "inactive_file"},
    ],
    ids=["no container", "no limit", "no limit in version 1", "no number", "no usage", "damaged"],
)
def test_without_a_limit_that_can_be_read_the_system_counts(system, tmp_path, files):
    cgroup = tmp_path / "cgroup"
    cgroup.mkdir()
    assert free_bytes(tree(cgroup, files)) == 8000 * MIB


@pytest.mark.skipif(not psutil.LINUX, reason="elsewhere the system is asked through no file")
@pytest.mark.parametrize("files", [{}, {"meminfo": ""}, {"meminfo": "MemTotal: 16000000 kB\n"}])
def test_nothing_is_said_where_nothing_is_known(tmp_path, monkeypatch, files):
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tree(tmp_path, files)))
    assert free_bytes(tmp_path / "cgroup") is None


def test_this_machine_says_something():
    free = free_bytes()
    assert free is not None
    assert 0 < free <= psutil.virtual_memory().total
