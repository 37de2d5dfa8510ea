"""Rate limits, counted in Redis across replicas by the generic cell rate algorithm (GCRA).

Two ways of counting. `take` asks Redis before it admits and so fails closed: logins and sign-ups. `admit` decides by
what this process knows, without a round trip; what it admitted is settled with Redis twice a second, which also brings
what other replicas admitted. A burst can exceed the limit by what the replicas admit within that half second, and while
Redis is down each process counts for itself: reading goes on.
"""

import asyncio
import hashlib
import ipaddress
import logging
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Final

from redis.asyncio import Redis
from starlette.types import Scope

from bapsang_api.kit.clock import Clock
from bapsang_api.kit.committed import after_commit
from bapsang_api.kit.problem import TooManyRequests
from bapsang_api.kit.redis.client import OUTAGE, load_script

log = logging.getLogger(__name__)

SETTLE_SECONDS: Final = 0.5
OFF: Final = "off"
_SCOPE: Final = "bapsang.rate"
# Subjects, of a third of a KiB each; beyond that new ones are let through: memory must not be the victim.
_MOST_TRACKED: Final = 100_000
_SLACK_MS: Final = 1000.0
# Of each of the two caches below, whose keys clients write: of at most half a KiB with their values.
_KNOWN: Final = 2_048
_LONGEST: Final = 64  # characters of an address or an id; whatever is longer is never remembered
_CHUNK: Final = 500  # subjects a script call, so that it never blocks Redis for long


class Limit(StrEnum):
    """What is limited, and by what."""

    IP = "ip"  # every request, by address (IPv6: by /64)
    WRITE = "write"  # every request but reads, by user
    LOGIN_IP = "login_ip"
    LOGIN_EMAIL = "login_email"  # wrong passwords, by e-mail and address or known device
    LOGIN_ACCOUNT = "login_account"  # wrong passwords, by e-mail, from devices that are not known
    SIGNUP = "signup"  # by address
    LETTER_IP = "letter_ip"  # letters that somebody asks for, by address
    LETTER_EMAIL = "letter_email"  # the same, by the e-mail that they go to
    LINK_IP = "link_ip"  # one-time links that are tried, by address
    PRESIGN_TEMP = "presign_temp"  # uploads for a sign-up, by address
    SEARCH = "search"  # by address
    REPORT = "report"  # by user
    PASSWORD = "password"  # noqa: S105 - checks of the own password, by user


@dataclass(frozen=True)
class Rate:
    """At most `requests` at once, and as many again every `seconds`."""

    requests: int
    seconds: int

    @cached_property
    def cost(self) -> float:
        """The milliseconds after which one more request is free."""
        return 1000 * self.seconds / self.requests

    @cached_property
    def most(self) -> float:
        """The milliseconds that may be owed at most.

        A little more than the requests cost: times of replicas differ and requests overtake each other, and a burst of
        exactly the limit must not lose its last one to that.
        """
        return 1000 * self.seconds + min(_SLACK_MS, self.cost / 2)


LONGEST_SECONDS: Final = 86_400
# By address generous enough for a household or an office; a campus or a carrier behind one address gets its own figure.
DEFAULTS: Final[dict[Limit, Rate]] = {
    Limit.IP: Rate(1200, 60),
    Limit.WRITE: Rate(120, 60),
    Limit.LOGIN_IP: Rate(120, 60),
    Limit.LOGIN_EMAIL: Rate(20, 600),
    Limit.LOGIN_ACCOUNT: Rate(100, 3600),
    Limit.SIGNUP: Rate(120, 3600),
    Limit.LETTER_IP: Rate(60, 3600),
    Limit.LETTER_EMAIL: Rate(5, 3600),
    Limit.LINK_IP: Rate(120, 3600),
    Limit.PRESIGN_TEMP: Rate(120, 3600),
    Limit.SEARCH: Rate(120, 60),
    Limit.REPORT: Rate(30, 3600),
    Limit.PASSWORD: Rate(20, 600),
}


def rates_from(text: str) -> dict[Limit, Rate]:
    """Return the defaults changed by `name=requests/seconds` or `name=off`, separated by commas; `off` ends all.

    Over no longer a time than LONGEST_SECONDS: the privacy policy says how long a sender is remembered.

    Raises ValueError.
    """
    if text == OFF:
        return {}
    rates = dict(DEFAULTS)
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = part.partition("=")
        found = re.fullmatch(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,5})", value)
        if name not in set(Limit) or not (found or value == OFF) or (found and int(found[2]) > LONGEST_SECONDS):
            raise ValueError(part)
        rates.pop(Limit(name), None)
        if found:
            rates[Limit(name)] = Rate(int(found[1]), int(found[2]))
    return rates


def subject_of(address: str) -> str:
    """Return what an address is limited by: an IPv6 host has a whole /64 to itself, so that counts as one.

    What is longer than any address counts by its beginning.
    """
    return _subject_of(address[:_LONGEST])


