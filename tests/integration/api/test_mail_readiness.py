"""A mail worker says by its readiness that letters wait, and is not killed for it."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import create_engine, insert, update

from bapsang_api.mail.letters import Letter
from bapsang_api.tables import METADATA

from .process import BARE, PROGRAM, client
from .world import Backend

#: Nothing listens on the port of discard.
NOBODY = {"BAPSANG_SMTP_URL": "smtp://127.0.0.1:9?tls=none", "BAPSANG_MAIL_FROM": "no-reply@example.com"}


@contextlib.contextmanager
def mailing(cwd: Path, backend: Backend) -> Iterator[str]:
    """Run `bapsang-api mail`, and yield the origin of its probes once it works."""
    process = subprocess.Popen(
        [*PROGRAM, "mail"], env={**BARE, **backend.environment, **NOBODY}, cwd=cwd, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        listening, ready = (json.loads(process.stderr.readline()) for _ in range(2))
        assert ready["event"] == "mail.ready"
        yield f"http://127.0.0.1:{listening['admin_port']}"
    finally:
        process.kill()
        process.wait(10)
        assert process.stderr is not None
        process.stderr.close()


def test_worker_is_not_ready_while_a_letter_waits_and_lives_on(tmp_path: Path, servers: Backend) -> None:
    outbox, now = METADATA.tables["mail_outbox"], datetime.now(UTC)
    engine = create_engine(servers.environment["BAPSANG_DATABASE_URL"])
    letter = {"id": f"{1:026d}", "letter": Letter.RESET, "address": "a@example.com", "address_hash": "0" * 64}

    def due(since: datetime) -> None:
        with engine.begin() as connection:
            connection.execute(update(outbox).values(due_at=since))

    with engine.begin() as connection:
        connection.execute(insert(outbox).values(**letter, sealed=b"", created_at=now, due_at=now))
    try:
        with mailing(tmp_path, servers) as admin, client(admin) as http:
            assert http.get("/readyz").status_code == 200
            due(now - timedelta(minutes=16))
            late = http.get("/readyz")
            assert (late.status_code, late.text) == (503, "letters wait")
            assert http.get("/livez").status_code == 200
            due(now - timedelta(minutes=14))
            assert http.get("/readyz").status_code == 200
    finally:
        engine.dispose()
