"""Draw a small landscape at some hour of the day, as a PNG, with zlib alone.

Every row is a handful of runs of one colour (sky, sun, three ranges of hills), which keeps drawing to milliseconds and
files to a few kilobytes. The label chooses hour and shapes and is written into a tEXt chunk, so no two files are equal.
"""

import hashlib
import math
import random
import struct
import zlib
from dataclasses import dataclass

WIDTH = 512
HEIGHT = 320
SIGNATURE = b"\x89PNG\r\n\x1a\n"

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Palette:
    """An hour of the day: sky from top to horizon, sun, hills from far to near."""

    zenith: Colour
    horizon: Colour
    sun: Colour
    far: Colour
    near: Colour


PALETTES = (
    Palette((27, 38, 89), (255, 159, 110), (255, 226, 168), (143, 92, 122), (42, 27, 61)),
    Palette((86, 165, 214), (231, 243, 238), (255, 250, 221), (126, 176, 155), (24, 76, 77)),
    Palette((13, 19, 48), (64, 84, 140), (226, 232, 245), (48, 62, 107), (11, 16, 36)),
    Palette((120, 78, 140), (250, 196, 190), (255, 240, 210), (176, 116, 148), (63, 36, 84)),
    Palette((16, 94, 110), (250, 214, 137), (255, 245, 206), (92, 141, 120), (14, 54, 62)),
)


@dataclass(frozen=True, slots=True)
class Hills:
    """A sine ridge: `level` pixels above the bottom, waving by `swing`."""

    level: float
    swing: float
    waves: float
    phase: float
    colour: Colour

    def runs(self, height: int) -> list[tuple[int, int]]:
        """The pixel columns [start, end) in which the ridge is at least `height` above the bottom."""
        over = (height - self.level) / self.swing
        if over <= -1:
            return [(0, WIDTH)]
        if over >= 1:
            return []
        period = WIDTH / self.waves
        half = math.acos(over) / math.tau * period
        first = -self.phase / math.tau * period - period
        peaks = (first + turn * period for turn in range(int(self.waves) + 4))
        spans = [(max(0, round(peak - half)), min(WIDTH, round(peak + half))) for peak in peaks]
        return [(start, end) for start, end in spans if start < end]


def landscape_png(label: str) -> bytes:
    """A 512 x 320 RGB picture; the label decides everything in it."""
    chance = random.Random(hashlib.sha256(label.encode()).digest())  # noqa: S311 - a drawing, not a secret
    palette = chance.choice(PALETTES)
    hills = _hills(palette, chance)
    sun = (chance.randint(80, WIDTH - 80), chance.randint(70, 150), chance.randint(22, 38))
    rows = b"".join(b"\x00" + bytes(_row(y, palette, sun, hills)) for y in range(HEIGHT))
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    return b"".join(
        [
            SIGNATURE,
            _chunk(b"IHDR", header),
            _chunk(b"tEXt", b"Comment\x00Backstop sandbox " + label.encode("latin-1")),
            _chunk(b"IDAT", zlib.compress(rows, 9)),
            _chunk(b"IEND", b""),
        ]
    )


def _hills(palette: Palette, chance: random.Random) -> list[Hills]:
    return [
        Hills(
            level=level + chance.uniform(-8, 8),
            swing=chance.uniform(14, 26),
            waves=chance.uniform(1.2, 3.4),
            phase=chance.uniform(0, math.tau),
            colour=_between(palette.far, palette.near, depth),
        )
        for level, depth in ((128, 0.0), (92, 0.5), (52, 1.0))
    ]


def _row(y: int, palette: Palette, sun: tuple[int, int, int], hills: list[Hills]) -> bytearray:
    row = bytearray(bytes(_between(palette.zenith, palette.horizon, min(1.0, y / 210))) * WIDTH)
    centre, middle, radius = sun
    if abs(y - middle) < radius:
        reach = int(math.sqrt(radius**2 - (y - middle) ** 2))
        _paint(row, centre - reach, centre + reach, palette.sun)
    for ridge in hills:
        for start, end in ridge.runs(HEIGHT - y):
            _paint(row, start, end, ridge.colour)
    return row


def _paint(row: bytearray, start: int, end: int, colour: Colour) -> None:
    row[3 * start : 3 * end] = bytes(colour) * (end - start)


def _between(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
