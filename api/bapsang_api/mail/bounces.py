"""Reports that a letter was not delivered after all: delivery status notifications (RFC 3464) and what SES tells by SNS.

Whoever knows the address that bounces come to can send one. So a report by mail counts only with the id of a letter, which its
recipient alone knows, and marks the address of that letter, whatever address it names itself.
"""

import email
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.message import EmailMessage, MIMEPart
from typing import Any, Final

from sqlalchemy import Connection

from bapsang_api.kit.ids import PATTERN
from bapsang_api.mail import store
from bapsang_api.mail.rendering import ID_HEADER
from bapsang_api.mail.store import Mark

#: Of one message; a server returns the letter with its report, and ours are small.
MOST_BYTES: Final = 1 << 18
_MAIL_ID: Final = re.compile(rf"^(?:message-id:\s*<|{ID_HEADER}:\s*)({PATTERN})\b", re.IGNORECASE | re.MULTILINE)
_RETURNED: Final = frozenset({"message/rfc822", "text/rfc822-headers"})


@dataclass(frozen=True)
class Report:
    """A letter that was not delivered, by its id; or, from SES without the letter's headers, the address and when it was sent."""

    reason: Mark
    mail_id: str | None = None
    address: str | None = None
    at: datetime | None = None


def reports_in(lines: Iterable[bytes]) -> Iterator[Report]:
    """Yield what a file reports: JSON of SES, one message, or several (mbox). What is no report is passed over."""
    for number, content in enumerate(_messages(lines)):
        if number == 0 and content.lstrip()[:1] in (b"{", b"["):
            yield from _of_ses(content)
        else:
            yield from _of_message(content)


def mark(connection: Connection, report: Report, now: datetime) -> bool:
    """Have the address of a report take no mail; False for a letter that is not known (any more).

    It counts from the day of the letter: a report that is read twice marks nothing for longer.
    """
    if report.mail_id is not None:
        sent = store.sent_to(connection, report.mail_id)
        if sent is None:
            return False
        store.mark(connection, sent.address_hash, report.reason, sent.created_at)
    elif report.address is not None:
        store.mark(connection, store.hash_of(report.address), report.reason, report.at or now)
    return True


def _messages(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Split an mbox; what is none is one message. JSON is taken whole, longer messages are cut."""
    held: list[bytes] = []
    size, after_blank = 0, True
    for line in lines:
        if after_blank and line.startswith(b"From "):
            if held:
                yield b"".join(held)
            held, size, after_blank = [], 0, False
            continue
        after_blank = not line.strip()
        size += len(line)
        if size <= MOST_BYTES or (held[:1] and held[0].lstrip()[:1] in (b"{", b"[")):
            held.append(line)
    if held:
        yield b"".join(held)


def _of_message(content: bytes) -> Iterator[Report]:
    try:
        message = email.message_from_bytes(content, policy=policy.default)
        if message.get_content_type() != "multipart/report" or not isinstance(message, EmailMessage):
            return
        parts = list(message.iter_parts())
        failed = any(_has_failed(block) for part in parts for block in _statuses(part))
        returned = "\n".join(str(part.as_bytes(), "ascii", "replace") for part in parts if _is_returned(part))
    except (RecursionError, LookupError, ValueError, AttributeError):  # what the parser makes of the worst
        return
    if failed and (found := _MAIL_ID.search(returned)):
        yield Report(Mark.BOUNCED, mail_id=found[1].upper())


def _is_returned(part: MIMEPart) -> bool:
    return part.get_content_type() in _RETURNED


def _statuses(part: Any) -> list[Any]:
    """Return the blocks of a status: that of the message, and one for each recipient."""
    content = part.get_payload()
    return content if part.get_content_type() == "message/delivery-status" and isinstance(content, list) else []


def _has_failed(block: Any) -> bool:
    """Whether a recipient was refused for good: not one that is only late, nor whose mailbox was full for too long."""
    action, status = (str(block.get(name, "")).strip().lower() for name in ("Action", "Status"))
    return action == "failed" and status.startswith("5.")


def _of_ses(content: bytes) -> Iterator[Report]:
    decoder, text, place = json.JSONDecoder(), content.decode("utf-8", "replace").strip(), 0
    while place < len(text):
        try:
            found, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            return
        yield from _of_notice(found)
        place = end + len(text[end:]) - len(text[end:].lstrip())


def _of_notice(found: Any, depth: int = 0) -> Iterator[Report]:
    """Yield the reports in a notice: as SES writes it, in the envelope of SNS, or as SQS hands it out."""
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except (ValueError, RecursionError):
            return
    if depth > 4 or not isinstance(found, dict | list):
        return
    if isinstance(found, list):
        for one in found:
            yield from _of_notice(one, depth + 1)
        return
    for name in ("Messages", "Records", "Body", "body", "Message"):
        if name in found:
            yield from _of_notice(found[name], depth + 1)
    try:
        yield from _of_event(found)
    except (AttributeError, KeyError, TypeError, ValueError):  # another kind of notice
        return


def _of_event(event: dict[str, Any]) -> Iterator[Report]:
    kind = event.get("notificationType") or event.get("eventType")
    if kind == "Bounce" and event["bounce"]["bounceType"] == "Permanent":
        reason, people = Mark.BOUNCED, event["bounce"]["bouncedRecipients"]
    elif kind == "Complaint" and event["complaint"].get("complaintFeedbackType") != "not-spam":
        reason, people = Mark.COMPLAINED, event["complaint"]["complainedRecipients"]
    else:
        return
    mail = event["mail"]
    headers = "\n".join(f"{one['name']}: {one['value']}" for one in mail.get("headers", ()))
    if found := _MAIL_ID.search(headers):
        yield Report(reason, mail_id=found[1].upper())
        return
    at = datetime.fromisoformat(mail["timestamp"])
    for one in people:
        yield Report(reason, address=str(one["emailAddress"])[:254], at=at)
