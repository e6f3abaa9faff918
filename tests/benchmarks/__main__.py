"""Run every benchmark: python -m tests.benchmarks."""

from __future__ import annotations

from tests.benchmarks import cluster, dcgan, deep_dream, language_model, painting_quality, style_transfer, vae
from tests.benchmarks.report import print_table

for benchmark in (deep_dream, style_transfer, painting_quality, vae, dcgan, language_model, cluster):
    print(f"\n{benchmark.__doc__.splitlines()[0]}")
    print_table(benchmark.measure())
