"""Which answers of Redis are an outage, and what runs after a commit while there is one."""

import logging
from typing import Any

import pytest
import redis.exceptions

from bapsang_api.kit.redis.client import EMBEDDED, OUTAGE, RefusedError, open_redis
from bapsang_api.kit.redis.pipeline import Pipeline
from bapsang_api.posts.queries import SOURCE
from bapsang_api.readmodel.feed import ChangeFeed

PARSER = open_redis("redis://127.0.0.1:1/0").connection_pool.make_connection()._parser


@pytest.mark.parametrize(
    "answer",
    [
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        "NOREPLICAS Not enough good replicas to write. script: 1f2e, on @user_script:7.",
        "DENIED Redis is running in protected mode because protected mode is enabled",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "LOADING Redis is loading the dataset in memory",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "READONLY You can't write against a read only replica.",
        "CLUSTERDOWN The cluster is down",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "NOAUTH Authentication required.",
        "NOPERM User default has no permissions to run the 'set' command",
        "WRONGPASS invalid username-password pair or user is disabled.",
        "ERR max number of clients reached",
    ],
    ids=lambda answer: answer.partition(" ")[0],
)
def test_a_refusal_is_an_outage(answer: str) -> None:
    error = PARSER.parse_error(answer)
    assert isinstance(error, OUTAGE)
    if isinstance(error, RefusedError):
        assert str(error) == answer


@pytest.mark.parametrize(
    "answer", ["ERR unknown command", "WRONGTYPE Operation against a key", "NOSCRIPT No", "BUSYGROUP x"]
)
def test_a_bug_is_no_outage(answer: str) -> None:
    assert not isinstance(PARSER.parse_error(answer), OUTAGE)


@pytest.mark.parametrize("error", [RefusedError("x", "MISCONF"), redis.exceptions.ResponseError("a bug"), ValueError()])
async def test_nothing_that_runs_after_a_commit_raises(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise error

    def deaf(_: object) -> None:
        raise error

    client = open_redis(EMBEDDED)
    pipeline = Pipeline(client)
    monkeypatch.setattr(client, "set", fail)
    monkeypatch.setattr(pipeline, "run", fail)
    database: Any = None
    feed = ChangeFeed(database, SOURCE, client, pipeline)
    feed.on_message(deaf)
    await feed.publish(["post"])
    assert [record.message for record in caplog.records] == ["changes.not_applied", "changes.not_published"]
    bug = not isinstance(error, OUTAGE)
    assert all((record.levelno == logging.ERROR and bool(record.exc_info)) == bug for record in caplog.records)
