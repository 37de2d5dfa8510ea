"""The check function: reads from a queue what S3 tells of new uploads, and checks each.

Events come late, twice, out of order or not at all. None of that matters: what is checked is the object as it is now,
once, and what no event told of is checked by the API when it is used, or collected.
"""

import functools
import json
import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote_plus

from boto3.session import Session
from botocore.exceptions import BotoCoreError, ClientError

from bapsang_api.uploads import rules
from bapsang_api.uploads.bucket import Bucket
from bapsang_api.uploads.checking import check
from bapsang_api.uploads.s3 import Objects, open_client

log = logging.getLogger(__name__)


@functools.cache
def _objects() -> Objects:
    """Return the bucket of this process; made once, because a container of the function serves many batches."""
    bucket = Bucket.of_function(os.environ)
    return Objects(bucket.name, open_client(Session(), bucket, bucket.endpoint))


def handler(batch: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Check the uploads that a batch of messages tells of; the answer names the messages that must come again.

    A message that cannot be handled comes back until the queue puts it aside, and the others of its batch do not.
    """
    verdicts: Counter[str] = Counter()
    failed = []
    for message in batch["Records"]:
        try:
            for key in _uploads(message["body"]):
                verdicts[check(_objects(), key)] += 1
        except (BotoCoreError, ClientError, ValueError, KeyError, TypeError) as error:
            # The type alone says enough; the text may repeat what somebody has sent.
            log.warning(
                "uploads.event_failed", extra={"message_id": message["messageId"], "error": type(error).__name__}
            )
            failed.append({"itemIdentifier": message["messageId"]})
    log.info("uploads.checked", extra={**verdicts, "failed": len(failed)})
    return {"batchItemFailures": failed}


def _uploads(body: str) -> Iterator[str]:
    """Yield the keys that a message of S3 tells of. Raises ValueError, KeyError or TypeError for any other message."""
    told = json.loads(body)
    if not isinstance(told, dict):
        raise ValueError("no object")
    # Sent once, when the notification is set up.
    if told.get("Event") == "s3:TestEvent":
        return
    for record in told["Records"]:
        key = unquote_plus(record["s3"]["object"]["key"])
        if rules.is_any_upload(key):
            yield key
