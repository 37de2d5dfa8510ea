"""What Pillow refuses a file for, and browsers pass over: application segments and colour profiles that are none.

Runs in the child only, before a file is opened.
"""

import struct
from collections.abc import Callable
from typing import Any, Final

from bapsang_api.media.kinds import Kind

_APPLICATION: Final = range(0xFFE0, 0xFFF0)
_PROFILE_HEADER: Final = 14  # bytes of a segment's part of a profile before the profile


def pass_over(kind: Kind, plugin: Any) -> None:
    """Change the plug-in of this kind, for this process."""
    if kind is Kind.JPEG:
        for marker in _APPLICATION:
            name, about, parse = plugin.MARKER[marker]
            plugin.MARKER[marker] = name, about, _segment(parse)
    if kind is Kind.PNG:
        plugin.PngStream.chunk_iCCP = _profile(plugin.PngStream.chunk_iCCP)


def _segment(parse: Callable[[Any, int], None]) -> Callable[[Any, int], None]:
    def passed_over(image: Any, marker: int) -> None:
        try:
            parse(image, marker)  # reads all of it before it looks at it
        except (IndexError, struct.error):
            return
        image.icclist = [part for part in image.icclist if len(part) > _PROFILE_HEADER]

    return passed_over


def _profile(parse: Callable[[Any, int, int], bytes]) -> Callable[[Any, int, int], bytes]:
    def passed_over(stream: Any, at: int, length: int) -> bytes:
        try:
            return parse(stream, at, length)
        except (IndexError, SyntaxError):
            return b""  # its checksum does not count, as of all chunks that are not needed

    return passed_over
