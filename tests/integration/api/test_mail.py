"""Mail that arrives: from the outbox over SMTP into a real mailbox, sealed until then, retried, given up, marked by bounces."""

import asyncio
import contextlib
import json
import re
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from email.message import EmailMessage
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.certificates import Authority
from tests.mail_server import MailServer, serving_mail

from bapsang_api.keys import signing_keys
from bapsang_api.mail import bounces, store
from bapsang_api.mail.letters import GIVEN_UP_AFTER, Letter
from bapsang_api.mail.outbox import MARK_KEPT
from bapsang_api.mail.seal import Seal
from bapsang_api.mail.smtp import ServerDownError
from bapsang_api.mail.worker import LEASE, Worker
from bapsang_api.privacy.retention import MAIL_KEPT, purge
from bapsang_api.settings import Settings

from .process import BARE, PROGRAM, client, log_lines, run_here
from .world import Backend, World, eventually, open_world

SENDER = "no-reply@bapsang.example.com"
LINK = "http://localhost:8000/reset-password#token=Wonderland"


def mailing(backend: Backend, url: str, **more: str) -> Backend:
    given = {**backend.environment, "BAPSANG_SMTP_URL": url, "BAPSANG_MAIL_FROM": SENDER, **more}
    return Backend(backend.name, given)


@pytest.fixture
def backend(servers: Backend, mail_server: MailServer) -> Backend:
    return mailing(servers, mail_server.smtp_url)


@pytest.fixture
async def world(backend: Backend) -> AsyncIterator[World]:
    async with open_world(backend) as opened:
        yield opened


async def write(world: World, address: str, letter: Letter = Letter.RESET, user_id: str | None = None) -> str | None:
    """Write a letter into the outbox, and return its id."""
    values = {"nickname": "민지", "link": LINK}
    return await world.runtime.database.write(
        lambda connection: world.runtime.outbox.add(connection, letter, address=address, user_id=user_id, values=values)
    )


class Hire:
    """Makes workers, whose settings may differ from the service's."""

    def __init__(self, world: World, backend: Backend) -> None:
        self._world, self._backend = world, backend
        self.workers: list[Worker] = []

    def __call__(self, **more: str) -> Worker:
        settings = Settings.from_environment({**self._backend.environment, **more})
        assert settings.mail is not None
        seal, database = Seal(signing_keys(settings)), self._world.runtime.database
        self.workers.append(Worker(database, settings.mail, seal, settings.stationery, self._world.clock))
        return self.workers[-1]


@pytest.fixture
async def hire(world: World, backend: Backend) -> AsyncIterator[Hire]:
    hiring = Hire(world, backend)
    yield hiring
    for one in hiring.workers:
        await one.close()


async def row(world: World, mail_id: str | None) -> dict[str, Any]:
    (values,) = await world.rows(
        "SELECT address, sealed, due_at, sent_at, attempts FROM mail_outbox WHERE id = :i", i=mail_id
    )
    return dict(zip(("address", "sealed", "due_at", "sent_at", "attempts"), values, strict=True))


async def marked(world: World) -> list[str]:
    return [reason for (reason,) in await world.rows("SELECT reason FROM mail_undeliverable")]


async def test_letter_arrives_in_both_forms(world: World, hire: Hire, mail_server: MailServer) -> None:
    mail_id = await write(world, "minji@arrives.example")
    assert await hire().work_once()
    letter = mail_server.only_letter("minji@arrives.example")
    assert (letter.sender, letter.subject) == (SENDER, "비밀번호를 다시 정해 주세요")
    assert letter.message_id == f"{mail_id}@bapsang.example.com"
    for form in (letter.text, letter.html):
        assert "민지님, 안녕하세요." in form
        assert LINK in form
        assert "30분 동안" in form
    raw = mail_server.raw(letter)
    assert b"multipart/alternative" in raw
    assert b"Auto-Submitted: auto-generated" in raw


async def test_text_and_address_are_sealed_or_gone(world: World, hire: Hire) -> None:
    mail_id = await write(world, "minji@sealed.example")
    assert b"Wonderland" not in (await row(world, mail_id))["sealed"]
    assert await hire().work_once()
    sent = await row(world, mail_id)
    assert (sent["address"], sent["sealed"], sent["due_at"], sent["attempts"]) == (None, None, None, 1)
    assert sent["sent_at"]
    assert "sealed.example" not in repr(await world.rows("SELECT * FROM mail_outbox"))
    assert not await hire().work_once()


