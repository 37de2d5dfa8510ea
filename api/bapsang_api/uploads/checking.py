"""Whether an upload is a picture, and what of it may be shown: one rule for the API and for the check function.

The check function looks at an upload soon after it arrived and leaves the picture under `checked/`; whoever uses it later
copies that within S3. The API does the whole by itself where no function has been, or not yet. Knows no database.
"""

from enum import StrEnum

from bapsang_api.uploads import pictures, rules
from bapsang_api.uploads.pictures import NotAPictureError, Picture, TooManyPixelsError
from bapsang_api.uploads.s3 import Objects, TooLargeError


class Verdict(StrEnum):
    """What became of one event."""

    CHECKED = "checked"  # by this very call: of all calls for an upload, one says so
    KNOWN = "known"  # checked before, or at this moment by another
    REFUSED = "refused"
    ABSENT = "absent"  # collected in the meantime, or never there


def check(objects: Objects, upload_key: str) -> Verdict:
    """Check an upload once, whatever it is overwritten with and however often this is called."""
    checked_key = rules.checked_key(upload_key)
    if objects.exists(checked_key):
        return Verdict.KNOWN
    try:
        picture = _picture(objects, upload_key)
    except (TooLargeError, TooManyPixelsError, NotAPictureError):
        # It stays until it is collected: used in the meantime, it is refused with the reason. A good one may still be
        # put in its place, and a deletion from here could meet just that one.
        return Verdict.REFUSED
    if picture is None:
        return Verdict.ABSENT
    # The condition decides between two that are here at once: the first is the one that is shown.
    first = objects.create(checked_key, picture.content, picture.content_type)
    return Verdict.CHECKED if first else Verdict.KNOWN


def publish(objects: Objects, upload_key: str, object_key: str) -> bool:
    """Write what is to be shown of an upload under `object_key`; False when there is no such upload.

    Raises TooLargeError, TooManyPixelsError and NotAPictureError.
    """
    if objects.copy(rules.checked_key(upload_key), object_key):
        return True
    picture = _picture(objects, upload_key)
    if picture is None:
        return False
    objects.write(object_key, picture.content, picture.content_type)
    return True


def _picture(objects: Objects, upload_key: str) -> Picture | None:
    stored = objects.read(upload_key, most=rules.MOST_BYTES)
    return None if stored is None else pictures.clean(stored.content, stored.content_type)
