"""The check function: reads from a queue what S3 tells of new uploads, and makes the variants of each ahead of time.

Events come late, twice, out of order or not at all. None of that matters: variants are those of the content that is there now,
under a name that tells it from any other. What no event told of is made when it is used, or collected.
"""

import functools
import logging
import os
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from boto3.session import Session
from botocore.exceptions import BotoCoreError, ClientError

from bapsang_api.media.verdict import Photo, Undecided
from bapsang_api.uploads import making, rules
from bapsang_api.uploads.bucket import Bucket
from bapsang_api.uploads.events import events
from bapsang_api.uploads.s3 import ChangedError, Objects, open_client

log = logging.getLogger(__name__)


class Checked(StrEnum):
    """What became of one event."""

    MADE = "made"
    KNOWN = "known"  # made before
    REFUSED = "refused"
    ABSENT = "absent"  # collected or replaced in the meantime, or never there


class UndecidedError(Exception):
    """It may do better another time; the text says what was wrong."""


@functools.cache
def _objects() -> Objects:
    """Return the bucket of this process; made once, because a container of the function serves many batches."""
    bucket = Bucket.of_function(os.environ)
    return Objects(bucket.name, open_client(Session(), bucket, bucket.endpoint))


def handler(batch: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Check the uploads that a batch of messages tells of; the answer names the messages that must come again.

    A message that cannot be handled comes back until the queue puts it aside, and the others of its batch do not.
    """
    found: Counter[str] = Counter()
    failed = []
    for message in batch["Records"]:
        try:
            for event in events(message["body"]):
                if rules.is_any_upload(event.key):
                    found[check(_objects(), event.key)] += 1
        except (UndecidedError, BotoCoreError, ClientError, ValueError, KeyError, TypeError) as error:
            log.warning("uploads.event_failed", extra={"message_id": message["messageId"], "error": _what(error)})
            failed.append({"itemIdentifier": message["messageId"]})
    log.info("uploads.checked", extra={**found, "failed": len(failed)})
    return {"batchItemFailures": failed}


def _what(error: Exception) -> str:
    """Return the type of an error, and its text where it is ours: any other may repeat what somebody has sent."""
    name = type(error).__name__
    return f"{name}: {error}" if isinstance(error, UndecidedError) else name


def check(objects: Objects, upload_key: str) -> Checked:
    """Make the variants of an upload, once for each content that it has had. Raises UndecidedError."""
    etag, use = objects.etag_of(upload_key), rules.use_of(upload_key)
    if etag is None or use is None:
        return Checked.ABSENT
    folder = rules.checked_folder(upload_key, etag)
    if making.is_told(objects, folder):
        return Checked.KNOWN
    try:
        outcome = making.made(objects, upload_key, folder, use, etag=etag)
    except ChangedError:
        return Checked.ABSENT
    if outcome is None:
        return Checked.ABSENT
    if isinstance(outcome.verdict, Undecided):
        raise UndecidedError(outcome.verdict.detail)
    if not isinstance(outcome.verdict, Photo):
        # It stays until it is collected: used in the meantime, it is refused with the reason.
        return Checked.REFUSED
    making.tell(objects, folder, outcome.verdict)
    return Checked.MADE