async def test_letter_is_sent_with_the_write_that_it_is_about_or_not_at_all(world: World, hire: Hire) -> None:
    def fail(connection: Any) -> None:
        world.runtime.outbox.add(
            connection,
            Letter.PASSWORD_CHANGED,
            address="a@b.example",
            user_id=None,
            values={"nickname": "민지"},
        )
        raise LookupError

    with pytest.raises(LookupError):
        await world.runtime.database.write(fail)
    assert not await hire().work_once()


async def test_workers_share_the_letters(world: World, hire: Hire, mail_server: MailServer) -> None:
    people = [f"person{number}@shared.example" for number in range(24)]
    for address in people:
        await write(world, address)
    workers = [hire() for _ in range(4)]
    stop = asyncio.Event()
    tasks = [asyncio.create_task(one.run(stop)) for one in workers]

    async def done() -> bool:
        return sum(one.tally.letters["sent"] for one in workers) == len(people)

    await eventually(done)
    stop.set()
    await asyncio.gather(*tasks)
    arrived = [address for letter in mail_server.letters() for address in letter.to if "@shared." in address]
    assert sorted(arrived) == sorted(people)
    assert len([one for one in workers if one.tally.letters["sent"]]) > 1


async def test_server_that_is_down_costs_no_attempt(world: World, hire: Hire, mail_server: MailServer) -> None:
    mail_id = await write(world, "minji@down.example")
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and does not listen
        one = hire(BAPSANG_SMTP_URL=f"smtp://127.0.0.1:{held.getsockname()[1]}?tls=none")
        with pytest.raises(ServerDownError):
            await one.work_once()
    assert not one.tally.server_up
    waits = await row(world, mail_id)
    assert (waits["attempts"], waits["sent_at"]) == (0, None)
    assert await hire().work_once()
    mail_server.only_letter("minji@down.example")


async def test_refusal_for_now_is_tried_again_later(world: World, hire: Hire, mail_server: MailServer) -> None:
    world.clock.stop()
    mail_id, one = await write(world, "minji@later.example"), hire()
    for attempt in range(1, 4):
        with mail_server.failing("Recipient", 451):
            assert await one.work_once()
        waits = await row(world, mail_id)
        assert (waits["attempts"], waits["sent_at"]) == (attempt, None)
        assert not await one.work_once()
        world.clock.passed += timedelta(seconds=10 * 2 ** (attempt - 1) * 0.7)
        assert not await one.work_once(), "too soon"
        world.clock.passed += timedelta(seconds=10 * 2 ** (attempt - 1) * 0.6)
    assert await one.work_once()
    assert mail_server.only_letter("minji@later.example").message_id.startswith(str(mail_id))
    assert one.tally.letters == {"sent": 1, "retried": 3, "given_up": 0, "lost": 0}


async def test_letter_is_given_up_after_two_days(world: World, hire: Hire, mail_server: MailServer) -> None:
    mail_id, one = await write(world, "minji@late.example"), hire()
    world.clock.passed += GIVEN_UP_AFTER
    assert await one.work_once()
    given_up = await row(world, mail_id)
    assert (given_up["due_at"], given_up["sent_at"], given_up["sealed"], given_up["address"]) == (None,) * 4
    assert mail_server.letters("minji@late.example") == []
    assert await marked(world) == []


async def test_letters_that_no_worker_sends_do_not_stay(world: World) -> None:
    mail_id = await write(world, "minji@stays.example")
    world.clock.passed += GIVEN_UP_AFTER
    assert (await purge(world.runtime.database, world.clock))["given_up_mail"] == 0
    world.clock.passed += timedelta(days=1, minutes=1)
    assert (await purge(world.runtime.database, world.clock))["given_up_mail"] == 1
    given_up = await row(world, mail_id)
    assert (given_up["due_at"], given_up["sealed"], given_up["address"]) == (None, None, None)


