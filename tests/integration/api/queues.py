"""What lies between S3 and the check function in the cloud: a standard queue that is as unkind as it may be."""

import json
import random
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

import pytest

from bapsang_api.uploads import check_function

from .bucket import Bucket

Handler = Callable[[dict[str, Any], object], dict[str, Any]]
MOST_RECEIVES = 5
# As the template has it.
_BATCH = 1
_FUNCTIONS = 5  # at once


def start_function(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check function in a new container, before this bucket."""
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    check_function._objects.cache_clear()


@dataclass
class Message:
    """One message and how often it was handed out."""

    number: int
    body: str
    received: int = 0


@dataclass
class Queue:
    """A queue that delivers at least once, in any order, and puts aside what comes back too often.

    `dies` is the share of batches whose function is done and ends without an answer, as at a time-out: all of its messages
    come again.
    """

    dice: random.Random
    dies: float = 0.0
    delivered: int = 0
    dead: list[Message] = field(default_factory=list)

    def deliver(self, bodies: Iterable[str], handler: Handler) -> None:
        """Hand out messages until each was handled or put aside; several functions are at work at once."""
        waiting = [Message(number, body) for number, body in enumerate(bodies)]
        while waiting:
            self.dice.shuffle(waiting)
            batches = [waiting[start : start + _BATCH] for start in range(0, len(waiting), _BATCH)]
            dying = [self.dice.random() < self.dies for _ in batches]
            with ThreadPoolExecutor(_FUNCTIONS) as functions:
                waiting = [
                    message
                    for left in functions.map(lambda batch, dies: self._invoke(batch, handler, dies), batches, dying)
                    for message in left
                ]
            self.dead += [message for message in waiting if message.received >= MOST_RECEIVES]
            waiting = [message for message in waiting if message.received < MOST_RECEIVES]

    def _invoke(self, batch: list[Message], handler: Handler, dies: bool) -> list[Message]:
        """Return the messages that stay in the queue after one call of the function."""
        self.delivered += len(batch)
        for message in batch:
            message.received += 1
        answer = handler({"Records": [{"messageId": str(one.number), "body": one.body} for one in batch]}, None)
        failed = {one["itemIdentifier"] for one in answer["batchItemFailures"]}
        return batch if dies else [message for message in batch if str(message.number) in failed]


def told(*keys: str, bucket: str = "media") -> str:
    """Return the message of S3 (version 2.1 of its events) that objects were put under these keys."""
    records = [
        {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": "ap-northeast-2",
            "eventTime": "2026-11-23T01:10:12.781Z",
            "eventName": "ObjectCreated:Put",
            "s3": {
                "s3SchemaVersion": "1.0",
                "bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"},
                "object": {"key": quote_plus(key), "size": 1, "eTag": "0" * 32, "sequencer": "0055AED6DCD90281E5"},
            },
        }
        for key in keys
    ]
    return json.dumps({"Records": records})
