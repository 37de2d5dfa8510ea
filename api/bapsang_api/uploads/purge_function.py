"""The purge function: reads from a queue what S3 tells of removed pictures, and has the edge forget them.

It runs outside of the VPC, because CloudFront has no endpoint in one. One invalidation serves a whole batch. Events that
come twice cost a second invalidation and nothing else. A path with a wildcard is paid as one and serves all objects of an
image, but a distribution takes few of them at a time: of many images at once the objects are named.
"""

import functools
import hashlib
import logging
import os
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from bapsang_api.uploads import rules
from bapsang_api.uploads.events import events

log = logging.getLogger(__name__)

_CONFIG: Final = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})
#: In progress at a time, of a distribution; besides 3,000 single objects. An invalidation takes minutes.
MOST_WILDCARDS: Final = 15


@functools.cache
def _edge() -> Any:
    """Return the client of this process. CloudFront has one endpoint for the world, signed for this region."""
    return Session().client("cloudfront", region_name="us-east-1", config=_CONFIG)


def handler(batch: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Invalidate the pictures that a batch of messages tells of; the answer names the messages that must come again."""
    removed: dict[str, list[str]] = {}  # keys by message
    failed: list[str] = []
    for message in batch["Records"]:
        try:
            removed[message["messageId"]] = _removed(message["body"])
        except (ValueError, KeyError, TypeError) as error:
            failed.append(message["messageId"])
            log.warning("edge.event_failed", extra={"message_id": failed[-1], "error": type(error).__name__})
    keys = sorted({key for told in removed.values() for key in told})
    if keys:
        try:
            paths = _purge(keys, " ".join(sorted(removed)))
        except (BotoCoreError, ClientError) as error:
            log.warning("edge.not_purged", extra={"keys": len(keys), "error": type(error).__name__})
            failed += removed
        else:
            log.info("edge.purged", extra={"paths": paths, "failed": len(failed)})
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def _purge(keys: list[str], reference: str) -> int:
    """Have the edge forget these objects; return how many paths that took."""
    images = sorted({f"/{quote(_image_of(key))}*" for key in keys})
    if len(images) <= MOST_WILDCARDS:
        try:
            return _invalidate(images, reference)
        except _edge().exceptions.TooManyInvalidationsInProgress:
            pass  # those of others; single objects are counted by themselves
    return _invalidate([f"/{quote(key)}" for key in keys], f"{reference} alone")


def _invalidate(paths: list[str], reference: str) -> int:
    """Have the edge forget these paths. The same messages again, after an answer that was lost, are the same request."""
    _edge().create_invalidation(
        DistributionId=os.environ["BAPSANG_DISTRIBUTION_ID"],
        InvalidationBatch={
            "Paths": {"Quantity": len(paths), "Items": paths},
            "CallerReference": hashlib.sha256(reference.encode()).hexdigest(),
        },
    )
    return len(paths)


def _removed(body: str) -> list[str]:
    """Return the keys below `public/` that a message of S3 says were removed. Raises what `events` does."""
    removed = (event.key for event in events(body) if "ObjectRemoved" in event.name)
    return [key for key in removed if key.startswith(rules.PUBLIC_PREFIX)]


def _image_of(key: str) -> str:
    """Return what the keys of an image's objects begin with: `public/post/{id}` of `public/post/{id}/640.webp`."""
    return rules.folder_of("/".join(key.split("/")[:3]))