async def test_recipient_that_is_refused_for_good_is_marked(world: World, hire: Hire, mail_server: MailServer) -> None:
    mail_id, one = await write(world, "Nobody@refused.example"), hire()
    with mail_server.failing("Recipient", 550):
        assert await one.work_once()
    given_up = await row(world, mail_id)
    assert (given_up["due_at"], given_up["sent_at"], given_up["attempts"]) == (None, None, 1)
    assert await marked(world) == ["REFUSED"]
    assert await write(world, "nobody@refused.example") is None, "the same address in other letters"
    assert await write(world, "somebody@refused.example") is not None, (
        "an address is marked, not a domain or an account"
    )
    world.clock.passed += MARK_KEPT
    assert await write(world, "nobody@refused.example") is not None
    world.clock.passed -= MARK_KEPT
    await world.runtime.database.write(
        lambda connection: world.runtime.outbox.confirmed(connection, "NOBODY@refused.example")
    )
    assert await write(world, "nobody@refused.example") is not None


async def test_sender_that_is_refused_marks_nobody(world: World, hire: Hire, mail_server: MailServer) -> None:
    """The server does not know us yet: the operator puts it right, and the letters go."""
    await write(world, "minji@sandbox.example")
    one = hire()
    with mail_server.failing("Sender", 553):
        assert await one.work_once()
    assert one.tally.letters["retried"] == 1
    assert await marked(world) == []
    world.clock.passed += timedelta(minutes=1)
    assert await one.work_once()
    mail_server.only_letter("minji@sandbox.example")


async def test_lease_of_a_worker_that_is_gone_ends(world: World, hire: Hire, mail_server: MailServer) -> None:
    mail_id, now = await write(world, "minji@lease.example"), world.clock.now()
    await world.runtime.database.write(lambda connection: store.claim(connection, now, now + LEASE))
    assert not await hire().work_once()
    world.clock.passed += LEASE
    assert await hire().work_once()
    assert mail_server.only_letter("minji@lease.example").message_id.startswith(str(mail_id))


async def test_who_lost_its_lease_to_another_writes_nothing(world: World) -> None:
    mail_id, now = await write(world, "minji@lost.example"), world.clock.now()
    database = world.runtime.database
    first = await database.write(lambda connection: store.claim(connection, now, now))
    second = await database.write(lambda connection: store.claim(connection, now, now + LEASE))
    assert first is not None
    assert second is not None
    assert not await database.write(lambda connection: store.postpone(connection, first, now))
    assert not await database.write(lambda connection: store.finish(connection, first, None))
    assert await database.write(lambda connection: store.finish(connection, second, now))
    assert (await row(world, mail_id))["sent_at"]


def _new_keys(old: Path, folder: Path) -> tuple[Path, Path]:
    """Return two files with a new key: one keeps the old one, too."""
    new = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    rotated, replaced = folder / "rotated.pem", folder / "replaced.pem"
    rotated.write_bytes(new + old.read_bytes())
    replaced.write_bytes(new)
    return rotated, replaced


