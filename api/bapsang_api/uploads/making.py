"""Makes what is published of an upload: one code for `c-media` and for the check function. Knows no database.

Every object is written under a name that nothing else is written under, and only if it is not there: whoever does it again, or
at the same time, changes nothing.
"""

import json
from collections.abc import Callable
from typing import Final

from bapsang_api.media.kinds import MOST_BYTES
from bapsang_api.media.process import Cost, Outcome, examine, memory_file
from bapsang_api.media.verdict import Photo, Reason, Refused, Use, of_wire, to_wire
from bapsang_api.uploads.s3 import Objects, TooLargeError

_TOLD: Final = "photo.json"
_MOST_TOLD: Final = 64 * 1024


def always() -> None:
    """Let whoever asks write."""


def made(
    objects: Objects,
    source: str,
    folder: str,
    use: Use,
    *,
    etag: str | None = None,
    require_right: Callable[[], None] = always,
) -> Outcome | None:
    """Decode the object `source` and write its variants below `folder`; None when there is no such object.

    Blocks for as long as `examine` does, and for a request to S3 a variant. Raises ChangedError for an object that has another
    `etag` than the one given, and whatever `require_right` raises, which is called before each object is written.
    """
    try:
        stored = objects.read(source, most=MOST_BYTES, etag=etag)
    except TooLargeError:
        return Outcome(Refused(Reason.TOO_LARGE, f"it has more than {MOST_BYTES} bytes"))
    if stored is None:
        return None
    with memory_file(stored.content) as upload:
        del stored
        outcome = examine(upload, use)
    if isinstance(outcome.verdict, Photo):
        for variant in outcome.verdict.variants:
            require_right()
            objects.create(f"{folder}/{variant.name}", outcome.files[variant.name], variant.content_type)
    return outcome


def tell(objects: Objects, folder: str, photo: Photo) -> None:
    """Write what is known of a photo beside its variants, after all of them: then it is whole."""
    objects.create(f"{folder}/{_TOLD}", json.dumps(to_wire(photo)).encode(), "application/json")


def copied(objects: Objects, source: str, folder: str, *, require_right: Callable[[], None] = always) -> Outcome | None:
    """Copy variants that were made ahead of time; None when there are none, or not all of them any more.

    Raises what `require_right` raises, which is called before each is written.
    """
    told = objects.read(f"{source}/{_TOLD}", most=_MOST_TOLD)
    if told is None:
        return None
    try:
        photo = of_wire(json.loads(told.content))
    except (ValueError, KeyError, TypeError):  # of another version
        return None
    if not isinstance(photo, Photo):
        return None
    for variant in photo.variants:
        require_right()
        if not objects.copy(f"{source}/{variant.name}", f"{folder}/{variant.name}"):
            return None
    return Outcome(photo, cost=Cost())


def is_told(objects: Objects, folder: str) -> bool:
    """Whether the variants below `folder` were all made before."""
    return objects.exists(f"{folder}/{_TOLD}")
