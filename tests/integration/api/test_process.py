"""The real process: start, probes, drain, exit codes, and jobs killed at the worst moment."""

import asyncio
import json
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import create_engine, text
from tests.waiting import eventually

from bapsang_api.kit.db.connections import Limits
from bapsang_api.kit.db.database import Database
from bapsang_api.likes.skips import SKIPPED
from bapsang_api.likes.store import LOCK
from bapsang_api.likes.sync import STUCK_SECONDS

from .process import BARE, PROGRAM, client, log_lines, run, run_here, serving
from .world import API, PASSWORD, Backend


def test_one_command_serves_everything_on_one_machine(tmp_path: Path) -> None:
    with serving(tmp_path) as service, client(f"{service.url}{API}") as http:
        body = {"email": "a@example.com", "password": PASSWORD, "nickname": "앨리스"}
        assert http.post("/auth/users", json=body).status_code == 201
        login = http.post("/auth/tokens", json=body)
        http.headers["Authorization"] = login.headers["Authorization"]
        post_id = http.post("/posts", json={"title": "밥", "content": "국"}).json()["postId"]
        assert http.post(f"/posts/{post_id}/likes").status_code == 204
        # The background write-back brings the like into the file.
        engine = create_engine(f"sqlite:///{tmp_path}/bapsang.sqlite3")
        with engine.connect() as connection:
            eventually(lambda: connection.execute(text("SELECT like_count FROM posts")).scalar() == 1)
        engine.dispose()
        service.process.terminate()
        assert service.wait(60) == 0
    assert "a@example.com" not in json.dumps(service.log)


def test_probes_and_metrics_are_on_the_admin_port_only(tmp_path: Path) -> None:
    with serving(tmp_path) as service, client(service.url) as http, client(service.admin) as admin:
        assert admin.get("/livez").text == "OK"
        assert admin.get("/readyz").text == "OK"
        http.get(f"{API}/posts")
        http.get(f"{API}/posts/01JD0000000000000000000000")
        http.get("/wp-login.php")
        metrics = admin.get("/metrics").text
        for line in (
            'bapsang_http_requests_total{method="GET",route="/api/v1/posts",status_class="2xx"} 1.0',
            'bapsang_http_requests_total{method="GET",route="/api/v1/posts/{post_id}",status_class="4xx"} 1.0',
            'bapsang_http_requests_total{method="GET",route="unmatched",status_class="4xx"} 1.0',
            "bapsang_like_dirty_posts 0.0",
            "bapsang_redis_up 1.0",
        ):
            assert line in metrics
        for path in ("/livez", "/readyz", "/metrics"):
            assert http.get(path).status_code == 404


def test_admin_command_says_how_it_ended(tmp_path: Path) -> None:
    seeded = run_here("seed", "--users", "1", "--posts", "0", "--likes", "0", cwd=tmp_path)
    done = run_here("admin", "grant", log_lines(seeded.stderr)[-1]["login"], "--reason", "the first one", cwd=tmp_path)
    assert (done.returncode, log_lines(done.stderr)[-1]["event"]) == (0, "admin.done")
    failed = run_here("admin", "block", "nobody@example.com", cwd=tmp_path)
    assert (failed.returncode, log_lines(failed.stderr)[-1]["event"]) == (1, "admin.failed")
    assert "example.com" not in done.stderr + failed.stderr


def test_sigterm_fails_readiness_at_once_and_goes_on_serving_while_it_drains(tmp_path: Path) -> None:
    with (
        serving(tmp_path, "--drain-seconds", "60") as service,
        client(service.url) as http,
        client(service.admin) as admin,
    ):
        assert http.get(f"{API}/health").headers.get("connection") is None
        service.process.send_signal(signal.SIGTERM)
        eventually(lambda: service.said("serve.draining"))
        assert admin.get("/readyz").status_code == 503
        assert admin.get("/livez").status_code == 200
        draining = http.get(f"{API}/posts")
        assert (draining.status_code, draining.headers["connection"]) == (200, "close")
        service.process.send_signal(signal.SIGTERM)  # the second one cuts the drain short
        assert service.wait(50) == 0


def test_request_in_flight_at_sigterm_is_answered(tmp_path: Path) -> None:
    with serving(tmp_path, "--drain-seconds", "0.2") as service:
        head_sent, drained = threading.Event(), threading.Event()

        def body() -> Iterator[bytes]:
            yield b'{"email":"a@example.com",'
            head_sent.set()
            drained.wait(60)
            yield b'"password":"x"}'

        answers: list[int] = []

        def log_in() -> None:
            headers = {"Content-Type": "application/json"}
            with client(service.url) as http:
                answers.append(http.post(f"{API}/auth/tokens", content=body(), headers=headers).status_code)

        sending = threading.Thread(target=log_in)
        sending.start()
        head_sent.wait(60)
        service.process.terminate()
        eventually(lambda: service.said("serve.draining"))
        drained.set()
        sending.join(60)
        assert answers == [401]
        assert service.wait(60) == 0