@lru_cache(maxsize=_KNOWN)
def _subject_of(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


@dataclass(slots=True)
class _Account:
    """What this process knows of one subject: until when its requests are paid (ms), and what Redis does not know."""

    rate: Rate
    until: float = 0.0
    unsettled: int = 0


class RateLimiter:
    """Refuses what is too much, and notes on the request's scope what the `RateLimit-*` headers say."""

    def __init__(self, redis: Redis, clock: Clock, rates: dict[Limit, Rate]) -> None:
        self._clock, self._rates = clock, rates
        self._script = load_script(redis, __package__ or "", "gcra")
        self._accounts: dict[str, _Account] = {}

    async def take(self, scope: Scope, *asked: tuple[Limit, str]) -> None:
        """Admit a request that counts for all of these, in one round trip. Raises TooManyRequests and Redis errors."""
        rules = [(self._rates[limit], _key(limit, subject)) for limit, subject in asked if limit in self._rates]
        if not rules:
            return
        arguments = [value for rate, _ in rules for value in (rate.cost, rate.most, 1)]
        admitted, *ahead = await self._script(keys=[key for _, key in rules], args=[self._now(), 1, *arguments])
        for (rate, _), owed in zip(rules, ahead, strict=True):
            _note(scope, rate, owed)
        if not admitted:
            raise TooManyRequests(max(_wait(rate, owed) for (rate, _), owed in zip(rules, ahead, strict=True)))

    async def give_back(self, *asked: tuple[Limit, str]) -> None:
        """Uncount a request that was taken and turned out not to be what is limited. Never fails: it may be done already."""
        rules = [(self._rates[limit], _key(limit, subject)) for limit, subject in asked if limit in self._rates]
        if not rules:
            return
        arguments = [value for rate, _ in rules for value in (rate.cost, rate.most, -1)]
        with after_commit("ratelimit.not_given_back"):
            await self._script(keys=[key for _, key in rules], args=[self._now(), 0, *arguments])

    def admit(self, scope: Scope, limit: Limit, subject: str) -> None:
        """Admit a request by what this process knows. Raises TooManyRequests."""
        rate = self._rates.get(limit)
        if rate is None:
            return
        now = 1000 * self._clock.seconds()
        key = _known_key(limit, subject) if len(subject) <= _LONGEST else _key(limit, subject)
        account = self._accounts.get(key)
        if account is None:
            if len(self._accounts) >= _MOST_TRACKED:
                return
            account = self._accounts[key] = _Account(rate)
        owed = max(0.0, account.until - now)
        if owed + rate.cost > rate.most:
            _note(scope, rate, owed)
            raise TooManyRequests(_wait(rate, owed))
        account.until, account.unsettled = now + owed + rate.cost, account.unsettled + 1
        if _SCOPE in scope:
            _note(scope, rate, owed + rate.cost)
        else:
            scope[_SCOPE] = (rate, owed + rate.cost)

    async def settle(self) -> None:
        """Tell Redis what was admitted since the last time and learn what others have. Raises Redis errors."""
        now = self._now()
        for key in [key for key, account in self._accounts.items() if not account.unsettled and account.until <= now]:
            del self._accounts[key]
        unsettled = [(key, account) for key, account in self._accounts.items() if account.unsettled]
        for start in range(0, len(unsettled), _CHUNK):
            await self._settle(unsettled[start : start + _CHUNK])

    async def follow(self) -> None:
        """Settle for ever; cancelled when the process ends."""
        answering = True
        while True:
            try:
                await self.settle()
                answering = True
            except OUTAGE as error:
                if answering:  # once per outage, not twice a second
                    log.warning("ratelimit.unsettled", extra={"error": type(error).__name__})
                answering = False
            await asyncio.sleep(SETTLE_SECONDS)

    async def _settle(self, chunk: list[tuple[str, _Account]]) -> None:
        now, sent = self._now(), [account.unsettled for _, account in chunk]
        arguments = [
            value
            for (_, account), requests in zip(chunk, sent, strict=True)
            for value in (account.rate.cost, account.rate.most, requests)
        ]
        _, *ahead = await self._script(keys=[key for key, _ in chunk], args=[now, 0, *arguments])
        for (_, account), requests, owed in zip(chunk, sent, ahead, strict=True):
            account.unsettled -= requests  # what came in while Redis answered stays
            account.until = now + owed + account.unsettled * account.rate.cost

    def _now(self) -> float:
        return 1000 * self._clock.seconds()


def headers_of(scope: Scope) -> Iterable[tuple[bytes, bytes]]:
    """Return the `RateLimit-*` headers of the rule that leaves the request's sender the least."""
    standing: tuple[Rate, float] | None = scope.get(_SCOPE)
    if standing is None:
        return ()
    rate, owed = standing
    return (
        (b"ratelimit-limit", b"%d" % rate.requests),
        (b"ratelimit-remaining", b"%d" % max(0, int((rate.most - owed) / rate.cost))),
        (b"ratelimit-reset", b"%d" % math.ceil(owed / 1000)),
    )


def _note(scope: Scope, rate: Rate, owed: float) -> None:
    known: tuple[Rate, float] | None = scope.get(_SCOPE)
    if known is None or owed / rate.seconds >= known[1] / known[0].seconds:
        scope[_SCOPE] = (rate, owed)


def _wait(rate: Rate, owed: float) -> int:
    """Return the whole seconds until one more request is admitted."""
    return max(1, math.ceil((owed + rate.cost - rate.most) / 1000))


def _key(limit: Limit, subject: str) -> str:
    # A digest: neither an address nor an e-mail is ever stored, and a made-up long one leaves nothing behind.
    digest = hashlib.blake2b(subject.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
    return f"rate:{limit}:{digest}"


@lru_cache(maxsize=_KNOWN)
def _known_key(limit: Limit, subject: str) -> str:
    return _key(limit, subject)
