"""The worker of `c-mail`: takes letters that are due from the outbox, one at a time, and hands them to the mail server.

Each letter is sent at least once. It is sent twice only where a worker ends between the server's answer and the commit that says
so, and then with the same Message-ID. While database or mail server are down, letters wait.
"""

import asyncio
import contextlib
import json
import logging
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage
from functools import partial
from typing import Final, TypeVar

from sqlalchemy import Connection as Transaction

from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.logs import describe
from bapsang_api.kit.problem import Unavailable
from bapsang_api.mail import store
from bapsang_api.mail.letters import GIVEN_UP_AFTER, Letter
from bapsang_api.mail.outbox import Outbox
from bapsang_api.mail.rendering import BadAddressError, Stationery, message_of, recipient
from bapsang_api.mail.seal import BrokenSealError, Seal
from bapsang_api.mail.server import MailServer
from bapsang_api.mail.smtp import ANSWER_SECONDS, COMMAND_SECONDS, Connection, RefusedError, ServerDownError
from bapsang_api.mail.store import Job, Mark

T = TypeVar("T")
log = logging.getLogger(__name__)

#: What the server may take for three commands and its answer to the content, and some time to note it.
LEASE: Final = timedelta(seconds=3 * COMMAND_SECONDS + ANSWER_SECONDS + 30)
IDLE_SECONDS: Final = 0.5
FIRST_PAUSE: Final = 10.0  # seconds until a letter is tried again, doubled with each attempt
LONGEST_PAUSE: Final = 3600.0
_DOWN_SECONDS: Final = (1.0, 30.0)  # the first pause and the longest while the mail server is down
# Who has sent a letter and waits for the database to note it goes first once that is back.
_DATABASE_SECONDS: Final = 2.0
_NOTE_SECONDS: Final = 0.1
_SCRAPE_SECONDS: Final = 1.0


@dataclass
class Tally:
    """What a worker has done since it started."""

    letters: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("sent", "retried", "given_up", "lost"), 0))
    server_up: bool = True


