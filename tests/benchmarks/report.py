"""Rows of a benchmark, printed as a table or as JSON."""

from __future__ import annotations

import argparse
import json
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from engines.nn.precision import compute_dtype, processor_flags


@dataclass(frozen=True)
class Row:
    """One measurement against a reference in the same run.

    Attributes:
        ours, reference: medians, in `unit`.
        ratio: above 1 means ours is better; of what was measured by turns, see `compared`.
        target: the ratio aimed for.
    """

    name: str
    ours: float
    reference: float
    ratio: float
    target: float
    unit: str


def compared(
    name: str,
    ours: Sequence[float],
    reference: Sequence[float],
    target: float,
    unit: str,
    *,
    more_is_better: bool = False,
) -> Row:
    """A row of what was measured by turns: the medians of both, and the median of the ratios of each turn, so that one
    turn which something disturbed decides nothing."""
    pairs = [(b, a) if more_is_better else (a, b) for a, b in zip(ours, reference, strict=True)]
    ratio = statistics.median(more / less for less, more in pairs)
    return Row(name, statistics.median(ours), statistics.median(reference), ratio, target, unit)


def machine() -> str:
    """What the figures were measured on."""
    flags = [flag for flag in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if flag in processor_flags()]
    return f"{platform.machine()}, {', '.join(flags) or 'no vector flags known'}; engine in {compute_dtype()}"


def print_table(rows: list[Row]) -> None:
    """Print rows for a person."""
    print(machine())
    print(f"{'':20}{'ours':>10}{'reference':>12}  {'unit':<14}{'ratio':>7}{'target':>8}")
    for row in rows:
        verdict = "met" if row.ratio >= row.target else "missed"
        line = f"{row.name:20}{row.ours:10.3g}{row.reference:12.3g}  {row.unit:<14}{row.ratio:7.2f}{row.target:8.2f}"
        print(f"{line}  {verdict}")


def main(measure: Callable[[], list[Row]], description: str) -> None:
    """The command line of one benchmark."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print the rows as a JSON list")
    rows = measure() if not parser.parse_args().json else None
    if rows is None:
        print(json.dumps([asdict(row) for row in measure()]))
    else:
        print_table(rows)
