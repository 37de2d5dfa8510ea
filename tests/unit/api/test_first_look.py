"""The first look at an upload: what it tells is what the decoder finds, it refuses nothing that a decoder accepts, and ends soon."""

import random
import struct
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import hostile, photos
from tests.bombs import BOMBS, boxed, resized_jpeg
from tests.hostile import FILES, chunk, segment
from tests.photos import KINDS, SIZE, scene, written

from bapsang_api.media.headers import MOST_PARTS, MOST_SCANS
from bapsang_api.media.kinds import HEAD, MOST_BYTES, Kind
from bapsang_api.media.look import Looked, look
from bapsang_api.media.messages import MESSAGES
from bapsang_api.media.sizes import MOST_PIXELS
from bapsang_api.media.verdict import Reason, Refused

#: EXIF of a WebP lies behind its pixels.
UNTOLD = {"webp 6", "webp 7"}
#: As files of each kind begin.
BEGINNINGS = {
    Kind.JPEG: b"\xff\xd8\xff",
    Kind.PNG: b"\x89PNG\r\n\x1a\n",
    Kind.WEBP: b"RIFF\0\0\1\0WEBPVP8X",
    Kind.GIF: b"GIF89a",
    Kind.AVIF: b"\0\0\0\x18ftypavif\0\0\0\0avifmif1",
    Kind.HEIC: b"\0\0\0\x18ftypheic\0\0\0\0heicmif1",
}


@cache
def made(name: str) -> bytes:
    return KINDS[name].make()


def looked(content: bytes) -> Looked | Refused:
    return look(content[:HEAD], len(content))


def refused(content: bytes, reason: Reason) -> bool:
    found = looked(content)
    return isinstance(found, Refused) and found.reason is reason


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_tells_its_size_the_right_way_up(name: str) -> None:
    """That the decoder finds the same: test_photos.py."""
    assert looked(made(name)) == Looked(Kind(KINDS[name].kind), *((None, None) if name in UNTOLD else SIZE))


@pytest.mark.parametrize("name", {**FILES, **BOMBS})
def test_what_is_accepted_passes(name: str) -> None:
    accepted = FILES[name].accepted if name in FILES else BOMBS[name].said == {"ACCEPTED"}
    found = looked((FILES[name] if name in FILES else BOMBS[name]).make())
    assert not accepted or isinstance(found, Looked)


@pytest.mark.parametrize("name", KINDS)
def test_a_file_that_is_cut_off_anywhere_is_the_decoders_to_judge(name: str) -> None:
    content = made(name)
    draw = random.Random(name)
    for end in (*range(12, 400), *(draw.randrange(400, len(content)) for _ in range(50))):
        found = look(content[:end], end)
        assert isinstance(found, Looked)
        assert (found.width, found.height) in {(None, None), SIZE}


def test_a_heic_that_is_cropped_tells_no_size() -> None:
    """Its encoder pads a small picture to 64 x 64 and says what to cut off; the decoder's size is the cropped one."""
    small = written(scene(64, 48), "HEIF")
    assert b"clap" in small
    assert looked(small) == Looked(Kind.HEIC)


def test_a_beginning_tells_as_much_as_the_whole() -> None:
    large = written(scene(2400, 1800), "JPEG", quality=97, exif=photos.exif(6, telling=True).tobytes())
    assert len(large) > HEAD
    assert look(large[:HEAD], len(large)) == look(large, len(large)) == Looked(Kind.JPEG, 1800, 2400)


@pytest.mark.parametrize(
    ("width", "height"), [(8160, 6144), (8192, 6144), (9248, 6936), (16_382, 3646), (12_000, 9_000)]
)
def test_what_phones_take_is_small_enough(width: int, height: int) -> None:
    """P4. Pixels of the decoder: test_photo_process.py."""
    assert looked(resized_jpeg(width, height)) == Looked(Kind.JPEG, width, height)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    assert looked(photos.png((b"IHDR", header), (b"IDAT", b"x"))) == Looked(Kind.PNG, width, height)
    assert looked(boxed(partial(made, "heic"), width, height)) == Looked(Kind.HEIC, width, height)


def test_more_pixels_are_too_many() -> None:
    assert MOST_PIXELS == 12_000 * 9_000
    for width, height in ((12_000, 9_001), (65_535, 65_535)):
        assert refused(resized_jpeg(width, height), Reason.TOO_MANY_PIXELS)
        assert refused(resized_jpeg(width, height, progressive=True), Reason.TOO_MANY_PIXELS)
        assert refused(boxed(partial(made, "heic"), width, height), Reason.TOO_MANY_PIXELS)
        assert refused(boxed(partial(made, "avif"), width, height), Reason.TOO_MANY_PIXELS)


