"""Example paintings for style transfer, drawn by code."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from contourpy import contour_generator
from PIL import Image, ImageDraw

from studio.examples.brushwork import (
    HEIGHT,
    WIDTH,
    blur_mask,
    finish_image,
    flow_angle,
    grid,
    ink_list,
    noise_like,
    paint_strokes,
    palette,
    sample_field,
    scatter_points,
)


def swirling_night() -> Image.Image:
    """A night sky of thick swirling strokes, with stars, over hills and a field of wheat."""
    x, y = grid(4)
    chance = np.random.default_rng(4).normal(0, 0.16, x.shape)
    stream = 1.1 * y + 0.12 * np.sin(3.3 * x + 0.6) + 0.10 * noise_like(x, 8)
    glow = np.zeros_like(x)
    for centre_x, centre_y, size, turn, shines in [
        (1.04, 0.20, 0.115, -0.52, 1), (0.50, 0.34, 0.13, 0.60, 0), (0.75, 0.48, 0.085, -0.36, 0),
        (0.15, 0.15, 0.055, 0.22, 1), (0.40, 0.09, 0.042, -0.17, 1), (0.73, 0.12, 0.046, -0.22, 1),
        (0.19, 0.47, 0.050, -0.20, 1), (1.02, 0.53, 0.040, 0.16, 1),
    ]:  # fmt: skip
        far = np.hypot(x - centre_x, y - centre_y) / size
        stream += turn * np.exp(-((far / 1.5) ** 2))
        glow = np.maximum(glow, shines * np.exp(-((far / 1.15) ** 2)) * (0.86 + 0.3 * np.cos(far * 5.2)))
    is_hill = y > 0.70 + 0.07 * np.sin(3.2 * x + 2.2) + 0.02 * np.sin(9 * x)
    is_wheat = y > 0.82 + 0.05 * np.sin(2.4 * x + 4.6)
    region = np.select([is_wheat, is_hill, glow > 0.3], [3, 2, 1], 0)
    slopes = np.arctan(np.cos(3.2 * x + 2.2) * (1.1 - y)) + 0.35 * np.sin(9 * x + 14 * y)
    angle = np.choose(region, [flow_angle(stream), flow_angle(stream), slopes, -1.2 + 0.7 * np.sin(5 * x + 6 * y)])
    share = 0.41 + 0.31 * np.sin(stream * 46) + 0.56 * noise_like(x, 3, roughness=0.7) + chance
    paints = [
        palette("0b1440 14276b 1f459c 2f6cb8 5c9fcf a9d0cf", share),
        palette("4f8fae b9b35c e9b52c f7d94e fff3b0", glow + chance * 0.8),
        palette("0c1a33 12333f 1d5a58 3f8a72 7fae86", share + 0.05),
        palette("4a3a16 7d5a14 cf921c ecbd3c f8e28a", 0.45 + chance * 1.7),
    ]
    scene = np.choose(region[..., None], paints)
    strokes = paint_strokes(scene, angle, region, [(30, 140, 30), (20, 90, 17)], 4)
    return finish_image(strokes, 1, relief=0.2)


def burning_sky() -> Image.Image:
    """Long bands of fire over a dark fjord and its shore."""
    x, y = grid(4)
    drift = noise_like(x, 2, roughness=0.45, stretch=1.5)
    wave = 0.05 * np.sin(4.4 * x + 3 * y) + 0.03 * np.sin(9 * x - 6 * y + 1) + 0.16 * drift
    shore = y - 0.93 + 0.40 * np.exp(-(((x - 1.35) / 0.42) ** 2)) + 0.05 * np.sin(5 * x)
    region = np.select([shore > 0, y > 0.50 + 0.02 * np.sin(4 * x + 1) + 0.02 * np.sin(11 * x)], [2, 1], 0)
    eddy = 0.13 * np.exp(-(((x - 0.36) / 0.22) ** 2 + ((y - 0.7) / 0.1) ** 2))
    bay = 0.75 * y + 0.05 * np.sin(6 * x + 5 * y) + eddy
    stream = np.choose(region, [y + wave * (1.3 - 1.2 * y), bay, shore + 0.03 * np.sin(12 * x)])
    bands = 0.5 + 0.42 * np.sin(stream * 38 + 9 * drift) + 0.7 * noise_like(x, 7, roughness=0.75, stretch=3)
    share = np.where(region == 0, bands * 0.75 + 0.35 * y, bands * 0.8 + np.clip((0.6 - y) * 3, -0.12, 0.3))
    share += np.random.default_rng(11).normal(0, 0.1, x.shape)
    paints = [
        palette("6d1022 a81d20 d93a1a ee6a1b f7a02e fbd06a", share),
        palette("07161f 0d2b38 14505a 2d7a78 7fae92 f0964a", share),
        palette("120d1a 28182c 4a2038 7a3030 5c6a34", share),
    ]
    scene = np.choose(region[..., None], paints)
    strokes = paint_strokes(scene, flow_angle(stream), region, [(30, 300, 26), (21, 210, 13)], 11)
    return finish_image(strokes, 2, relief=0.12, grain=8)


def pointillism() -> Image.Image:
    """Dots of pure colours: poplars and a river at sunset."""
    rng = np.random.default_rng(21)
    x, y = grid(2)
    horizon = 0.56
    mirrored = np.where(y > horizon, 2 * horizon - y + 0.012 * np.sin(y * 160), y)
    scene = palette("3b5bb0 7a76c0 dc8fa6 f7a56c fcd67c", np.clip(mirrored / horizon, 0, 1) ** 1.3)
    sun = np.exp(-(((x - 0.78) ** 2 + (mirrored - 0.42) ** 2) / 0.010))[..., None]
    scene += (np.array([255, 246, 200]) - scene) * sun
    hill = 0.48 - 0.05 * np.sin(2.6 * x + 0.4) - 0.02 * np.sin(7 * x)
    slope = palette("6a62b4 4a6a9c 3f8a80 86b060", (mirrored - hill) * 9)
    scene = np.where((mirrored > hill)[..., None], slope, scene)
    for centre, top, size in [(0.10, 0.06, 0.055), (0.23, 0.14, 0.045), (0.33, 0.25, 0.035), (1.10, 0.17, 0.055)]:
        taper = np.sqrt(np.sin(np.clip((mirrored - top) / (0.58 - top), 0, 1) * 3.0))
        leaf = palette("f0c24a 86ae44 2f7a5a 24407a 2a2f6a", (centre + size - x) / (2 * size))
        scene = np.where((np.abs(x - centre) < size * taper)[..., None], leaf, scene)
    bank = 0.86 - 0.13 * np.exp(-((x / 0.4) ** 2)) + 0.03 * np.sin(5 * x)
    scene = np.where((y > bank)[..., None], palette("ecc84e 9cb83c 4f9a4a 2f6a6a 2f3f7a", (y - bank) * 5), scene)
    canvas = Image.new("RGBA", (WIDTH, HEIGHT), (236, 222, 196, 30))
    draw = ImageDraw.Draw(canvas)
    for spacing, size, purity in [(13, 8.0, 0.6), (10, 5.6, 1.0)]:
        places = scatter_points(spacing, rng)
        colours = sample_field(scene, places) + purity * rng.normal(0, 24, (len(places), 3))
        grey = colours.mean(axis=1, keepdims=True)
        # Complementary colours of equal lightness make each other look brighter.
        turn = np.where(rng.random((len(places), 1)) < 0.14 * purity, -0.9, 1.25)
        inks = ink_list(grey + turn * (colours - grey), rng.uniform(90, 255, len(places)))
        sizes = size * rng.uniform(0.7, 1.25, grey.shape)
        for box, ink in zip(np.hstack([places - sizes, places + sizes]).tolist(), inks, strict=True):
            draw.ellipse(box, fill=ink)
    return finish_image(np.asarray(canvas), 3, relief=0.12)


def _seams(label: np.ndarray, radius: float) -> np.ndarray:
    """Return the blurred borders between labelled pieces."""
    seam = np.zeros(label.shape, np.uint8)
    seam[:-1] |= label[:-1] != label[1:]
    seam[:, :-1] |= label[:, :-1] != label[:, 1:]
    return blur_mask(seam, radius)


def stained_glass() -> Image.Image:
    """A leaded window: a sun with its rays, hills and a lake."""
    x, y = grid()
    bend = noise_like(x, 41, roughness=0.35)
    off_x, off_y = x - 0.80, y - 0.37
    radii = np.array([0.05, 0.12, 0.19, 0.26, 0.34, 0.43, 0.54, 0.67, 0.82])
    ring = np.digitize(np.hypot(off_x, off_y) * (1 + 0.06 * bend), radii)
    sectors = np.array([1, 8, 14, 20, 24, 24, 28, 28, 28, 28])[ring]
    turn = np.arctan2(off_y, off_x) / (2 * np.pi) + 0.5 + 0.05 * bend
    piece = ring * 100 + (np.floor((turn + 0.02 * (ring % 2)) * sectors) % sectors).astype(int)
    zone = (ring > 2).astype(int)
    lands = [
        (0.49 - 0.09 * np.sin(3.4 * x + 0.3), 14, 8),
        (0.60 - 0.08 * np.sin(2.9 * x + 2.6), 15, 9),
        (0.70 - 0.03 * np.sin(2.2 * x + 1.0), 24, 5.5),
        (0.90 - 0.06 * np.sin(4.2 * x + 3.9), 15, 9),
    ]
    for i, (top, courses, cuts) in enumerate(lands):
        below = y - top - 0.02 * bend
        course = np.floor(below * courses).astype(int)
        cut = (x * cuts + (0.9 - 0.6 * i) * below * 4 + bend + 0.5 * course + 10).astype(int)
        piece = np.where(below > 0, 3000 * (i + 1) + course * 100 + cut, piece)
        zone = np.where(below > 0, 2 + i, zone)
    chance = np.random.default_rng(5).random(15000)
    towards_sun = 1.3 - np.arange(15000) // 100 / 7.2 + 0.6 * (chance - 0.5)
    glass = [
        palette("fff0b4 ffcf3f f59a1b", chance),
        palette("0b2480 1650b4 3c80cc 944cb8 dc3f78 f58a44", towards_sun),
        palette("2a1a66 50308f 2f4a9c 7a3f94", chance),
        palette("0b5a50 2f9a6a 9cc040 14766a", chance),
        palette("0f6fa0 35b0c8 a8e4dc 1d86b4 f7d070", chance),
        palette("6a0c1c c41e2c e8552a 9a1428", chance),
    ]
    colours = np.stack(glass)[zone, piece]
    # Thresholding the blurred lead rounds the joints like solder.
    lead = np.maximum(_seams(piece, 2.6) * 16 - 0.8, _seams(zone, 4.5) * 26 - 0.8).clip(0, 1)
    streaks = noise_like(x, 43, roughness=0.85, stretch=0.3)
    ripples = noise_like(x, 44, roughness=0.95, stretch=2)
    light = (1.2 - 0.75 * blur_mask(lead > 0.5, 15) + 0.6 * streaks + 0.7 * ripples)[..., None]
    colours = colours * light + 40 * np.clip(light - 1, 0, 1)
    colours += (np.array([28, 27, 32]) - colours) * lead[..., None]
    return finish_image(np.concatenate([colours, 80 * blur_mask(lead > 0.5, 2)[..., None]], axis=-1), 5, relief=1.0)


def marbled_paper() -> Image.Image:
    """Bands of floating ink, draw_missing into feathers with a comb and a stylus."""
    rng = np.random.default_rng(8)
    x, y = grid()
    x, y = x + 0.03 * noise_like(x, 51), y + 0.03 * noise_like(x, 52)
    for centre_x, centre_y, turn in [(0.34, 0.34, 2.3), (0.92, 0.70, -2.3), (0.98, 0.2, 1.5), (0.25, 0.84, -1.6)]:
        off_x, off_y = x - centre_x, y - centre_y
        angle = turn * np.exp(-np.hypot(off_x, off_y) / 0.12)
        x = centre_x + off_x * np.cos(angle) - off_y * np.sin(angle)
        y = centre_y + off_x * np.sin(angle) + off_y * np.cos(angle)
    x = x + 0.035 * np.sin(y * 9)
    y = y + 0.13 * np.exp(-6.4 * np.abs((x / 0.05) % 1 - 0.5)) + 0.06 * np.sin(3 * x)
    widths = rng.choice([0.008, 0.02, 0.034, 0.05], 120)
    band = np.searchsorted(np.cumsum(widths), y + 0.6)
    stops = "f7ecd6 8c1a2c 1c1a2c e0a83c c8402e f2d9a6 4a1022 e8824a f7ecd6 2c5f66 d9a23c b02a34"
    colours = palette(stops, rng.integers(0, 12, 121) / 11)[band]
    return finish_image(colours * (1 + 0.16 * noise_like(x, 53, roughness=0.9)[..., None]), 6)


def _curled(points: np.ndarray, crests: Sequence[tuple[float, float]], base: float) -> np.ndarray:
    """Overturn a wave's crests, given as (place, height)."""
    for place, high in crests:
        pivot = np.array([place + 0.36 * high, base - 0.62 * high])
        off = points - pivot
        angle = 1.9 * np.exp(-((np.hypot(off[:, 0], off[:, 1]) / (0.52 * high)) ** 2))
        cos, sin = np.cos(angle), np.sin(angle)
        points = pivot + np.stack([off[:, 0] * cos - off[:, 1] * sin, off[:, 0] * sin + off[:, 1] * cos], axis=-1)
    return points


