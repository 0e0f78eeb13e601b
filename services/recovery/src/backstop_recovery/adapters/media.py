"""What a file is, judged by its first bytes: never by its name or by what its host says.

`sniff` knows the formats that generation providers deliver. Everything else, above all the HTML, XML and JSON of error
pages that come with status 200, is no media: None. So is a GIF that is a page as well: text may follow its first six
bytes at once, which no other of these formats allows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

HEAD_BYTES = 512


@dataclass(frozen=True, slots=True)
class Media:
    """A content type and the usual extension, without a dot."""

    content_type: str
    extension: str


_PREFIXES: tuple[tuple[bytes, Media], ...] = (
    (b"\x89PNG\r\n\x1a\n", Media("image/png", "png")),
    (b"\xff\xd8\xff", Media("image/jpeg", "jpg")),
    (b"GIF87a", Media("image/gif", "gif")),
    (b"GIF89a", Media("image/gif", "gif")),
    (b"II*\x00", Media("image/tiff", "tif")),
    (b"MM\x00*", Media("image/tiff", "tif")),
    (b"ID3", Media("audio/mpeg", "mp3")),
    (b"fLaC", Media("audio/flac", "flac")),
    (b"glTF", Media("model/gltf-binary", "glb")),
)
_RIFF = {
    b"WEBP": Media("image/webp", "webp"),
    b"WAVE": Media("audio/wav", "wav"),
    b"AVI ": Media("video/x-msvideo", "avi"),
}
_BRANDS = {
    b"avif": Media("image/avif", "avif"),
    b"avis": Media("image/avif", "avif"),
    b"heic": Media("image/heic", "heic"),
    b"heix": Media("image/heic", "heic"),
    b"hevc": Media("image/heic", "heic"),
    b"mif1": Media("image/heif", "heif"),
    b"msf1": Media("image/heif", "heif"),
    b"qt  ": Media("video/quicktime", "mov"),
    b"M4A ": Media("audio/mp4", "m4a"),
    b"M4B ": Media("audio/mp4", "m4a"),
}
_MP4 = Media("video/mp4", "mp4")
_OLD_QUICKTIME = {b"moov", b"mdat", b"wide"}
_MARKUP = re.compile(rb"<\s*(?:!doctype|html|script|iframe|\?php)", re.IGNORECASE)
_ADTS = {0xF1, 0xF9}
_FRAME_HEADER, _SYNC, _SYNC_AND_VERSION = 4, 0xFF, 0xE0


def sniff(head: bytes) -> Media | None:
    """The kind of file that begins with these bytes (512 are enough), or None when it is no media."""
    for prefix, media in _PREFIXES:
        if head.startswith(prefix):
            return None if prefix.startswith(b"GIF8") and _MARKUP.search(head) else media
    if head[4:8] == b"ftyp":
        return _iso_media(head)
    if head[4:8] in _OLD_QUICKTIME:
        return Media("video/quicktime", "mov")
    return _container(head) or _mpeg_audio(head)


def _container(head: bytes) -> Media | None:
    match head[:4]:
        case b"RIFF":
            return _RIFF.get(head[8:12])
        case b"\x1a\x45\xdf\xa3":
            return Media("video/webm", "webm") if b"webm" in head[:64] else Media("video/x-matroska", "mkv")
        case b"OggS":
            return Media("video/ogg", "ogv") if b"theora" in head[:64] else Media("audio/ogg", "ogg")
        case _:
            return None


def _iso_media(head: bytes) -> Media:
    """The major brand decides; `mif1` is shared by HEIF and AVIF, whose own brand is then among the compatible ones."""
    major = head[8:12]
    if major in {b"mif1", b"msf1"}:
        length = min(int.from_bytes(head[:4], "big"), len(head))
        compatible = [head[start : start + 4] for start in range(16, length - 3, 4)]
        for brand in (b"avif", b"avis", b"heic", b"heix"):
            if brand in compatible:
                return _BRANDS[brand]
    return _BRANDS.get(major, _MP4)


def _mpeg_audio(head: bytes) -> Media | None:
    """A frame header without a tag: eleven sync bits, then a version, layer, bit rate and sample rate that exist."""
    if len(head) < _FRAME_HEADER or head[0] != _SYNC:
        return None
    if head[1] in _ADTS:
        return Media("audio/aac", "aac")
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bit_rate, sample_rate = head[2] >> 4, head[2] >> 2 & 3
    # Layer I is left out: nobody delivers it, and a UTF-16 byte order mark looks like it.
    valid = version != 1 and layer in {1, 2} and bit_rate not in {0, 15} and sample_rate in {0, 1, 2}
    return Media("audio/mpeg", "mp3") if head[1] >= _SYNC_AND_VERSION and valid else None
