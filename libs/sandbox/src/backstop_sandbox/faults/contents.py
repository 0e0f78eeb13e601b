"""Well-framed answers with something else inside: error pages, scripts, wrong types, and a file that is two things."""

from starlette.responses import Response

from backstop_sandbox.faults.words import Fault

ERROR_PAGE = b"<!doctype html><title>Sorry</title><p>Something went wrong.</p>\n"
ERROR_XML = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>SlowDown</Code></Error>'
ERROR_JSON = b'{"error": "the file is being prepared"}'
# The alert is a comment to a GIF reader's eye and a program to a browser that guesses.
POLYGLOT = b"GIF89a/*\x00\x00*/=1;</script><script>alert(document.domain)</script>"
# A UTF-8 decoder fails at the first of these bytes.
NO_TEXT = b"image/\xff\xfe"


def content_of(fault: Fault, body: bytes, media_type: str) -> Response | None:
    """The answer of a fault of content, or None when it is none."""
    contents = {
        Fault.HTML: (ERROR_PAGE, "text/html; charset=utf-8"),
        Fault.XML: (ERROR_XML, "application/xml"),
        Fault.TEXT: (b"upstream connect error or disconnect/reset before headers", "text/plain"),
        Fault.EMPTY: (b"", media_type),
        Fault.JSON: (ERROR_JSON, "application/json"),
        Fault.SCRIPT: (b"#!/bin/sh\nrm -rf /tmp/nothing-here\n", media_type),
        Fault.POLYGLOT: (POLYGLOT, "image/gif"),
        Fault.WRONG_TYPE: (body, "text/html"),
    }
    if fault is Fault.ODD_HEADER:
        answer = Response(ERROR_PAGE)
        answer.raw_headers.append((b"content-type", NO_TEXT))
        return answer
    if fault not in contents:
        return None
    content, declared = contents[fault]
    return Response(content, headers={"Content-Type": declared})