def _foam(wave: np.ndarray, crests: Sequence[tuple[float, float]], base: float, rng: np.random.Generator) -> np.ndarray:
    """Return the foam along a wave's crests, their claws and the spray, as bubbles (x, y, radius)."""

    def on_wave(at: np.ndarray, deep: np.ndarray | float = 0.0) -> np.ndarray:
        return _curled(np.stack([at, np.interp(at, *wave.T) + deep], axis=-1), crests, base)

    foam = []
    for place, high in crests:
        at = np.linspace(place - 0.75 * high, place + 0.2 * high, int(220 * high))
        share = np.exp(-(((at - place) / (0.4 * high)) ** 2))
        radius = rng.uniform(0.35, 1, len(at)) * (0.004 + 0.042 * high * (0.3 + share))
        foam.append(np.column_stack([on_wave(at, high * rng.uniform(0, 0.04 + 0.05 * share)), radius]))
        claws = on_wave(np.linspace(place - 0.3 * high, place + 0.34 * high, 26))
        heading = np.arctan2(*np.gradient(claws, axis=0).T[::-1]) - rng.uniform(0.5, 1.4, 26)
        size = high * rng.uniform(0.12, 0.26, 26)
        for left in np.linspace(1, 0, 14):
            foam.append(np.column_stack([claws, size * 0.13 * (left + 0.08)]))
            claws = claws + (size / 14 * np.array([np.cos(heading), np.sin(heading)])).T
            heading = heading + 0.17
        spray = rng.permutation(claws) + rng.normal(0, 0.11 * high, (26, 2)) + (0.1 * high, 0)
        foam.append(np.column_stack([spray, rng.uniform(0.0014, 0.0048, 26)]))
    return np.concatenate(foam)


