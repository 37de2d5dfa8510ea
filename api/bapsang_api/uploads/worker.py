"""The worker of `c-media`: takes uploads that were used from the queue, one at a time, and has their variants made.

Whatever ends it, at whatever step, each photo ends with all its variants or refused, once: the row says so in one transaction,
after the objects are there, and only for who still holds the lease.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError
from sqlalchemy import Connection

from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.logs import describe
from bapsang_api.kit.problem import Unavailable
from bapsang_api.media.process import Outcome
from bapsang_api.media.verdict import Photo, Reason, Refused, Undecided, Use
from bapsang_api.uploads import making, photo, queries, rules
from bapsang_api.uploads.queries import Job
from bapsang_api.uploads.storage import Storage

log = logging.getLogger(__name__)

#: For how long a job is its worker's: the decoder's minute, and S3 at its slowest for ten objects.
LEASE: Final = timedelta(seconds=180)
IDLE_SECONDS: Final = 0.2
#: A file that ends its worker each time is refused after this: nobody else can tell it from bad luck.
MOST_ATTEMPTS: Final = 5
_FIRST_PAUSE: Final = 1.0  # seconds, doubled with each attempt
# Tells a domain that what is known of an image has changed: by its owner and object key, within the transaction.
Changed = Callable[[Connection, str, str, datetime], None]
# Tells a domain that an image was refused after it was used: by its owner, id and object key, within the transaction.
RefusedLate = Callable[[Connection, str, str, str, datetime], None]


class LeaseOverError(Exception):
    """The job may be another's by now."""


@dataclass
class Tally:
    """What a worker has done since it started."""

    jobs: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("ready", "refused", "postponed", "lost"), 0))
    cpu_seconds: float = 0.0
    peak_bytes: int = 0


class Worker:
    """Makes variants. Any number of them may run at a time."""

    def __init__(
        self,
        database: Database,
        storage: Storage,
        clock: Clock,
        changed: Sequence[Changed],
        refused: Sequence[RefusedLate] = (),
    ) -> None:
        self._database, self._storage, self._clock = database, storage, clock
        self._changed, self._refused = changed, refused
        self.tally = Tally()

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Work until `stop`; what was begun is ended first."""
        while stop is None or not stop.is_set():
            try:
                found = await self.work_once()
            except Unavailable as error:
                log.warning("photos.delayed", extra={"error": describe(error.__cause__ or error)})
                found = False
            if not found:
                await _pause(stop, IDLE_SECONDS)

    async def work_once(self) -> bool:
        """Do the next job, if there is one; return whether there was. Raises Unavailable: the job is due again then."""
        now = self._clock.now()
        job = await self._database.write(partial(queries.claim, now=now, until=now + LEASE))
        if job is None:
            return False
        try:
            outcome = await self._outcome(job)
        except Unavailable:
            await self._give_back(job, job.attempts - 1)  # it says nothing of the photo
            raise
        self.tally.cpu_seconds += outcome.cost.cpu_seconds
        self.tally.peak_bytes = max(self.tally.peak_bytes, outcome.cost.peak_bytes)
        what = await self._note(job, outcome)
        self.tally.jobs[what] += 1
        told = {"image_id": job.image_id, "outcome": what, "attempt": job.attempts}
        told |= {"cpu_seconds": round(outcome.cost.cpu_seconds, 3)}
        if not isinstance(outcome.verdict, Photo):
            told |= {"reason": outcome.verdict.reason, "error": outcome.verdict.detail}
        log.info("photos.done", extra=told)
        return True

    async def _outcome(self, job: Job) -> Outcome:
        """Return what became of a job. Raises Unavailable when S3 does not answer or refuses us."""
        if job.attempts > MOST_ATTEMPTS:
            return Outcome(Undecided(Reason.KILLED, f"{MOST_ATTEMPTS} that began with it have ended"))
        try:
            return await asyncio.to_thread(self._made, job)
        except LeaseOverError:
            return Outcome(Undecided(Reason.TIMED_OUT, "the lease was over"))
        except (BotoCoreError, ClientError) as error:
            raise Unavailable from error

    def _made(self, job: Job) -> Outcome:
        objects, folder = self._storage.objects, rules.folder_of(job.object_key)
        use = _use_of(job)
        require_right = partial(self._require_lease, job)
        if job.etag is None:
            source = job.object_key
        else:
            source = rules.original_key(job.image_id)
            checked = rules.checked_folder(job.upload_key, job.etag)
            ahead = making.copied(objects, checked, folder, require_right=require_right)
            if ahead is not None:
                return ahead
        outcome = making.made(objects, source, folder, use, require_right=require_right)
        return outcome or Outcome(Undecided(Reason.BROKEN, "its original is not there"))

    def _require_lease(self, job: Job) -> None:
        # Who stood still for so long must not write what takedown has moved or deleted since.
        if self._clock.now() >= job.until:
            raise LeaseOverError

    async def _note(self, job: Job, outcome: Outcome) -> str:
        """Write down what became of a job; return the same in a word."""
        verdict = outcome.verdict
        if isinstance(verdict, Undecided) and job.attempts < MOST_ATTEMPTS:
            return "postponed" if await self._give_back(job, job.attempts) else await self._lost(job)
        known, now = self._known(job, verdict), self._clock.now()

        def finish(connection: Connection) -> bool:
            if not queries.finish(connection, job, known, now):
                return False
            if known is not job.photo:
                for tell in self._changed:
                    tell(connection, job.owner_id, job.object_key, now)
                for tell_refused in () if isinstance(verdict, Photo) else self._refused:
                    tell_refused(connection, job.owner_id, job.image_id, job.object_key, now)
            return True

        if not await self._database.write(finish):
            return await self._lost(job)
        return "ready" if isinstance(verdict, Photo) else "refused"

    async def _give_back(self, job: Job, attempts: int) -> bool:
        """Have a job done later, by whomever; False when it is no longer this worker's."""
        now = self._clock.now()
        due_at = now + timedelta(seconds=_FIRST_PAUSE * 2**attempts)
        return await self._database.write(partial(queries.postpone, job=job, due_at=due_at, now=now, attempts=attempts))

    @staticmethod
    def _known(job: Job, verdict: Photo | Refused | Undecided) -> photo.Photo | None:
        if isinstance(verdict, Photo):
            return photo.ready(verdict, _use_of(job))
        # What was published before there were variants stays as it is.
        return None if job.etag is None else photo.refused(job.photo, verdict.reason)

    async def _lost(self, job: Job) -> str:
        """Take away what was written for an image that is gone or withheld. Another's claim is left alone: it writes the same."""
        if await self._database.write(partial(queries.abandon, image_id=job.image_id, now=self._clock.now())):
            await self._storage.run(partial(self._storage.remove_below, rules.folder_of(job.object_key)))
        return "lost"


def _use_of(job: Job) -> Use:
    use = rules.use_of(job.object_key)
    assert use is not None, job.object_key  # noqa: S101 - nothing else is ever published
    return use


async def _pause(stop: asyncio.Event | None, seconds: float) -> None:
    if stop is None:
        await asyncio.sleep(seconds)
        return
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
