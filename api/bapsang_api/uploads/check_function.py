"""The check function: reads from a queue what S3 tells of new uploads, and checks each.

Events come late, twice, out of order or not at all. None of that matters: what is checked is the object as it is now,
once, and what no event told of is checked by the API when it is used, or collected.
"""

import functools
import logging
import os
from collections import Counter
from collections.abc import Mapping
from typing import Any

from boto3.session import Session
from botocore.exceptions import BotoCoreError, ClientError

from bapsang_api.uploads import rules
from bapsang_api.uploads.bucket import Bucket
from bapsang_api.uploads.checking import check
from bapsang_api.uploads.events import events
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
            for event in events(message["body"]):
                if rules.is_any_upload(event.key):
                    verdicts[check(_objects(), event.key)] += 1
        except (BotoCoreError, ClientError, ValueError, KeyError, TypeError) as error:
            # The type alone says enough; the text may repeat what somebody has sent.
            log.warning(
                "uploads.event_failed", extra={"message_id": message["messageId"], "error": type(error).__name__}
            )
            failed.append({"itemIdentifier": message["messageId"]})
    log.info("uploads.checked", extra={**verdicts, "failed": len(failed)})
    return {"batchItemFailures": failed}
