"""The sandbox's outputs are real files: readable to the last byte, the same each time, never two alike."""

import struct
import zlib
from collections.abc import Iterator

from backstop_sandbox.media import label_of, output
from backstop_sandbox.media.mp4 import CLIPS, labelled_mp4
from backstop_sandbox.media.png import HEIGHT, SIGNATURE, WIDTH, landscape_png
from backstop_sandbox.script import Kind, Provider, Script


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    assert data.startswith(SIGNATURE)
    at = len(SIGNATURE)
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        (checksum,) = struct.unpack_from(">I", data, at + 8 + size)
        assert checksum == zlib.crc32(kind + body)
        yield kind, body
        at += 12 + size


def mp4_boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        assert 8 <= size <= len(data) - at
        yield data[at + 4 : at + 8], data[at + 8 : at + size]
        at += size


def test_the_picture_holds_every_pixel_it_announces() -> None:
    chunks = list(png_chunks(landscape_png("replicate-abc/0")))
    assert [kind for kind, _ in chunks] == [b"IHDR", b"tEXt", b"IDAT", b"IEND"]
    width, height, depth, colour_type = struct.unpack_from(">IIBB", chunks[0][1])
    assert (width, height, depth, colour_type) == (WIDTH, HEIGHT, 8, 2)
    rows = zlib.decompress(chunks[2][1])
    assert len(rows) == HEIGHT * (1 + 3 * WIDTH)
    assert set(rows[:: 1 + 3 * WIDTH]) == {0}


def test_a_hundred_pictures_keep_their_size() -> None:
    for number in range(100):
        (_, rows), *_ = [chunk for chunk in png_chunks(landscape_png(f"fal-{number}/0")) if chunk[0] == b"IDAT"]
        assert len(zlib.decompress(rows)) == HEIGHT * (1 + 3 * WIDTH)


def test_every_clip_is_a_film_that_can_start_before_it_is_loaded() -> None:
    seen = set()
    for number in range(40):
        boxes = list(mp4_boxes(labelled_mp4(f"kie-{number}/0")))
        names = [name for name, _ in boxes]
        assert names[0] == b"ftyp"
        assert names.index(b"moov") < names.index(b"mdat")
        assert boxes[-1] == (b"free", f"Backstop sandbox kie-{number}/0".encode())
        seen.add(dict(boxes)[b"mdat"])
    assert len(seen) == len(CLIPS)


def test_the_same_output_is_the_same_bytes_every_time() -> None:
    assert landscape_png("a/0") == landscape_png("a/0")
    assert labelled_mp4("a/0") == labelled_mp4("a/0")


def test_no_two_outputs_are_alike() -> None:
    scripts = [Script(provider, f"t{number}") for provider in Provider for number in range(10)]
    labels = [label_of(script, index) for script in scripts for index in range(3)]
    sums = {output(kind, label).sha256 for kind in Kind for label in labels}
    assert len(sums) == len(labels) * len(Kind)
