"""Revoked sessions: what is announced, how often, and what an outage of Redis makes of it."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

import pytest
import redis.exceptions
from redis.asyncio import Redis

from bapsang_api.auth import revocation, store
from bapsang_api.auth.revocation import RevokedSessions
from bapsang_api.kit.clock import SystemClock


async def test_log_outs_during_an_outage_are_sent_once_each_and_all_together_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[list[str]] = []
    answering = False

    async def announce(_: Redis, session_ids: Sequence[str], __: datetime) -> None:
        sent.append(list(session_ids))
        if not answering:
            raise redis.exceptions.ConnectionError

    monkeypatch.setattr(store, "announce_revoked", announce)
    sessions = RevokedSessions(Redis(), SystemClock())
    ended = [f"session {number}" for number in range(100)]
    for session_id in ended:
        await sessions.announce(session_id)
        await sessions.announce(session_id)
        assert session_id in sessions
    assert sent == [[session_id] for session_id in ended]
    with pytest.raises(redis.exceptions.ConnectionError):
        await sessions.deliver()
    answering = True
    await sessions.announce("another")
    await sessions.deliver()
    await sessions.deliver()
    assert sent[len(ended) :] == [ended, ["another"], ended]


class Rows:
    """A database that has one revoked session."""

    async def read(self, _: object) -> list[tuple[str, datetime]]:
        return [("forgotten", SystemClock().now())]


async def test_after_an_outage_the_database_says_what_redis_may_have_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    outages = [redis.exceptions.ConnectionError(), redis.exceptions.BusyLoadingError()]
    recalled = asyncio.Event()

    async def read(*_: object) -> list[tuple[str, str]]:
        if outages:
            raise outages.pop()
        if "forgotten" in sessions:
            recalled.set()
        return []

    monkeypatch.setattr(store, "revoked_after", read)
    monkeypatch.setattr(revocation, "POLL_SECONDS", 0.0)
    sessions = RevokedSessions(Redis(), SystemClock())
    following = asyncio.create_task(sessions.follow(Rows()))  # type: ignore[arg-type]
    async with asyncio.timeout(10):
        await recalled.wait()
    following.cancel()
