"""What becomes of an upload, and its JSON form: the same from the child, for a command and for whoever keeps rows of it."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final, TypeAlias


class Use(StrEnum):
    """What a picture is for; decides which variants are made."""

    POST = "POST_IMAGE"
    PROFILE = "PROFILE_IMAGE"


class Reason(StrEnum):
    """Why a file is refused, which it always will be; or, the last three, why that could not be decided this time."""

    NOT_A_PICTURE = "NOT_A_PICTURE"  # of none of the kinds that are accepted, whatever its name
    DAMAGED = "DAMAGED"  # cut off, or not decodable
    TOO_MANY_PIXELS = "TOO_MANY_PIXELS"
    TOO_MANY_PARTS = "TOO_MANY_PARTS"  # segments, chunks, blocks
    TOO_LARGE = "TOO_LARGE"  # bytes of the upload
    MOTION_PHOTO = "MOTION_PHOTO"  # too large, and for the film in it
    TOO_SLOW = "TOO_SLOW"  # took more CPU time than any picture needs
    TOO_MUCH_MEMORY = "TOO_MUCH_MEMORY"
    DECODER_CRASHED = "DECODER_CRASHED"
    TIMED_OUT = "TIMED_OUT"
    KILLED = "KILLED"  # from outside: a pod that ends, or the kernel when a node has no memory left
    BROKEN = "BROKEN"  # a bug, or a system that does not allow the confinement


@dataclass(frozen=True)
class Variant:
    """A file to be published. `name` is unique within its photo: nominal width and extension, such as `640.webp`."""

    name: str
    content_type: str
    width: int  # pixels, as it is: never more than the photo has
    height: int
    size: int  # bytes


@dataclass(frozen=True)
class Photo:
    """An accepted upload. Width and height are those of the original the right way up, in pixels."""

    kind: str  # what the upload is: JPEG, PNG, WEBP, GIF, AVIF, HEIC
    width: int
    height: int
    placeholder: str  # ThumbHash in base64 without padding, at most 32 characters
    colour: str  # the average, as in `#a08060`
    variants: tuple[Variant, ...]


@dataclass(frozen=True)
class Refused:
    """No picture for us. The same bytes are refused again, so nobody need try."""

    reason: Reason
    detail: str  # in English, for logs and support


@dataclass(frozen=True)
class Undecided:
    """Not the file's fault, or not surely: try again, a limited number of times."""

    reason: Reason
    detail: str


Verdict: TypeAlias = Photo | Refused | Undecided
_NAMES: Final = {Photo: "ACCEPTED", Refused: "REFUSED", Undecided: "UNDECIDED"}
_DETAIL, _KIND, _BASE64 = re.compile(r"[ -~]{1,300}"), re.compile(r"[A-Z]{3,4}"), re.compile(r"[A-Za-z0-9+/]{20,32}")
_NAME, _CONTENT_TYPE = re.compile(r"[0-9]{1,4}\.(webp|jpg)"), re.compile(r"image/(webp|jpeg)")
_COLOUR: Final = re.compile(r"#[0-9a-f]{6}")
_FIELDS: Final = ("reason", "detail", "kind", "width", "height", "placeholder", "colour", "variants")


def to_wire(verdict: Verdict) -> dict[str, Any]:
    """Return the JSON object: `verdict` and all fields of each, null (of `variants`: []) where there is none."""
    told = dict.fromkeys(_FIELDS) | {"variants": []} | asdict(verdict)
    return {"verdict": _NAMES[type(verdict)]} | {_camel(name): _value(told[name]) for name in _FIELDS}


def of_wire(told: Mapping[str, Any]) -> Verdict:
    """Return the verdict that `to_wire` wrote. Raises KeyError, TypeError or ValueError for anything else.

    The child may have been taken over by the file, and others make names and markup of what it says.
    """
    if told["verdict"] == "REFUSED":
        return Refused(Reason(told["reason"]), _text(told["detail"], _DETAIL))
    if told["verdict"] != "ACCEPTED":
        raise ValueError("verdict")
    variants = tuple(
        Variant(
            _text(one["name"], _NAME),
            _text(one["contentType"], _CONTENT_TYPE),
            *(_count(one[name]) for name in ("width", "height", "size")),
        )
        for one in told["variants"]
    )
    if not variants or len({one.name for one in variants}) != len(variants):
        raise ValueError("variants")
    texts = (_text(told["placeholder"], _BASE64), _text(told["colour"], _COLOUR))
    return Photo(_text(told["kind"], _KIND), _count(told["width"]), _count(told["height"]), *texts, variants)


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _value(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [{_camel(name): inner for name, inner in one.items()} for one in value]
    return value


def _text(value: object, form: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not form.fullmatch(value):
        raise ValueError("text")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 1 << 31:
        raise ValueError("number")
    return value
