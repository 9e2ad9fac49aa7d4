"""The segments of a path, each decoded on its own: a slash within an id comes percent-encoded and stays in its segment.

The server decodes the whole path before routes are matched on it, so that ``/predict/a%2Fb`` would have one segment too
many. Here such a slash is escaped again for as long as routes are matched, and put back where the id is read.
"""

from urllib.parse import unquote_to_bytes

from starlette.types import Scope

from serving.problems import Problem

_ESCAPES = (("%", "%25"), ("/", "%2F"))


def match_by_segments(scope: Scope) -> None:
    """Have the routes be matched on the segments as they were sent; for a path without escapes nothing changes.

    Raises:
        Problem: 400, what is encoded is no UTF-8.
    """
    sent: bytes = scope.get("raw_path") or b""
    if b"%" not in sent:
        return
    try:
        segments = [unquote_to_bytes(segment).decode() for segment in sent.split(b"/")]
    except UnicodeDecodeError:
        raise Problem(400, "path-not-utf-8", "the path: expected percent-encoded UTF-8") from None
    scope["path"] = "/".join(_escape(segment) for segment in segments)


def segment_text(segment: object) -> object:
    """What stands in a matched segment, its slashes included; left alone where it is no text."""
    if isinstance(segment, str):
        for character, escape in reversed(_ESCAPES):
            segment = segment.replace(escape, character)
    return segment


def _escape(segment: str) -> str:
    for character, escape in _ESCAPES:
        segment = segment.replace(character, escape)
    return segment
