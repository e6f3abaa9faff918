"""Colour profiles for tests, written by hand from their definitions."""

from __future__ import annotations

import struct

import numpy as np

# CIE xy of red, green and blue, from the standards.
ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
DISPLAY_P3 = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
_D65, _D50 = np.array([0.95047, 1.0, 1.08883]), np.array([0.96422, 1.0, 0.82521])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _profile(space: bytes, connection: bytes, kind: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile of version 2: header, tag table and tags."""
    text = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(79)
    tags = {b"desc": text, b"cprt": b"text" + bytes(4) + b"none\0", b"wtpt": _xyz(_D50), **tags}
    offset, table, data = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", offset + len(data), len(content))
        data += content
    header = struct.pack(">I4sI4s4s4s", offset + len(data), bytes(4), 0x02400000, kind, space, connection)
    header += bytes(12) + b"acsp" + bytes(24) + bytes(4) + _fixed(*_D50) + bytes(48)
    return header[:128].ljust(128, b"\0") + table + data


def _xyz(value: np.ndarray) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(*value)


def _gamma(value: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(value * 256))


def _curve(values: np.ndarray) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">I", len(values)) + np.round(values * 65535).astype(">u2").tobytes()


def srgb_curve() -> bytes:
    """What sRGB and Display P3 share."""
    x = np.linspace(0, 1, 1024)
    return _curve(np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4))


def rgb_profile(primaries: tuple[tuple[float, float], ...], curve: bytes) -> bytes:
    """Of colours mixed from three primaries about D65."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    columns = columns * np.linalg.solve(columns, _D65)
    adapted = np.linalg.inv(_BRADFORD) @ np.diag((_BRADFORD @ _D50) / (_BRADFORD @ _D65)) @ _BRADFORD @ columns
    tags = {name + b"XYZ": _xyz(adapted[:, i]) for i, name in enumerate((b"r", b"g", b"b"))}
    return _profile(b"RGB ", b"XYZ ", b"mntr", tags | {name + b"TRC": curve for name in (b"r", b"g", b"b")})


def adobe_rgb() -> bytes:
    return rgb_profile(ADOBE_RGB, _gamma(563 / 256))


def display_p3() -> bytes:
    return rgb_profile(DISPLAY_P3, srgb_curve())


def grey_of_gamma(value: float) -> bytes:
    return _profile(b"GRAY", b"XYZ ", b"mntr", {b"kTRC": _gamma(value)})


def cmyk_of_lab(corner: tuple[int, int, int]) -> bytes:
    """Of a press whose every ink but none gives one colour: `corner`, as eight-bit Lab; paper is white.

    A table of two points a side: mixed inks lie between.
    """
    white = (255, 128, 128)
    table = bytes(value for inks in range(16) for value in (white if inks == 0 else corner))
    identity = _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    straight = bytes(range(256))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + straight * 4 + table + straight * 3
    return _profile(b"CMYK", b"Lab ", b"prtr", {b"A2B0": lut, b"A2B1": lut})
