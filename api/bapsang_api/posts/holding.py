"""Which posts of new accounts are held back until a moderator has looked at them. Pure; docs/api.md states the same rules."""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

YOUNG: Final = timedelta(hours=72)  # since the sign-up; the posts of older accounts are never held
MOST_LINKS: Final = 2  # in title and content together
REPEATED_WITHIN: Final = timedelta(hours=24)
MOST_POSTS: Final = 10  # within an hour, deleted ones too
COUNTED_WITHIN: Final = timedelta(hours=1)
#: Of an author's posts within a day, the newest that are looked at: nobody has more who was not held long before.
LOOKED_AT: Final = 300
# Between links that follow each other without a space.
_SEPARATORS: Final = re.compile(r"[\s,;|<>()\[\]{}\"'“”‘’]+")
# The end of a domain, of those that are common in advertisements; before it at least one letter, after it none.
_BARE: Final = re.compile(
    r"(?<=[\w-])\.(?:com|net|org|info|biz|io|me|co|kr|jp|cn|ru|tv|cc|ly|gl|gg|xyz|shop|store|site|online|top|club|app|link"
    r"|click|live|page|blog|dev|ai|us|uk)(?![\w-])"
)


class Rule(StrEnum):
    """Why a post is held."""

    LINKS = "LINKS"
    REPEAT = "REPEAT"
    RATE = "RATE"


@dataclass(frozen=True)
class Earlier:
    """Another post of the same author. One that was deleted, or written when the author was not looked at, has no digest."""

    created_at: datetime
    digest: str | None


@dataclass(frozen=True)
class Judgement:
    """By which rule a post is held, None for none; and the digest of its words."""

    rule: Rule | None
    digest: str | None


FREE: Final = Judgement(None, None)


def is_young(joined_at: datetime, now: datetime) -> bool:
    return now - joined_at < YOUNG


def judge(title: str, content: str, earlier: Sequence[Earlier], now: datetime, *, new: bool) -> Judgement:
    """Judge a post of a young author, or with `new` false the words that it is given; `earlier` are the author's other posts."""
    digest = digest_of(title, content)
    if links_in(f"{title} {content}") > MOST_LINKS:
        return Judgement(Rule.LINKS, digest)
    if any(one.digest == digest and now - one.created_at < REPEATED_WITHIN for one in earlier):
        return Judgement(Rule.REPEAT, digest)
    if new and sum(now - one.created_at < COUNTED_WITHIN for one in earlier) >= MOST_POSTS:
        return Judgement(Rule.RATE, digest)
    return Judgement(None, digest)


def links_in(text: str) -> int:
    """Return how many links a text holds, written out (`https://…`, `www.…`) or bare (`example.com`)."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("。", ".")
    return sum(map(_links_in_word, _SEPARATORS.split(plain)))


def digest_of(title: str, content: str) -> str:
    """Return what is the same for texts that differ in white space alone."""
    words = unicodedata.normalize("NFC", f"{title} {content}").split()
    return hashlib.blake2b(" ".join(words).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _links_in_word(word: str) -> int:
    schemes = word.count("http://") + word.count("https://")
    return schemes or int(word.startswith("www.") or _BARE.search(word) is not None)