class Worker:
    """Sends letters. Any number of them may run at a time."""

    def __init__(
        self, database: Database, server: MailServer, seal: Seal, stationery: Stationery, clock: Clock
    ) -> None:
        self._database, self._connection, self._clock = database, Connection(server), clock
        self._seal, self._stationery = seal, stationery
        self.tally = Tally()

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Send until `stop`; the letter under way is ended first, by a cancellation too."""
        stop, failures = stop or asyncio.Event(), 0
        try:
            while not stop.is_set():
                pause = 0.0
                try:
                    if not await self.work_once():
                        await self.close()
                        pause = IDLE_SECONDS
                    failures = 0
                except Unavailable as error:
                    log.warning("mail.delayed", extra={"error": describe(error.__cause__ or error)})
                    pause = _DATABASE_SECONDS
                except ServerDownError as error:
                    log.warning("mail.delayed", extra={"error": describe(error)})
                    pause = min(_DOWN_SECONDS[0] * 2**failures, _DOWN_SECONDS[1]) * random.uniform(0.8, 1.2)
                    failures = min(failures + 1, 10)
                await _pause(stop, pause)
        finally:
            await self.close()

    async def close(self) -> None:
        """End the connection to the mail server; it is opened again when there is a letter."""
        await asyncio.to_thread(self._connection.close)

    async def work_once(self) -> bool:
        """Send the letter that is due next, if there is one; return whether there was.

        Raises ServerDownError and Unavailable: then no letter has been begun, and none counts an attempt.
        """
        now = self._clock.now()
        if not await self._database.read(partial(store.is_due, now=now)):
            return False
        try:
            await asyncio.to_thread(self._connection.open)  # first: a server that is down is no letter's fault
        except ServerDownError:
            self.tally.server_up = False
            raise
        self.tally.server_up = True
        now = self._clock.now()
        job = await self._database.write(partial(store.claim, now=now, until=now + LEASE))
        if job is None:
            return False
        await _to_its_end(asyncio.create_task(self._done(job)))
        return True

    async def _done(self, job: Job) -> None:
        """Send a claimed letter and write down what became of it."""
        if self._clock.now() - job.created_at >= GIVEN_UP_AFTER:
            return await self._give_up(job, "late")
        try:
            message = self._message(job)
        except BrokenSealError:
            return await self._give_up(job, "seal")
        except BadAddressError:
            return await self._give_up(job, "address", Mark.REFUSED)
        except (
            Exception
        ):  # of a version that knows another letter, or shows other values: it may be the next to claim it
            log.exception("mail.failed", extra={"mail_id": job.mail_id, "letter": job.letter})
            return await self._retry(job, "not made")
        try:
            await asyncio.to_thread(self._connection.send, message, recipient(job.address))
        except RefusedError as error:
            if error.is_final:
                return await self._give_up(job, str(error), Mark.REFUSED if error.is_nobody else None)
            return await self._retry(job, str(error))
        return await self._note_sent(job)

    def _message(self, job: Job) -> EmailMessage:
        values = json.loads(self._seal.open(job.sealed, job.mail_id))
        return message_of(job.mail_id, Letter(job.letter), job.address, values, job.created_at, self._stationery)

    async def _note_sent(self, job: Job) -> None:
        now = self._clock.now()

        def note(connection: Transaction) -> bool:
            # Or it is noted already: the answer to the commit before this one was lost.
            return store.finish(connection, job, now) or store.is_sent(connection, job.mail_id)

        if not await self._insist(note):
            return self._lost(job)
        self.tally.letters["sent"] += 1
        log.info("mail.sent", extra=_told(job, age_seconds=round((now - job.created_at).total_seconds(), 3)))
        return None

    async def _retry(self, job: Job, reason: str) -> None:
        pause = min(FIRST_PAUSE * 2 ** min(job.attempts - 1, 20), LONGEST_PAUSE) * random.uniform(0.8, 1.2)
        due_at = self._clock.now() + timedelta(seconds=pause)
        if not await self._insist(partial(store.postpone, job=job, due_at=due_at)):
            return self._lost(job)
        self.tally.letters["retried"] += 1
        log.warning("mail.retried", extra=_told(job, reason=reason, seconds=round(pause)))
        return None

    async def _give_up(self, job: Job, reason: str, mark: Mark | None = None) -> None:
        now = self._clock.now()

        def note(connection: Transaction) -> bool:
            if not store.finish(connection, job, None):
                return False
            if mark is not None:
                store.mark(connection, job.address_hash, mark, now)
            return True

        if not await self._insist(note):
            return self._lost(job)
        self.tally.letters["given_up"] += 1
        log.warning("mail.given_up", extra=_told(job, reason=reason))
        if mark is not None:
            log.warning("mail.bounced", extra={"mail_id": job.mail_id, "reason": mark})
        return None

    def _lost(self, job: Job) -> None:
        """Its lease was over, and another has begun to send it; or the account was erased meanwhile."""
        self.tally.letters["lost"] += 1
        log.warning("mail.lost", extra=_told(job))

    async def _insist(self, write: Callable[[Transaction], T]) -> T:
        """Write what has happened, however long the database is away: nobody else knows it."""
        while True:
            try:
                return await self._database.write(write)
            except Unavailable as error:
                log.warning("mail.delayed", extra={"error": describe(error.__cause__ or error)})
                await asyncio.sleep(_NOTE_SECONDS)


def _told(job: Job, **more: object) -> dict[str, object]:
    return {"mail_id": job.mail_id, "letter": job.letter, "attempt": job.attempts, **more}


async def _to_its_end(task: "asyncio.Task[None]") -> None:
    """Wait for a task, and be cancelled only after it: a letter half sent would be sent again."""
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        raise


def late_seconds(oldest: datetime | None, now: datetime) -> float:
    """Return for how long the oldest letter has been due."""
    return 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())


async def late_seconds_of(database: Database, clock: Clock, outbox: Outbox) -> float:
    """Return for how long the oldest letter has been due; NaN where there is no mail, and while the database does not answer."""
    if not outbox.on:
        return math.nan
    try:
        async with asyncio.timeout(_SCRAPE_SECONDS):
            return late_seconds(await database.read(store.oldest_due), clock.now())
    except (Unavailable, TimeoutError):
        return math.nan


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    if seconds <= 0:
        return
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
