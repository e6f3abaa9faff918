"""Available memory, cgroups included."""

from __future__ import annotations

from pathlib import Path

import psutil

_UNLIMITED = 1 << 60


def free_bytes(cgroup: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Available memory in bytes, of the system or of its container, whichever is less; None if unknown."""
    available = [value for value in (_system(), _container(cgroup)) if value is not None]
    return min(available) if available else None


def _system() -> int | None:
    try:
        return int(psutil.virtual_memory().available)
    except (OSError, KeyError, ValueError, IndexError, psutil.Error):  # /proc may be hidden or truncated
        return None


def _container(cgroup: Path) -> int | None:
    """The container's limit minus its usage. File caches do not count, as they are reclaimed under pressure."""
    for limit_file, usage_file, stat_file, cache in (
        ("memory.max", "memory.current", "memory.stat", "inactive_file"),
        (
            "memory/memory.limit_in_bytes",
            "memory/memory.usage_in_bytes",
            "memory/memory.stat",
            "total_inactive_file",
        ),
    ):
        try:
            text = (cgroup / limit_file).read_text().strip()
            limit = _UNLIMITED if text == "max" else int(text)
            if limit >= _UNLIMITED:
                return None
            usage = int((cgroup / usage_file).read_text())
            stat = dict(line.split() for line in (cgroup / stat_file).read_text().splitlines())
            return max(0, limit - usage + int(stat.get(cache, 0)))
        except (OSError, ValueError):
            continue
    return None
