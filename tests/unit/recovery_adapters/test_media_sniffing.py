"""Files are known by their bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop_recovery.adapters.media import sniff


def box(brand: bytes, *compatible: bytes) -> bytes:
    body = b"ftyp" + brand + b"\0\0\0\0" + b"".join(compatible)
    return (len(body) + 4).to_bytes(4, "big") + body + b"\0" * 64


@pytest.mark.parametrize(
    ("head", "content_type", "extension"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png", "png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg", "jpg"),
        (b"GIF89a\x01\0", "image/gif", "gif"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp", "webp"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav", "wav"),
        (b"RIFF\x24\0\0\0AVI LIST", "video/x-msvideo", "avi"),
        (box(b"avif"), "image/avif", "avif"),
        (box(b"mif1", b"miaf", b"avif"), "image/avif", "avif"),
        (box(b"heic"), "image/heic", "heic"),
        (box(b"mif1", b"heic"), "image/heic", "heic"),
        (box(b"isom", b"iso2", b"mp41"), "video/mp4", "mp4"),
        (box(b"mp42"), "video/mp4", "mp4"),
        (box(b"qt  "), "video/quicktime", "mov"),
        (b"\0\0\0\x08wide\0\0\0\0mdat", "video/quicktime", "mov"),
        (box(b"M4A "), "audio/mp4", "m4a"),
        (
            b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webm",
            "video/webm",
            "webm",
        ),
        (b"\x1a\x45\xdf\xa3\xa3B\x86\x81\x01B\x82\x88matroska", "video/x-matroska", "mkv"),
        (b"ID3\x04\0\0\0", "audio/mpeg", "mp3"),
        (b"\xff\xfb\x90\x64\0\0", "audio/mpeg", "mp3"),
        (b"OggS\0\x02\0\0\0\0\0\0\0\0OpusHead", "audio/ogg", "ogg"),
        (b"fLaC\0\0\0\x22", "audio/flac", "flac"),
        (b"glTF\x02\0\0\0", "model/gltf-binary", "glb"),
    ],
)
def test_a_media_file_is_recognised(head: bytes, content_type: str, extension: str) -> None:
    media = sniff(head)
    assert media is not None
    assert (media.content_type, media.extension) == (content_type, extension)


@pytest.mark.parametrize(
    "head",
    [
        b"<!DOCTYPE html><html>",
        b"<html><body>expired",
        b"\xef\xbb\xbf<html>",
        b"  \n<?xml version='1.0'?><Error><Code>AccessDenied</Code>",
        b"<svg xmlns='http://www.w3.org/2000/svg'>",
        b'{"detail": "not found"}',
        b'{"asset": {"version": "2.0"}}',
        "\ufeff<html>".encode("utf-16-le"),
        '\ufeff{"a":1}'.encode("utf-16-le"),
        b"",
        b"\xff",
        b"\xff\xfb",
        b"RIFF",
        b"MZ\x90\0",
        b"#!/bin/sh",
        b"PK\x03\x04",
        b"\x1f\x8b\x08\0",
    ],
)
def test_what_is_no_media_is_refused(head: bytes) -> None:
    assert sniff(head) is None


@given(st.binary(max_size=600))
def test_no_bytes_make_sniffing_raise(head: bytes) -> None:
    sniff(head)


@given(st.text(min_size=1, max_size=100).map(str.encode))
def test_text_in_utf8_with_a_mark_up_or_json_start_is_never_media(rest: bytes) -> None:
    assert sniff(b"<" + rest) is None
    assert sniff(b"{" + rest) is None


@pytest.mark.parametrize(
    "behind", [b"/*\0*/=1;</script><script>alert(1)", b"<HTML>", b" < !DOCTYPE html>", b"\1\0\1\0\0\0\0<?php x"]
)
def test_a_gif_that_is_a_page_as_well_is_no_media(behind: bytes) -> None:
    assert sniff(b"GIF89a" + behind) is None


def test_a_prompt_about_markup_inside_a_picture_changes_nothing() -> None:
    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0" * 17 + b"\0\0\0\x20tEXtprompt\0a page that says <html>"
    assert sniff(png) is not None