async def test_letters_outlive_a_rotation_of_keys_and_a_lost_key_is_told(
    world: World,
    hire: Hire,
    signing_key_file: Path,
    mail_server: MailServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await write(world, "minji@rotated.example")
    rotated, replaced = await asyncio.to_thread(_new_keys, signing_key_file, tmp_path)
    assert await hire(BAPSANG_SIGNING_KEY_FILE=str(rotated)).work_once()
    mail_server.only_letter("minji@rotated.example")
    mail_id = await write(world, "minji@replaced.example")
    with caplog.at_level("WARNING"):
        assert await hire(BAPSANG_SIGNING_KEY_FILE=str(replaced)).work_once()
    assert (await row(world, mail_id))["due_at"] is None
    (told,) = [record for record in caplog.records if record.getMessage() == "mail.given_up"]
    assert (vars(told)["reason"], vars(told)["mail_id"]) == ("seal", mail_id)
    assert "replaced.example" not in caplog.text


async def test_letter_of_a_newer_version_waits_for_its_worker(world: World, hire: Hire) -> None:
    mail_id = await write(world, "minji@newer.example")
    await world.change("UPDATE mail_outbox SET letter = 'of-next-year' WHERE id = :i", i=mail_id)
    one = hire()
    assert await one.work_once()
    assert one.tally.letters["retried"] == 1
    assert (await row(world, mail_id))["due_at"]


@contextlib.contextmanager
def serving_tls(folder: Path, *options: str) -> Iterator[tuple[MailServer, str, list[str]]]:
    """Run a mail server with a certificate for 127.0.0.1; yield it, what it is verified by, and its options."""
    authority, pem, passwords = Authority(), folder / "server.pem", folder / "passwords"
    pem.write_text(authority.certificate("127.0.0.1"))
    passwords.write_text("bapsang:p@ss/word\n")
    given = ["--smtp-tls-cert", str(pem), "--smtp-tls-key", str(pem), "--smtp-auth-file", str(passwords), *options]
    with serving_mail(*given) as server:
        yield server, authority.save(folder), given


@pytest.mark.parametrize(("scheme", "option"), [("smtp", "--smtp-require-starttls"), ("smtps", "--smtp-require-tls")])
async def test_server_is_verified_before_it_is_told_anything(
    world: World, hire: Hire, tmp_path: Path, scheme: str, option: str
) -> None:
    await write(world, "minji@tls.example")
    with serving_tls(tmp_path, option) as (server, ca, _):
        url = f"{scheme}://bapsang:p%40ss%2Fword@127.0.0.1:{server.smtp_port}"
        for wrong in (
            {"BAPSANG_SMTP_URL": url},  # by the authorities of the machine
            {"BAPSANG_SMTP_URL": url, "BAPSANG_SMTP_TLS_CA": Authority().save(tmp_path)},
            {"BAPSANG_SMTP_URL": url.replace("127.0.0.1", "localhost"), "BAPSANG_SMTP_TLS_CA": ca},
        ):
            with pytest.raises(ServerDownError, match="BAPSANG_SMTP_TLS_CA asks for a verified server, but") as down:
                await hire(**wrong).work_once()
            assert "p@ss" not in str(down.value)
        assert server.letters() == []
        assert await hire(BAPSANG_SMTP_URL=url, BAPSANG_SMTP_TLS_CA=ca).work_once()
        assert [letter.to for letter in server.letters()] == [("minji@tls.example",)]
        bad = url.replace("ss%2Fword", "other")
        await write(world, "minji@tls.example")
        with pytest.raises(ServerDownError, match=r"^SMTPAuthenticationError 535$"):
            await hire(BAPSANG_SMTP_URL=bad, BAPSANG_SMTP_TLS_CA=ca).work_once()


async def test_no_password_is_sent_without_tls(world: World, hire: Hire, mail_server: MailServer) -> None:
    """Who stands in between takes STARTTLS out of the server's answer."""
    await write(world, "minji@stripped.example")
    url = f"smtp://bapsang:secret@127.0.0.1:{mail_server.smtp_port}"
    with pytest.raises(ServerDownError, match="it offers no TLS"):
        await hire(BAPSANG_SMTP_URL=url).work_once()


async def test_connection_is_kept_for_the_next_letter_and_opened_again_when_it_is_lost(
    world: World, hire: Hire, mail_server: MailServer
) -> None:
    one = hire()
    for number in range(3):
        await write(world, f"minji{number}@kept.example")
        assert await one.work_once()
        connection: Any = one._connection._smtp
        if number == 1:
            connection.sock.shutdown(socket.SHUT_RDWR)
    assert one.tally.letters["sent"] == 3
    assert len(mail_server.letters("@kept.example")) == 3


async def test_erased_and_exported_and_purged(world: World, hire: Hire) -> None:
    alice, bob = await world.person(), await world.person()
    await world.change("DELETE FROM mail_outbox")  # what they got at sign-up
    for person in (alice, bob):
        await write(world, person.email, user_id=person.user_id)
    await world.runtime.database.write(lambda connection: store.forget(connection, alice.user_id))
    assert await world.rows("SELECT user_id FROM mail_outbox") == [(bob.user_id,)]
    one = hire()
    assert await one.work_once()
    world.clock.passed += MAIL_KEPT - timedelta(minutes=1)
    assert (await purge(world.runtime.database, world.clock))["purged_mail"] == 0
    world.clock.passed += timedelta(minutes=2)
    assert (await purge(world.runtime.database, world.clock))["purged_mail"] == 1


def bounce(mail_id: str | None, *, action: str = "failed", status: str = "5.1.1") -> bytes:
    """Return the report of a mail server that took a letter and could not deliver it."""
    report = MIMEMultipart("report", report_type="delivery-status")
    report.attach(MIMEText("Delivery to the following recipient failed permanently:\n\n  somebody@else.example\n"))
    about, of = EmailMessage(), EmailMessage()
    about["Reporting-MTA"] = "dns; mx.example.com"
    of["Final-Recipient"], of["Action"], of["Status"] = "rfc822; somebody@else.example", action, status
    statuses = MIMEMessage(about, "delivery-status")
    statuses.set_payload([about, of])
    report.attach(statuses)
    returned = EmailMessage()
    returned["Message-ID"] = f"<{mail_id}@bapsang.example.com>"
    returned["To"] = "minji@bounced.example"
    returned.set_content("…")
    report.attach(MIMEMessage(returned))
    return report.as_bytes()


async def read_bounces(world: World, backend: Backend, folder: Path, content: bytes) -> dict[str, Any]:
    """Give reports to the command and return what it says."""
    file = folder / "reports"
    file.write_bytes(content)
    done = await asyncio.to_thread(run_here, "bounces", str(file), cwd=folder, **backend.environment)
    assert done.returncode == 0, done.stderr
    assert "@" not in done.stderr
    return next(line for line in log_lines(done.stderr) if line["event"] == "mail.bounces_read")


async def test_bounces_mark_the_address_of_their_letter(world: World, backend: Backend, tmp_path: Path) -> None:
    mail_id, late, full = [await write(world, f"minji{number}@bounced.example") for number in range(3)]
    mbox = b"".join(
        b"From MAILER-DAEMON Mon Nov 30 17:00:00 2026\n" + one + b"\n\n"
        for one in (
            bounce(mail_id),
            bounce(late, action="delayed", status="4.4.1"),
            bounce(full, status="4.2.2"),
            bounce("01JD0000000000000000000000"),
            b"Subject: holiday\n\nI am not here. Message-ID: <" + str(full).encode() + b"@x>\n",
        )
    )
    said = await read_bounces(world, backend, tmp_path, mbox)
    assert (said["reports"], said["marked"], said["unknown"]) == (2, 1, 1)
    assert await write(world, "minji0@bounced.example") is None
    assert await write(world, "somebody@else.example") is not None, "anybody may name somebody else in a report"
    for other in ("minji1@bounced.example", "minji2@bounced.example"):
        assert await write(world, other) is not None
    before = await world.rows("SELECT * FROM mail_undeliverable")
    world.clock.passed += timedelta(days=3)
    await read_bounces(world, backend, tmp_path, mbox)
    assert await world.rows("SELECT * FROM mail_undeliverable") == before, (
        "a report that is read again marks for longer"
    )


async def test_notices_of_ses_mark_addresses(world: World, backend: Backend, tmp_path: Path) -> None:
    mail_ids = [await write(world, f"minji{number}@ses.example") for number in range(3)]
    people = [{"emailAddress": "minji3@ses.example"}]
    timestamp = world.clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def mail(number: int) -> dict[str, Any]:
        headers = [{"name": "Message-ID", "value": f"<{mail_ids[number]}@bapsang.example.com>"}]
        return {"timestamp": timestamp, "messageId": "0100", "headers": headers}

    bare = {"timestamp": timestamp, "messageId": "0100"}
    permanent, passing = {"bounceType": "Permanent"}, {"bounceType": "Transient"}
    events = [
        {"notificationType": "Bounce", "bounce": {**permanent, "bouncedRecipients": people}, "mail": mail(0)},
        {"eventType": "Complaint", "complaint": {"complainedRecipients": people}, "mail": mail(1)},
        {"notificationType": "Bounce", "bounce": {**passing, "bouncedRecipients": people}, "mail": mail(2)},
        {"notificationType": "Bounce", "bounce": {**permanent, "bouncedRecipients": people}, "mail": bare},
        {"notificationType": "Delivery", "mail": mail(2)},
    ]
    in_sns = {"Type": "Notification", "Message": json_of(events[0])}
    from_sqs = {"Messages": [{"Body": json_of({"Message": json_of(event)})} for event in events[1:]]}
    said = await read_bounces(world, backend, tmp_path, f"{json_of(in_sns)}\n{json_of(from_sqs)}\n".encode())
    assert (said["reports"], said["marked"]) == (3, 3)
    assert sorted(await marked(world)) == ["BOUNCED", "BOUNCED", "COMPLAINED"]
    written = [await write(world, f"minji{number}@ses.example") for number in range(4)]
    assert [one is None for one in written] == [True, True, False, True]


def json_of(value: Any) -> str:
    return json.dumps(value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b'{"notificationType": "Bounce"}',
        b'{"notificationType": "Bounce", "bounce": {"bounceType": "Permanent", "bouncedRecipients": 5}, "mail": 5}',
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=a\n\n--a\n",
        b"Content-Type: multipart/report; boundary=a\n\n--a\nContent-Type: message/delivery-status\n\n\xff\xfe: x\n",
        b"".join(b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (n, n) for n in range(300)),
    ],
    ids=range(8),
)
def test_what_is_no_report_is_passed_over(content: bytes) -> None:
    assert list(bounces.reports_in(content.splitlines(keepends=True))) == []