def ink_waves() -> Image.Image:
    """Breaking waves with claws of foam before a red sun, as a woodblock print on cream paper."""
    rng = np.random.default_rng(73)
    x, y = grid()
    bleed = noise_like(x, 71, stretch=6)
    sky = palette("3f6088 a3b4b6 efe2c2 f3e0b4 efc795", y / 0.7 + 0.1 * bleed)
    sun = np.hypot(x - 0.95, y - 0.25) < 0.13
    sky = np.where(sun[..., None], palette("c8381f e8864e", (y - 0.14) * 4 + bleed), sky)
    sky -= 12 * np.sin(y * 480 + 26 * bleed + 3 * np.sin(5 * x))[..., None]
    image = Image.fromarray(np.clip(sky, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    blues = ["#16305e", "#d7dcc8", "#1f4a86", "#2c63a0", "#cfd9cb", "#16305e", "#7fa5bd", "#1f4a86", "#14284f"]
    line = np.linspace(-0.4, 1.7, 1500)
    for base, crests in [
        (0.58, [(0.10, 0.11), (0.62, 0.13), (1.02, 0.11), (1.35, 0.10)]),
        (0.70, [(0.02, 0.16), (0.46, 0.12), (0.82, 0.24), (1.24, 0.12)]),
        (0.88, [(0.22, 0.56), (0.74, 0.16), (1.12, 0.24)]),
        (0.99, [(-0.02, 0.24), (0.44, 0.17), (0.86, 0.24), (1.26, 0.2)]),
    ]:
        rise = np.full_like(line, base)
        for place, high in crests:
            off = (line - place) / high
            rise -= high * np.exp(-(np.abs(np.where(off < 0, off / 1.15, off / 0.42)) ** 1.35))
        for k in range(40):
            edge = _curled(np.stack([line, rise + 0.010 * k + 0.0008 * k**1.6], axis=-1), crests, base) * HEIGHT
            draw.polygon([*map(tuple, edge.tolist()), (2e3, 2e3), (-800, 2e3)], fill=blues[k % len(blues)])
        foam = _foam(np.stack([line, rise], axis=-1), crests, base, rng) * HEIGHT
        # Drawing all outlines before the white leaves only the outline of the whole.
        for grow, inner, ink in ((3.2, 1.0, (16, 32, 62)), (0.0, 1.0, (247, 241, 224)), (-3.0, 0.5, (176, 198, 204))):
            wide = np.maximum(0, foam[:, 2:] * inner + grow)
            for box in np.concatenate([foam[:, :2] - wide, foam[:, :2] + wide], axis=1).tolist():
                draw.ellipse(box, fill=ink)
    wood = noise_like(x, 72, roughness=0.95, stretch=14)[..., None]
    fibres = noise_like(x, 74, roughness=0.95)[..., None]
    return finish_image(np.asarray(image) * (1 + 0.3 * wood) + 26 * fibres, 8, grain=6)


def _outline(points: str) -> np.ndarray:
    """Return a closed smooth line (n, 2) in pixels around points given in hundredths of the height."""
    corners = np.array([point.split(",") for point in points.split()], float) * HEIGHT / 100
    places, count = np.arange(0, len(corners), 1 / 24), len(corners)
    line = np.stack([np.interp(places, np.arange(count), channel, period=count) for channel in corners.T], axis=-1)
    for _ in range(3):
        line = np.mean([np.roll(line, shift, axis=0) for shift in range(-5, 6)], axis=0)
    return line


def _rows(away: np.ndarray, tile: float, step: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Place tiles (4, 2) in rows along the contours of a distance field in pixels; only where it is positive."""
    x, y = grid(step)
    traced = contour_generator(x * HEIGHT, y * HEIGHT, away)
    tiles: list[np.ndarray] = []
    for level in np.arange(tile / 2, away.max(), tile):
        for line in map(np.asarray, traced.lines(level)):
            travelled = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
            count = max(2, round(travelled[-1] / tile))
            stops = np.linspace(0, travelled[-1], count + 1) + rng.uniform(-3, 3, count + 1)
            ends = np.stack([np.interp(stops, travelled, channel) for channel in line.T], axis=-1)
            half = np.diff(ends, axis=0) / 2
            out = np.stack([-half[:, 1], half[:, 0]], axis=-1) / (np.linalg.norm(half, axis=1)[:, None] + 1e-6)
            sides = [-half - out * tile / 2, half - out * tile / 2, half + out * tile / 2, out * tile / 2 - half]
            tiles.extend(np.stack([ends[:-1] + half + side for side in sides], axis=1))
    return tiles


def mosaic() -> Image.Image:
    """A fish of coloured stones, and water laid in rows around it."""
    rng = np.random.default_rng(91)
    body = _outline("12,67 20,50 40,35 64,34 85,43 97,24 115,9 110,40 127,69 106,64 88,53 74,68 52,80 28,79")
    fins = [_outline("29,44 33,23 47,14 76,15 70,36 51,33"), _outline("47,74 62,93 81,93 69,68")]
    eye = _outline("19,55 29,52 31,62 22,65")
    shape = Image.new("L", (WIDTH, HEIGHT))
    for value, part in ((1, fins[0]), (1, fins[1]), (2, body), (3, eye)):
        ImageDraw.Draw(shape).polygon([tuple(point) for point in part.tolist()], fill=value)
    step, tile = 4, 19
    region = np.asarray(shape)[::step, ::step]
    x, y = grid(step)
    # Draw small stones first: they fill the gaps between the rows.
    corners = [(0, 0), (13, 0), (13, 13), (0, 13)]
    tiles = [np.array((a, b)) + corners for a in range(0, WIDTH, 13) for b in range(0, HEIGHT, 13)]
    distance = np.zeros(region.shape, np.float32)
    for value, lines in enumerate(([body, *fins], fins, [body, eye], [eye])):
        away = np.full(region.shape, np.inf, np.float32)
        for edge_x, edge_y in np.concatenate(lines)[::2]:
            away = np.minimum(away, np.hypot(x * HEIGHT - edge_x, y * HEIGHT - edge_y))
        tiles.extend(_rows(np.where(region == value, away, -away), tile, step, rng))
        distance = np.where(region == value, away, distance)
    scale = np.hypot((x * 12 + 0.5 * np.floor(y * 14)) % 1 - 0.5, (y * 14) % 1)
    belly = (y + 0.25 * x - 0.45) * 2.2 + 0.3 * (np.abs(scale - 0.6) < 0.16)
    noise = noise_like(x, 92)
    ripples = distance / 300 + 0.22 * np.sin(distance / 30 + 14 * noise) + 0.6 * noise
    paints = [
        palette("e8f0d4 8fd4c0 2aa39c 11707c 0d4358 2a8f94 0b3046", ripples),
        palette("b01e2c f2a63a", 0.5 + 2 * np.sin(x * 60 - y * 34)),
        palette("7a1028 c92c22 ee6a28 f8ae3c fbe3b0", belly),
        palette("fbf3dc f2b43a 101828", distance / 30),
    ]
    design = np.choose(region[..., None], paints)
    design[(distance < tile) & np.isin(region, (1, 2))] = (24, 26, 48)
    slots = np.stack(tiles)
    middles = slots.mean(axis=1, keepdims=True)
    shade = rng.normal(0, 15, (len(slots), 1)) + rng.normal(0, 8, (len(slots), 3))
    inks = ink_list(sample_field(design, middles[:, 0]) + shade, rng.uniform(110, 240, len(slots)))
    stones = middles + (slots - middles) * 0.8 + rng.uniform(-1.3, 1.3, slots.shape)
    mortar = (52, 44, 42, 0)
    canvas = Image.new("RGBA", (WIDTH, HEIGHT), mortar)
    draw = ImageDraw.Draw(canvas)
    for slot, stone, ink in zip(slots.reshape(-1, 8).tolist(), stones.reshape(-1, 8).tolist(), inks, strict=True):
        draw.polygon(slot, fill=mortar)
        draw.polygon(stone, fill=ink)
    return finish_image(np.asarray(canvas), 9, relief=0.22)


PAINTINGS: dict[str, Callable[[], Image.Image]] = {
    "swirling night": swirling_night,
    "ink waves": ink_waves,
    "stained glass": stained_glass,
    "burning sky": burning_sky,
    "mosaic": mosaic,
    "pointillism": pointillism,
    "marbled paper": marbled_paper,
}
