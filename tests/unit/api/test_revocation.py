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
from bapsang_api.kit.problem import Unavailable


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
    """A database with one revoked session more each time it is asked; the first time it does not answer."""

    def __init__(self) -> None:
        self.asked = 0

    async def read(self, _: object) -> list[tuple[str, datetime]]:
        self.asked += 1
        if self.asked == 2:
            raise Unavailable
        return [(f"session {self.asked}", SystemClock().now())]


async def test_the_database_says_again_and_again_what_redis_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocation, "POLL_SECONDS", 0.0)
    sessions, rows = RevokedSessions(Redis(), SystemClock()), Rows()
    following = asyncio.create_task(sessions.follow_database(rows))  # type: ignore[arg-type]
    for _ in range(10):
        await asyncio.sleep(0)
    assert rows.asked == 0  # before the process has recalled itself, there may be no table
    await sessions.recall(rows)  # type: ignore[arg-type]
    while rows.asked < 5:  # noqa: ASYNC110 - what is awaited is another task's turn
        await asyncio.sleep(0)
    assert all(f"session {number}" in sessions for number in (1, 3, 4))
    following.cancel()


async def test_what_the_database_has_said_before_is_announced_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The poll may read a session between the commit of its end and its announcement."""
    sent: list[str] = []

    async def announce(_: Redis, session_ids: Sequence[str], __: datetime) -> None:
        sent.extend(session_ids)

    monkeypatch.setattr(store, "announce_revoked", announce)
    sessions = RevokedSessions(Redis(), SystemClock())
    await sessions.recall(Rows())  # type: ignore[arg-type]
    assert "session 1" in sessions
    for _ in range(2):
        await sessions.announce("session 1")
    assert sent == ["session 1"]