@pytest.mark.parametrize(
    ("command", "variable", "value"),
    [
        ("serve", "BAPSANG_DATABSE_URL", "sqlite:///x"),
        ("migrate", "BAPSANG_DATABASE_URL", "postgresql://user:secret@host/db"),
        ("like-sync", "BAPSANG_LOG_LEVEL", "loud"),
    ],
)
def test_bad_setting_exits_2_with_one_line_naming_it(tmp_path: Path, command: str, variable: str, value: str) -> None:
    ended = run_here(command, cwd=tmp_path, **{variable: value})
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert variable in ended.stderr
    assert "secret" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_mysql_without_a_signing_key_refuses_to_start(tmp_path: Path) -> None:
    ended = run_here(
        "serve",
        *("--port", "0"),
        cwd=tmp_path,
        BAPSANG_DATABASE_URL="mysql+pymysql://u:secret@127.0.0.1:1/x",
        BAPSANG_REDIS_URL="redis://127.0.0.1:1/0",
        BAPSANG_ADMIN_PORT="0",
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("bapsang-api: BAPSANG_SIGNING_KEY_FILE is not set:")
    assert ended.stderr.count("\n") == 1


def test_port_in_use_exits_1_and_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_here("serve", "--port", str(port), cwd=tmp_path, BAPSANG_ADMIN_PORT="0")
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in log_lines(ended.stderr)[0]["error"]


def test_migrate_reports_progress_and_its_exit_code_tells_the_outcome(tmp_path: Path, empty_mysql: str) -> None:
    done = run("migrate", cwd=tmp_path, BAPSANG_DATABASE_URL=empty_mysql, BAPSANG_REDIS_URL="redis://127.0.0.1:1/0")
    assert done.returncode == 0
    events = [line["event"] for line in log_lines(done.stderr)]
    assert (events[0], events[-1], set(events[1:-1])) == ("migrate.started", "migrate.done", {"migrate.applied"})
    failed = run(
        "migrate",
        *("--wait", "1"),
        cwd=tmp_path,
        BAPSANG_DATABASE_URL="mysql+pymysql://u:secret@127.0.0.1:1/x",
        BAPSANG_REDIS_URL="redis://127.0.0.1:1/0",
    )
    assert failed.returncode == 1
    assert "secret" not in failed.stderr


def test_like_sync_needs_a_redis_that_others_share(tmp_path: Path) -> None:
    ended = run_here("like-sync", cwd=tmp_path)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "BAPSANG_REDIS_URL" in ended.stderr


def test_like_sync_exits_1_when_redis_is_down(tmp_path: Path, servers: Backend) -> None:
    ended = run_here("like-sync", cwd=tmp_path, **{**servers.environment, "BAPSANG_REDIS_URL": "redis://127.0.0.1:1/0"})
    assert ended.returncode == 1
    assert log_lines(ended.stderr)[-1]["event"] == "like_sync.failed"


def test_a_process_that_starts_after_redis_lost_its_data_knows_which_sessions_are_revoked(
    tmp_path: Path, servers: Backend
) -> None:
    me = f"{API}/users/me"
    body = {"email": "a@example.com", "password": PASSWORD, "nickname": "앨리스"}
    with serving(tmp_path, **servers.environment) as service, client(service.url) as http:
        http.post(f"{API}/auth/users", json=body)
        tokens = [http.post(f"{API}/auth/tokens", json=body).headers["Authorization"] for _ in range(2)]
        assert http.post(f"{API}/auth/logout", headers={"Authorization": tokens[0]}).status_code == 204
    with redis.Redis.from_url(servers.environment["BAPSANG_REDIS_URL"]) as lost:
        lost.flushdb()
    with serving(tmp_path, **servers.environment) as service, client(service.url) as http:
        answers = [http.get(me, headers={"Authorization": token}) for token in tokens]
    assert [answer.status_code for answer in answers] == [401, 200]
    assert answers[0].json()["code"] == "T003"


def test_a_process_counts_the_address_that_the_outermost_own_proxy_saw(tmp_path: Path) -> None:
    with (
        serving(tmp_path, BAPSANG_TRUSTED_HOPS="2", BAPSANG_RATE_LIMITS="ip=1/600") as service,
        client(f"{service.url}{API}") as http,
    ):
        forwarded = ("203.0.113.1, 203.0.113.7", "203.0.113.2, 203.0.113.7", "203.0.113.1, 203.0.113.8")
        answers = [http.get("/posts", headers={"X-Forwarded-For": line}) for line in forwarded]
    assert [answer.status_code for answer in answers] == [200, 200, 429]


async def test_a_write_back_that_finds_its_lock_taken_for_longer_than_runs_last_fails(
    tmp_path: Path, servers: Backend
) -> None:
    ended = tmp_path / "ended"
    ended.touch()
    database = Database(servers.environment["BAPSANG_DATABASE_URL"], Limits(connections=2))
    likes = redis.Redis.from_url(servers.environment["BAPSANG_REDIS_URL"], decode_responses=True)

    async def sync() -> tuple[int, str, str]:
        environment = {**servers.environment, "BAPSANG_TERMINATION_LOG": str(ended)}
        done = await asyncio.to_thread(run_here, "like-sync", cwd=tmp_path, **environment)
        return done.returncode, log_lines(done.stderr)[-1]["event"], ended.read_text()

    async with database.exclusive(LOCK) as lane:
        assert lane is not None
        assert await sync() == await sync() == (0, "like_sync.skipped", "")
        likes.decrby(SKIPPED, int(STUCK_SECONDS * 1000))
        assert await sync() == (1, "like_sync.stuck", "WRITE_BACK_STUCK")
    assert (await sync())[:2] == (0, "like_sync.done")
    assert likes.exists(SKIPPED) == 0
    likes.close()
    await database.close()


def test_like_sync_killed_between_commit_and_acknowledgement_is_replayed_without_effect(
    tmp_path: Path, servers: Backend
) -> None:
    likes = redis.Redis.from_url(servers.environment["BAPSANG_REDIS_URL"], decode_responses=True)
    engine = create_engine(servers.environment["BAPSANG_DATABASE_URL"], isolation_level="AUTOCOMMIT")

    def only_this_client() -> bool:
        clients = likes.client_list()
        assert len(clients) == 1, clients
        return True

    def count() -> Any:
        with engine.connect() as connection:
            return connection.execute(text("SELECT like_count FROM posts WHERE id = :p"), {"p": post_id}).scalar()

    with serving(tmp_path, **servers.environment) as service, client(f"{service.url}{API}") as http:
        for number in range(3):
            body = {"email": f"a{number}@example.com", "password": PASSWORD, "nickname": f"사람{number}"}
            http.post("/auth/users", json=body)
            http.headers["Authorization"] = http.post("/auth/tokens", json=body).headers["Authorization"]
            if number == 0:
                post_id = http.post("/posts", json={"title": "밥", "content": "국"}).json()["postId"]
            assert http.post(f"/posts/{post_id}/likes").status_code == 204
    assert likes.scard(f"like:users:{post_id}") == 3

    with engine.connect() as holder:  # holds the post's row, so that the job waits inside its transaction
        holder.execute(text("BEGIN"))
        holder.execute(text("SELECT id FROM posts WHERE id = :p FOR UPDATE"), {"p": post_id})
        job = subprocess.Popen(
            [*PROGRAM, "like-sync"], env={**BARE, **servers.environment}, cwd=tmp_path, stderr=subprocess.DEVNULL
        )
        waiting = text(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%FOR UPDATE' AND id <> CONNECTION_ID()"
        )
        # Not only claimed: before its transaction it asks Redis once more, which the pause would hold up.
        eventually(lambda: holder.execute(waiting).scalar() == 1)
        assert likes.exists(f"like:claim:{post_id}")
        likes.client_pause(120_000, all=False)  # writes only: the acknowledgement will not get through
        try:
            holder.execute(text("COMMIT"))
            eventually(lambda: count() == 3)
            job.kill()
            job.wait(10)
            # Redis must have noticed the death: an acknowledgement that it has read and holds back would be carried out.
            eventually(only_this_client, errors=(AssertionError,))
        finally:
            likes.client_unpause()  # or it would fail other tests, too
    assert likes.hlen(f"like:claim:{post_id}") == 3 + 1  # and the id of the claim

    def lock_is_free() -> bool:  # MySQL notices the death of the connection that held it
        ended = run_here("like-sync", cwd=tmp_path, **servers.environment)
        return log_lines(ended.stderr)[-1]["event"] == "like_sync.done"

    eventually(lock_is_free)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT COUNT(*) FROM user_post_likes")).scalar()
        told = connection.execute(text("SELECT number, kind FROM notifications")).all()
    assert (rows, count()) == (3, 3)
    assert [tuple(one) for one in told] == [(1, "LIKE")]  # of the first run, and not again
    assert likes.zcard("like:dirty") == 0
    likes.close()
    engine.dispose()
