"""An Atom feed (RFC 4287) of posts. Pure.

Atom, not RSS: it says that a title is text. What an RSS reader makes of a title with a `<` in it nobody knows. The tree is
written by the library, so whatever somebody writes stays text, also what would end a CDATA section.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

from ulid import ULID

TITLE: Final = "밥상"
# Letters that no XML document may hold, escaped or not.
_FORBIDDEN: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Entry:
    """A post in the feed."""

    post_id: str
    title: str
    content: str
    author: str
    tags: tuple[str, ...]
    image_url: str | None
    created_at: datetime
    updated_at: datetime


def last_change(entries: Sequence[Entry]) -> datetime:
    """Return when the last of them was written or changed."""
    return max((entry.updated_at for entry in entries), default=_BEGINNING)


def render(entries: Sequence[Entry], site: str) -> bytes:
    """Return the feed. `site` is the origin at which the community is read, without a slash at its end."""
    feed = Element("feed", {"xmlns": "http://www.w3.org/2005/Atom", "xml:lang": "ko"})
    _text(feed, "id", f"{site}/feed.xml")
    _text(feed, "title", TITLE)
    _text(feed, "updated", _time(last_change(entries)))
    SubElement(feed, "link", {"rel": "self", "type": "application/atom+xml", "href": f"{site}/feed.xml"})
    SubElement(feed, "link", {"rel": "alternate", "type": "text/html", "href": f"{site}/"})
    for entry in entries:
        _add(feed, entry, site)
    document: bytes = tostring(feed, encoding="utf-8", xml_declaration=True)
    return document


def _add(feed: Element, entry: Entry, site: str) -> None:
    element = SubElement(feed, "entry")
    # A ULID is a UUID in other letters. Unlike an address it stays the same when the community moves.
    _text(element, "id", f"urn:uuid:{ULID.from_str(entry.post_id).to_uuid()}")
    _text(element, "title", entry.title)
    _text(element, "published", _time(entry.created_at))
    _text(element, "updated", _time(entry.updated_at))
    _text(SubElement(element, "author"), "name", entry.author)
    SubElement(element, "link", {"rel": "alternate", "type": "text/html", "href": f"{site}/posts/{entry.post_id}"})
    if entry.image_url is not None:
        SubElement(element, "link", {"rel": "enclosure", "href": entry.image_url})
    for tag in entry.tags:
        SubElement(element, "category", {"term": tag})
    _text(element, "content", entry.content)


def _text(parent: Element, name: str, text: str) -> None:
    SubElement(parent, name).text = _FORBIDDEN.sub("\ufffd", text)


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
