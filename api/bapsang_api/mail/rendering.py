"""Makes a message of a letter: both forms of its text, in Korean, and headers that are the same whenever it is made again."""

import re
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import Final

from bapsang_api.kit.clock import SEOUL
from bapsang_api.mail.letters import LINK_LIFETIME, Letter

NAME: Final = "밥상머리"
#: Names the letter to programs where a mail server has replaced the Message-ID, as SES does.
ID_HEADER: Final = "X-Bapsang-Mail"
_MOST_CHARACTERS: Final = 300  # of a value, as in the outbox
# What sign-up takes, and nothing that could end a header or a command. Dots at odd places want quotes.
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
_ADDRESS: Final = re.compile(
    rf"(?P<name>(?:{_ATOM}|\.){{1,64}})@(?P<domain>[A-Za-z0-9-]{{1,63}}(?:\.[A-Za-z0-9-]{{1,63}})+)"
)
_DOT_ATOM: Final = re.compile(rf"{_ATOM}+(?:\.{_ATOM}+)*")
_MOMENT: Final = "%Y년 %-m월 %-d일 %H:%M"


class BadAddressError(Exception):
    """No mail can be sent to it: its spelling is none of an address."""


@dataclass(frozen=True)
class Stationery:
    """What stands in every letter: whom it is from, and where the community is."""

    sender: str
    site: str
    contact: str


@dataclass(frozen=True)
class Words:
    """A letter as it reads."""

    subject: str
    text: str
    html: str


def words_of(letter: Letter, values: dict[str, str], created_at: datetime, stationery: Stationery) -> Words:
    """Return subject, text and HTML. Raises KeyError when a value is missing that the letter shows."""
    shown = {name: _one_line(value) for name, value in values.items()}
    shown |= {
        "site": stationery.site,
        "contact": stationery.contact,
        "minutes": str(int(LINK_LIFETIME.total_seconds()) // 60),
        "at": created_at.astimezone(SEOUL).strftime(_MOMENT),
        "until": (created_at + LINK_LIFETIME).astimezone(SEOUL).strftime("%H:%M"),
    }
    escaped = {name: escape(value) for name, value in shown.items()}
    subject, _, text = _page(f"{letter}.txt").substitute(shown).partition("\n\n")
    body = _page(f"{letter}.html").substitute(escaped)
    return Words(
        subject,
        _page("layout.txt").substitute(shown, body=text.strip()),
        _page("layout.html").substitute(escaped, subject=escape(subject), body=body.strip()),
    )


def message_of(
    mail_id: str, letter: Letter, address: str, values: dict[str, str], created_at: datetime, stationery: Stationery
) -> EmailMessage:
    """Return the message of a letter, the same bytes each time. Raises BadAddressError."""
    words = words_of(letter, values, created_at, stationery)
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(NAME, addr_spec=stationery.sender)
    message["To"] = recipient(address)
    message["Subject"] = words.subject
    message["Date"] = created_at
    message["Message-ID"] = message_id(mail_id, stationery.sender)
    message["Auto-Submitted"] = "auto-generated"
    message[ID_HEADER] = mail_id
    message.set_content(words.text, cte="base64")
    message.add_alternative(words.html, subtype="html", cte="base64")
    message.set_boundary(f"bapsang-{mail_id}")
    return message


def message_id(mail_id: str, sender: str) -> str:
    return f"<{mail_id}@{sender.rpartition('@')[2]}>"


def recipient(address: str) -> str:
    """Return an address as headers and envelopes hold it. Raises BadAddressError."""
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise BadAddressError
    return address if _DOT_ATOM.fullmatch(found["name"]) else f'"{found["name"]}"@{found["domain"]}'


def _one_line(value: str) -> str:
    """Return a value without line ends and whatever else is not drawn: none of it may look like words of the letter."""
    line = "".join(character if character.isprintable() else " " for character in value[:_MOST_CHARACTERS])
    return " ".join(line.split())


@cache
def _page(name: str) -> Template:
    return Template(files("bapsang_api.mail").joinpath("pages", name).read_text("utf-8"))
