"""How the packages import one another: python -m tests.layout prints floors and arrows of engines/ and studio/.

A package is a folder; a module beside folders counts as one of its own. There is an arrow from each package to
each that it imports, at any level; a package stands one floor above the highest that it imports.
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def imports_of(path: Path) -> set[str]:
    """Every module that a file of this repository imports anywhere, inside functions too.

    `from a import b` counts as a and as a.b, and relative imports by their full names.
    """
    package = path.resolve().relative_to(ROOT).parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*start, *filter(None, [node.module])))
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def modules_of(top: str) -> dict[str, Path]:
    """Dotted name of each module below a folder -> its file."""
    files = {}
    for path in sorted((ROOT / top).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return files


def package_of(module: str, top: str) -> str:
    """The room of a module: the name of the folder below `top`, or the module's own where it lies beside folders."""
    return module.removeprefix(top).strip(".").partition(".")[0]


def arrows(top: str, *, by_module: bool = False) -> dict[str, set[str]]:
    """What each package (or module) of a folder imports of the others."""
    modules = modules_of(top)
    found: dict[str, set[str]] = {}
    for name, path in modules.items():
        if name == top:
            continue
        own = name if by_module else package_of(name, top)
        targets = found.setdefault(own, set())
        for imported in imports_of(path):
            if imported not in modules or imported == top:
                continue
            other = imported if by_module else package_of(imported, top)
            if other != own:
                targets.add(other)
    return found


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Paths that end where they begin, one for each package that lies on any."""
    found = []
    for start in graph:
        trail: dict[str, str] = {}
        todo = [start]
        while todo:
            at = todo.pop()
            for other in graph.get(at, ()):
                if other == start:
                    path = [start, at]
                    while path[-1] != start:
                        path.append(trail[path[-1]])
                    found.append(path[::-1])
                    todo = []
                    break
                if other not in trail:
                    trail[other] = at
                    todo.append(other)
    return found


def floors(graph: dict[str, set[str]]) -> dict[str, int]:
    """The floor of each package, from 1; of a graph without circles."""
    found: dict[str, int] = {}

    def floor(name: str) -> int:
        if name not in found:
            found[name] = 1 + max((floor(other) for other in graph.get(name, ())), default=0)
        return found[name]

    for name in graph:
        floor(name)
    return found


def main() -> None:
    for top in ("engines", "studio"):
        graph = arrows(top)
        count = sum(map(len, graph.values()))
        rounds = circles(graph)
        if rounds:
            print(f"{top}/: {count} arrows, circles: " + "; ".join(" > ".join(one) for one in rounds))
            continue
        levels = floors(graph)
        print(f"{top}/: {max(levels.values())} floors, {count} arrows")
        for name in sorted(graph, key=lambda name: (levels[name], name)):
            print(f"  {levels[name]}  {name:22}{', '.join(sorted(graph[name]))}")


if __name__ == "__main__":
    main()
