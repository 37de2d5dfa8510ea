"""What the beginning of a picture declares: its size, and whether it lies on its side. Decodes nothing, so it is safe anywhere.

As lenient as the decoders: what cannot be read here declares nothing, which is theirs to judge. Bytes are searched, not walked,
and parts are counted: any 256 KiB take milliseconds.
"""

import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from bapsang_api.media.kinds import Kind
from bapsang_api.media.sizes import Size
from bapsang_api.media.verdict import Reason

#: Segments, chunks, blocks or boxes before the pixels. XMP within a GIF takes the most, 4,000 blocks; of JPEG and PNG, dozens.
MOST_PARTS: Final = 8_192
#: Scans of a progressive JPEG within the beginning. Each goes over all pixels, so that one of 75 bytes takes 50 ms at 49 million.
#: Encoders write up to 10 (libjpeg's script for YCbCr), 14 (RGB) or 18 (CMYK).
MOST_SCANS: Final = 32


@dataclass(frozen=True)
class Header:
    """Width and height in pixels as they are stored, and whether the two change places to be seen upright; None is unknown."""

    size: Size | None = None
    turned: bool | None = None


class HeaderError(Exception):
    """No browser shows this, or it would cost a decoder too much."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def read(head: bytes, kind: Kind) -> Header:
    """Return what the beginning of a file of this kind declares. Raises HeaderError."""
    match kind:
        case Kind.JPEG:
            return _jpeg(head)
        case Kind.PNG:
            return _png(head)
        case Kind.WEBP:
            return _webp(head)
        case Kind.GIF:
            return _gif(head)
        case _:
            return _container(head)


_Part = TypeVar("_Part")


def _counted(parts: Iterable[_Part]) -> Iterator[_Part]:
    for number, part in enumerate(parts):
        if number == MOST_PARTS:
            raise HeaderError(Reason.TOO_MANY_PARTS, f"it has more than {MOST_PARTS} parts before its pixels")
        yield part


# JPEG (ITU-T T.81): 0xFF and a code; fill bytes and junk between segments are passed over, as decoders do.
_MARKER: Final = re.compile(rb"\xff[^\x00\xff]")
_BARE: Final = frozenset({0xC8, *range(0xD0, 0xDA), *range(0xF0, 0xFE)})  # without a length
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Baseline, extended, progressive; the last two with arithmetic coding. The others are lossless, which no browser shows and
# whose size no decoder reduces, or hierarchical, which nobody has.
_SHOWN: Final = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
_EOI, _SOS, _APP1 = 0xD9, 0xDA, 0xE1
_EXIF: Final = b"Exif\0\0"


def _jpeg(head: bytes) -> Header:
    size: Size | None = None
    exif: list[bytes] = []
    for marker, body, end in _counted(_segments(head)):
        if marker in _FRAMES and len(body) > 5:
            if body[0] != 8 or marker not in _SHOWN:
                raise HeaderError(Reason.DAMAGED, f"it is a JPEG of {body[0]} bits and process {marker - 0xC0}")
            size = int.from_bytes(body[3:5]), int.from_bytes(body[1:3])
        elif marker == _APP1 and body.startswith(_EXIF):
            exif.append(body if not exif else body[len(_EXIF) :])  # the next ones continue the first
        elif marker == _SOS:
            _require_few_scans(head, end)
            return Header(size, _lies_on_its_side(b"".join(exif)))
    return Header(size)


def _segments(head: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Yield the code, the body and the end of each segment before the first scan's data, as far as they are whole."""
    at = 2
    while found := _MARKER.search(head, at):
        marker, at = head[found.start() + 1], found.end()
        if marker in _BARE:
            yield marker, b"", at
            continue
        end = at + max(2, int.from_bytes(head[at : at + 2]))
        if marker < 0xC0 or end > len(head):
            return
        yield marker, head[at + 2 : end], end
        at = end


def _require_few_scans(head: bytes, first: int) -> None:
    # Neither is ever within the data of a scan.
    end = head.find(bytes((0xFF, _EOI)), first)
    scans = 1 + head.count(bytes((0xFF, _SOS)), first, end if end >= 0 else len(head))
    if scans > MOST_SCANS:
        raise HeaderError(Reason.TOO_MANY_PARTS, f"it has more than {MOST_SCANS} scans")


def _png(head: bytes) -> Header:
    size, exif = None, b""
    for name, body in _counted(chunks(head)):
        if name == b"IHDR" and len(body) >= 13:
            size = int.from_bytes(body[:4]), int.from_bytes(body[4:8])
        elif name == b"eXIf":
            exif = _EXIF + body
        elif name == b"IDAT":
            return Header(size, _lies_on_its_side(exif))
        elif name in (b"fdAT", b"IEND"):
            break
    return Header(size)


def chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name and the body of each chunk of a PNG that is whole; of IDAT also what there is."""
    at = 8
    while at + 8 <= len(content):
        end = at + 8 + int.from_bytes(content[at : at + 4])
        name = content[at + 4 : at + 8]
        if end > len(content) and name != b"IDAT":
            return
        yield name, content[at + 8 : end]
        at = end + 4


def _webp(head: bytes) -> Header:
    name, body = head[12:16], head[20:30]
    if len(body) < 10:
        return Header()
    if name == b"VP8X":  # EXIF comes behind the pixels, and counts only when the header says that it is there
        size = int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
        return Header(size, None if body[0] & 0x08 else False)
    if name == b"VP8L" and body[0] == 0x2F:
        packed = int.from_bytes(body[1:5], "little")
        return Header(((packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1), turned=False)
    if name == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = (int.from_bytes(body[at : at + 2], "little") & 0x3FFF for at in (6, 8))
        return Header((width, height), turned=False)
    return Header()


# What begins a part of a GIF: an extension, an image, the end.
_INTRODUCER: Final = re.compile(rb"[!,;]")
_APPLICATION, _COMMENT = 0xFF, 0xFE


def _gif(head: bytes) -> Header:
    if len(head) < 13:
        return Header()
    screen = struct.unpack_from("<HH", head, 6)
    at = 13 + (3 << (head[10] & 7) + 1 if head[10] & 0x80 else 0)
    parts = _counted(iter(int, 1))  # extensions and their blocks alike
    while (found := _INTRODUCER.search(head, at)) and found.end() + 8 <= len(head):
        next(parts)
        at = found.end()
        if found[0] == b",":
            left, top, width, height = struct.unpack_from("<HHHH", head, at)
            return Header((max(screen[0], left + width), max(screen[1], top + height)), turned=False)
        if found[0] == b";":
            break
        label, at, blocks = head[at], at + 1, 0
        while at < len(head) and head[at]:
            at += 1 + head[at]
            blocks += 1
            next(parts)
        at += 1
        # Pillow reads on behind an extension that ends sooner than such ones do.
        if blocks < {_APPLICATION: 2, _COMMENT: 0}.get(label, 1):
            break
    return Header()


# HEIF (ISO/IEC 23008-12): what is in the box `meta` says which item is shown, and the properties of items.
_SEQUENCES: Final = frozenset({b"avis", b"msf1", b"hevc", b"hevx", b"hevm", b"hevs"})
_Box = tuple[bytes, bytes]


def _container(head: bytes) -> Header:
    meta = next((body for name, body in _counted(_boxes(head)) if name == b"meta"), b"")
    if head[8:12] in _SEQUENCES or not meta:
        return Header()
    boxes = list(_counted(_boxes(meta[4:])))
    properties = list(_counted(_boxes(_only(boxes, b"iprp"))))
    kinds = list(_counted(_boxes(_only(properties, b"ipco"))))
    named = [body for name, body in properties if name == b"ipma"]
    try:
        shown = _primary(_only(boxes, b"pitm"))
        own = [kinds[at - 1] for body in named for at in _associated(body, shown) if 0 < at <= len(kinds)]
    except (struct.error, IndexError):
        return Header()
    sizes = [struct.unpack_from(">II", body, 4) for name, body in own if name == b"ispe" and len(body) >= 12]
    turns = [body[0] & 1 for name, body in own if name == b"irot" and body]
    if len(sizes) != 1 or len(turns) > 1 or any(name == b"clap" for name, _ in own):  # the last cuts something off
        return Header()
    return Header((sizes[0][0], sizes[0][1]), turned=bool(sum(turns)))


def _boxes(content: bytes) -> Iterator[_Box]:
    """Yield the name and the body of each box that is whole."""
    at = 0
    while at + 8 <= len(content):
        length = int.from_bytes(content[at : at + 4]) or len(content) - at
        if length < 8 or at + length > len(
            content
        ):  # 1 says that its length takes eight bytes: no such header is so large
            return
        yield content[at + 4 : at + 8], content[at + 8 : at + length]
        at += length


def _only(boxes: list[_Box], name: bytes) -> bytes:
    bodies = [body for named, body in boxes if named == name]
    return bodies[0] if len(bodies) == 1 else b""


def _primary(body: bytes) -> int:
    (item,) = struct.unpack_from(">I" if body[0] else ">H", body, 4)
    return int(item)


def _associated(body: bytes, item: int) -> list[int]:
    """Return the numbers of the properties, from 1 on, that a box `ipma` gives to an item."""
    form, wide = (">IB" if body[0] else ">HB"), body[3] & 1
    (count,) = struct.unpack_from(">I", body, 4)
    at = 8
    for _ in _counted(range(count)):
        found, length = struct.unpack_from(form, body, at)
        at += struct.calcsize(form)
        end = at + length * (1 + wide)
        if found == item:
            numbers = struct.unpack_from(f">{length}{'H' if wide else 'B'}", body, at)
            return [number & (0x7FFF if wide else 0x7F) for number in numbers]
        at = end
    return []


# EXIF (2.32, 4.6): a TIFF block, of whose first directory one entry counts.
_ORIENTATION, _SHORT = 0x0112, 3
_UNIT: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}  # bytes


def _lies_on_its_side(exif: bytes) -> bool | None:
    """Return whether EXIF says so; None where decoders may differ, or stop before they come to the entry."""
    block = exif.removeprefix(_EXIF).removeprefix(_EXIF)
    if not block:
        return False
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None or len(block) < 8:
        return None
    (start,) = struct.unpack_from(f"{order}I", block, 4)
    entries = block[
        start + 2 : start + 2 + 12 * int.from_bytes(block[start : start + 2], "little" if order == "<" else "big")
    ]
    if start + 2 > len(block) or len(entries) % 12:
        return None
    for tag, kind, count, value in struct.iter_unpack(f"{order}HHI4s", entries):
        length = _UNIT.get(kind, 0) * count
        if tag == _ORIENTATION:
            (turn,) = struct.unpack_from(f"{order}H", value)
            return 5 <= turn <= 8 if (kind, count) == (_SHORT, 1) else None
        if length > 4 and struct.unpack(f"{order}I", value)[0] + length > len(block):
            return None
    return False
