"""What S3 tells a queue of the objects of a bucket."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_plus


@dataclass(frozen=True)
class Event:
    """One change: `name` such as `ObjectCreated:Put` or `ObjectRemoved:Delete`, and the key of the object."""

    name: str
    key: str


def events(body: str) -> Iterator[Event]:
    """Yield what a message tells of. Raises ValueError, KeyError or TypeError for a message that is not of S3."""
    told = json.loads(body)
    if not isinstance(told, dict):
        raise ValueError("no object")
    # Sent once, when the notification is set up.
    if told.get("Event") == "s3:TestEvent":
        return
    for record in told["Records"]:
        yield Event(record["eventName"], unquote_plus(record["s3"]["object"]["key"]))