@pytest.mark.parametrize(
    "content",
    [
        resized_jpeg(0, 10),
        resized_jpeg(10, 0),
        photos.png((b"IHDR", struct.pack(">IIBBBBB", 0, 1, 8, 2, 0, 0, 0)), (b"IDAT", b"x")),
        boxed(partial(made, "heic"), 0, 4),
        b"RIFF\x1e\0\0\0WEBPVP8 \x0a\0\0\0\x10\0\0\x9d\x01\x2a\0\0\4\0",
        b"GIF89a" + bytes(7) + b"," + bytes(10),
    ],
    ids=["jpeg", "jpeg without lines", "png", "heic", "webp", "gif"],
)
def test_a_picture_of_no_pixels_is_damaged(content: bytes) -> None:
    assert refused(content, Reason.DAMAGED)


def test_jpeg_of_twelve_bits_lossless_or_hierarchical_is_damaged() -> None:
    """P10: no browser shows it."""
    plain = written(scene(64, 48), "JPEG")
    frame = plain.index(b"\xff\xc0")
    assert refused(plain[: frame + 4] + b"\x0c" + plain[frame + 5 :], Reason.DAMAGED)
    for process in (0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF):
        assert refused(plain[: frame + 1] + bytes((process,)) + plain[frame + 2 :], Reason.DAMAGED)


@pytest.mark.parametrize(
    ("part", "before"),
    [(segment(0xDD), b"\xff\xc0"), (segment(0xFE), b"\xff\xc0"), (segment(0xE1, b"Exif\0\0"), b"\xff\xdb")],
    ids=["restart intervals", "comments", "exif"],
)
def test_ten_megabytes_of_segments_are_refused_at_once(part: bytes, before: bytes) -> None:
    """P1, P2."""
    assert refused(hostile.jpeg(part, before), Reason.TOO_MANY_PARTS)


def test_just_so_many_parts_pass() -> None:
    plain = {"JPEG": written(scene(64, 48), "JPEG"), "PNG": written(scene(64, 48), "PNG")}
    gif = written(scene(64, 48).quantize(8), "GIF")
    at = 13 + (3 << (gif[10] & 7) + 1)
    room = {"JPEG": MOST_PARTS - _segments(plain["JPEG"]), "PNG": MOST_PARTS - 2}
    made: dict[str, Callable[[int], bytes]] = {
        "JPEG": lambda more: plain["JPEG"][:2] + segment(0xFE) * (room["JPEG"] + more) + plain["JPEG"][2:],
        "PNG": lambda more: plain["PNG"][:33] + chunk(b"juNk") * (room["PNG"] + more) + plain["PNG"][33:],
        "GIF": lambda more: gif[:at] + b"!\xfe" + b"\1 " * (MOST_PARTS - 2 + more) + b"\0" + gif[at:],
    }
    for form, make in made.items():
        assert looked(make(0)) == Looked(Kind(form), 64, 48)
        assert refused(make(1), Reason.TOO_MANY_PARTS)


def _segments(jpeg: bytes) -> int:
    at, count = 2, 1
    while jpeg[at + 1] != 0xDA:
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4])
        count += 1
    return count


@pytest.mark.parametrize("tables", [False, True])
def test_thousands_of_scans_are_refused_at_once(tables: bool) -> None:
    """P3: the same pixels 20,000 times, for which a viewer's browser takes minutes."""
    assert refused(hostile.rescanned(tables=tables), Reason.TOO_MANY_PARTS)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"keep_rgb": True}, {"optimize": True, "quality": 100}], ids=str)
def test_every_progressive_jpeg_of_libjpeg_has_few_enough_scans(mode: str, options: dict[str, Any]) -> None:
    content = written(scene(64, 48).convert(mode), "JPEG", progressive=True, **options)
    assert 6 <= content.count(b"\xff\xda") <= 18
    assert looked(content) == Looked(Kind.JPEG, 64, 48)


def test_jpeg_may_have_just_so_many_scans() -> None:
    content = written(scene(64, 48), "JPEG", progressive=True)
    scan = content[content.rindex(b"\xff\xda") : -2]
    most = content[:-2] + scan * (MOST_SCANS - content.count(b"\xff\xda"))
    behind = (b"\xff\xda" + bytes(9)) * 99  # the film of a motion photo, say
    assert isinstance(looked(most + content[-2:] + behind), Looked)
    assert refused(most + scan + content[-2:], Reason.TOO_MANY_PARTS)


def test_the_content_decides_the_kind() -> None:
    """P12, P13: a name and a declared type are not even asked for."""
    for content in photos.NO_PICTURES:
        assert refused(content, Reason.NOT_A_PICTURE)