async def test_process_sends_until_it_is_told_to_end(
    world: World, backend: Backend, mail_server: MailServer, tmp_path: Path
) -> None:
    await write(world, "minji@process.example")
    log, metrics = await asyncio.to_thread(_run_process, backend, mail_server, tmp_path)
    assert 'bapsang_mail_letters_total{outcome="sent"} 1.0' in metrics
    assert "bapsang_mail_queue 0.0" in metrics
    assert "bapsang_mail_server_up 1.0" in metrics
    assert [line["event"] for line in log] == ["mail.listening", "mail.ready", "mail.sent", "mail.ended"]
    assert "process.example" not in repr(log)


def _run_process(backend: Backend, mail_server: MailServer, folder: Path) -> tuple[list[dict[str, Any]], str]:
    """Run `bapsang-api mail` for one letter; return its log and its metrics."""
    environment = {**BARE, **backend.environment}
    with subprocess.Popen(
        [*PROGRAM, "mail"], env=environment, cwd=folder, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            mail_server.only_letter("minji@process.example", 60)
            assert process.stderr is not None
            log = [json.loads(process.stderr.readline()) for _ in range(3)]
            with client(f"http://127.0.0.1:{log[0]['admin_port']}") as http:
                assert http.get("/readyz").status_code == 200
                metrics = http.get("/metrics").text
            process.terminate()
            assert process.wait(30) == 0
            return [*log, *log_lines(process.stderr.read())], metrics
        finally:
            process.kill()


async def test_api_tells_since_when_letters_are_due(world: World) -> None:
    async def late() -> float:
        found = re.search(
            r"^bapsang_mail_oldest_due_seconds (.+)$", (await world.admin.get("/metrics")).text, re.MULTILINE
        )
        assert found
        return float(found[1])

    assert await late() == 0
    await write(world, "minji@due.example")
    world.clock.passed += timedelta(minutes=5)
    assert 300 <= await late() < 400


async def test_local_service_sends_by_itself(files: Backend, mail_server: MailServer) -> None:
    """On SQLite nobody else can."""
    async with open_world(mailing(files, mail_server.smtp_url)) as world:
        mail_id = await write(world, "minji@local.example")
        await asyncio.to_thread(mail_server.only_letter, "minji@local.example")

        async def noted() -> bool:
            return (await row(world, mail_id))["sent_at"] is not None

        await eventually(noted)


async def test_without_mail_no_letter_is_written(servers: Backend, tmp_path: Path) -> None:
    async with open_world(servers) as world:
        assert not world.runtime.outbox.on
        assert await write(world, "minji@off.example") is None
        assert await world.rows("SELECT * FROM mail_outbox") == []
    done = await asyncio.to_thread(run_here, "mail", cwd=tmp_path, **servers.environment)
    assert (done.returncode, done.stderr.startswith("bapsang-api: BAPSANG_SMTP_URL is not set: give ")) == (2, True)
