"""The purge function: reads from a queue what S3 tells of removed pictures, and has the edge forget them.

It runs outside of the VPC, because CloudFront has no endpoint in one. One invalidation serves a whole batch. Events that
come twice cost a second invalidation and nothing else.
"""

import functools
import hashlib
import logging
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from bapsang_api.uploads import rules
from bapsang_api.uploads.events import events

log = logging.getLogger(__name__)

# A variant of a photo: the folder is that photo's alone.
_VARIANT: Final = re.compile(r"(/public/[a-z]+/[0-9A-Za-z-]{20,40}/)[0-9]+\.[a-z]+")
# CloudFront allows 15 wildcards in progress. An invalidation takes minutes, and one may begin in each of them, twice.
_MOST_WILDCARDS: Final = 3
_CONFIG: Final = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})


@functools.cache
def _edge() -> Any:
    """Return the client of this process. CloudFront has one endpoint for the world, signed for this region."""
    return Session().client("cloudfront", region_name="us-east-1", config=_CONFIG)


def handler(batch: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Invalidate the pictures that a batch of messages tells of; the answer names the messages that must come again."""
    paths: dict[str, list[str]] = {}  # by message
    failed: list[str] = []
    for message in batch["Records"]:
        try:
            paths[message["messageId"]] = _removed(message["body"])
        except (ValueError, KeyError, TypeError) as error:
            failed.append(message["messageId"])
            log.warning("edge.event_failed", extra={"message_id": failed[-1], "error": type(error).__name__})
    wanted = _shortened({path for told in paths.values() for path in told})
    if wanted:
        try:
            _invalidate(wanted, sorted(paths))
        except (BotoCoreError, ClientError) as error:
            log.warning("edge.not_purged", extra={"paths": len(wanted), "error": type(error).__name__})
            failed += paths
        else:
            log.info("edge.purged", extra={"paths": len(wanted), "failed": len(failed)})
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def _shortened(paths: Iterable[str]) -> list[str]:
    """Name the variants of a photo by their folder, which costs one path instead of eight; all others stay as they are."""
    folders: dict[str, set[str]] = defaultdict(set)
    for path in paths:
        found = _VARIANT.fullmatch(path)
        folders[found[1] if found else path].add(path)
    largest = sorted(
        (name for name, held in folders.items() if len(held) > 1), key=lambda name: (-len(folders[name]), name)
    )
    for name in largest[:_MOST_WILDCARDS]:
        folders[name] = {f"{name}*"}
    return sorted(path for held in folders.values() for path in held)


def _invalidate(paths: list[str], message_ids: list[str]) -> None:
    """Have the edge forget these paths. The same messages again, after an answer that was lost, are the same request."""
    _edge().create_invalidation(
        DistributionId=os.environ["BAPSANG_DISTRIBUTION_ID"],
        InvalidationBatch={
            "Paths": {"Quantity": len(paths), "Items": paths},
            "CallerReference": hashlib.sha256(" ".join(message_ids).encode()).hexdigest(),
        },
    )


def _removed(body: str) -> list[str]:
    """Return the paths of the images that a message of S3 says were removed, all variants in one. Raises what `events` does."""
    removed = (event.key for event in events(body) if "ObjectRemoved" in event.name)
    return [f"/{quote(_image_of(key))}*" for key in removed if key.startswith(rules.PUBLIC_PREFIX)]


def _image_of(key: str) -> str:
    """Return what the keys of an image's objects begin with: `public/post/{id}` of `public/post/{id}/640.webp`."""
    return rules.folder_of("/".join(key.split("/")[:3]))