def test_an_upload_over_the_limit_says_when_a_film_is_why() -> None:
    """P15."""
    head = photos.motion_photo()[:HEAD]
    assert isinstance(look(head, MOST_BYTES), Looked)
    for content, reason in ((head, Reason.MOTION_PHOTO), (written(scene(), "JPEG"), Reason.TOO_LARGE)):
        found = look(content, MOST_BYTES + 1)
        assert isinstance(found, Refused)
        assert found.reason is reason


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        *((Reason.NOT_A_PICTURE, word) for word in ("JPEG", "PNG", "WebP", "HEIC", "AVIF", "GIF")),
        (Reason.DAMAGED, "손상"),
        (Reason.TOO_MANY_PIXELS, "108,000,000 화소 이하"),
        (Reason.TOO_LARGE, "10485760 바이트 이하"),
        (Reason.MOTION_PHOTO, "동영상을 잘라"),
        *((reason, "다시 올려") for reason in (Reason.TIMED_OUT, Reason.KILLED, Reason.BROKEN)),
    ],
)
def test_users_are_told_what_is_wrong_and_what_helps(reason: Reason, word: str) -> None:
    assert word in MESSAGES[reason]


def test_every_reason_has_its_words() -> None:
    assert MESSAGES.keys() == set(Reason)
    assert all(message.endswith(("주세요.", "이하여야 합니다.")) for message in MESSAGES.values())


@pytest.mark.parametrize("kind", Kind)
@given(tail=st.binary(max_size=300))
def test_whatever_follows_a_beginning_is_an_answer(kind: Kind, tail: bytes) -> None:
    content = BEGINNINGS[kind] + tail
    found = look(content, len(content))
    assert isinstance(found, Refused) or found.kind is kind


@pytest.mark.parametrize("name", KINDS)
@given(data=st.data())
def test_a_spoiled_picture_gets_an_answer(name: str, data: st.DataObject) -> None:
    content = bytearray(made(name))
    places = st.integers(0, min(len(content), 1_200) - 1)
    for at, value in data.draw(st.lists(st.tuples(places, st.binary(min_size=1, max_size=8)), min_size=1, max_size=6)):
        content[at : at + data.draw(st.sampled_from((0, len(value))))] = value
    found = look(bytes(content[:HEAD]), len(content))
    assert isinstance(found, Looked | Refused)


def meta(*properties: bytes, given_: bytes) -> bytes:
    """Return a HEIC with these boxes as properties, and that as what gives them to items."""
    boxes = _box(b"pitm", bytes(4) + b"\0\1") + _box(
        b"iprp", _box(b"ipco", b"".join(properties)) + _box(b"ipma", given_)
    )
    return BEGINNINGS[Kind.HEIC] + _box(b"meta", bytes(4) + boxes)


def _box(name: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", 8 + len(body)) + name + body


def full(start: bytes, part: bytes, end: bytes = b"") -> bytes:
    return start + part * ((HEAD - len(start) - len(end)) // len(part)) + end


ENTRIES = struct.pack(">HHII", 0x0100, 3, 1, 1)
FULL_HEADS: dict[str, bytes] = {
    **{
        f"{kind} of {byte:#04x}": full(BEGINNINGS[kind], bytes((byte,)))
        for kind in Kind
        for byte in (0, 1, 0x21, 0x2C, 0xFF)
    },
    **{name: FILES[name].make()[:HEAD] for name in FILES if name.startswith(("jpeg", "png"))},
    "jpeg: escaped": full(b"\xff\xd8", b"\xff\0"),
    "jpeg: bare markers": full(b"\xff\xd8", b"\xff\xd0"),
    "jpeg: bytes that never begin a marker": full(b"\xff\xd8", b"\xff\xff\0"),
    "jpeg: one EXIF in a thousand parts": full(
        b"\xff\xd8", segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08" + b"\x50\0" + ENTRIES * 2)
    ),
    "jpeg: EXIF of many entries": b"\xff\xd8"
    + segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\x50\0" + ENTRIES * 5_000)
    + segment(0xE1, b"Exif\0\0" + ENTRIES * 5_000) * 3
    + segment(0xDA),
    "png: EXIF of many entries": photos.png((b"eXIf", b"MM\0*\0\0\0\x08\x50\0" + ENTRIES * 21_000), (b"IDAT", b"")),
    "gif: blocks": full(b"GIF89a" + bytes(7) + b"!\xff", b"\1 "),
    "gif: extensions": full(b"GIF89a" + bytes(7), b"!\xfe\0"),
    "heic: boxes": full(BEGINNINGS[Kind.HEIC], _box(b"free")),
    "heic: properties": meta(_box(b"free") * 30_000, given_=bytes(8)),
    "heic: items": meta(_box(b"free"), given_=bytes(4) + struct.pack(">I", 80_000) + b"\0\2\0" * 80_000),
    "heic: properties of one item": meta(
        _box(b"free") * 8_000,
        given_=b"\0\0\0\1" + struct.pack(">I", 8_000) + b"\0\2\0" * 8_000 + b"\0\1\xff" + b"\0\1" * 255,
    ),
}


@pytest.mark.parametrize("name", FULL_HEADS)
def test_a_hostile_beginning_takes_milliseconds(name: str) -> None:
    head = FULL_HEADS[name]
    assert len(head) <= HEAD + 100
    seconds = []
    for _ in range(3):  # the least: what others do on the machine counts too
        begun = time.process_time()
        look(head, MOST_BYTES)
        seconds.append(time.process_time() - begun)
    assert min(seconds) < 0.05
