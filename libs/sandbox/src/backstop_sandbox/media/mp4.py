"""A three-second H.264 clip, made unique by a `free` box behind it that carries the label.

The three clips beside this file were drawn with ffmpeg's gradient source for this project. Players skip `free` boxes
(ISO/IEC 14496-12, 8.1.2), so every labelled copy is as valid as the clip.
"""

import hashlib
import struct
from functools import cache
from importlib.resources import files

CLIPS = ("dusk.mp4", "tide.mp4", "ember.mp4")


def labelled_mp4(label: str) -> bytes:
    chosen = hashlib.sha256(label.encode()).digest()[0] % len(CLIPS)
    return _clip(CLIPS[chosen]) + _box(b"free", f"Backstop sandbox {label}".encode())


@cache
def _clip(name: str) -> bytes:
    return (files(__package__) / name).read_bytes()


def _box(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", 8 + len(payload)) + kind + payload
