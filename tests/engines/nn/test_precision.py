"""What the processor says that it can compute with."""

from __future__ import annotations

from engines.nn.precision import processor_flags


def test_the_processors_flags_are_read_and_none_where_there_is_no_list(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nflags\t\t: fpu sse amx_bf16\n\nprocessor\t: 1\nflags\t\t: fpu\n")
    assert processor_flags(tmp_path / "cpuinfo") == {"fpu", "sse", "amx_bf16"}
    assert processor_flags(tmp_path / "nowhere") == frozenset()
