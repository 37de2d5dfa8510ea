"""`bapsang-api import`: takes over the rows of an older server, a batch a transaction, and says what became of each.

With each batch is written how far the run is, so one that is killed is taken up where it was. A run after a finished one
looks at everything again, takes what has come since and leaves all else alone.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from bapsang_api.importing import old as older
from bapsang_api.importing import people, replies, store, writings
from bapsang_api.importing.models import COMMENT, LOGIN, POST, USER
from bapsang_api.importing.old import Key, Row, id_text
from bapsang_api.importing.pictures import take_pictures
from bapsang_api.importing.queries import OldDatabase
from bapsang_api.importing.report import Step, report_of
from bapsang_api.importing.rules import Times
from bapsang_api.importing.taking import Pretended, Taking
from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db.database import Database, Lane
from bapsang_api.kit.problem import Unavailable
from bapsang_api.kit.progress import Progress
from bapsang_api.likes.store import LOCK as LIKES_LOCK
from bapsang_api.uploads.storage import Storage

log = logging.getLogger(__name__)

LOCK: Final = "import"
PUBLISH: Final = "publish"
PICTURES: Final = "pictures"
_OLD: Final = (older.USERS, older.USER_AUTH, older.POSTS, older.POST_CONTENTS, older.COMMENTS, older.LIKES)
STEPS: Final = (*_OLD, PUBLISH, PICTURES)
_PUBLISHED_AT_ONCE: Final = 500
_ATTEMPTS: Final = 3
_TURNS, _TURN_SECONDS = 60, 1.0  # for which a write-back of likes holds its lock at most
#: Levels of replies; deeper is a circle.
_MOST_ABOVE: Final = 50

Plan = Callable[[Taking], None]
Unload = Callable[[str], Awaitable[None]]


class ImportRefusedError(Exception):
    """Nothing was imported; the text says why."""


@dataclass(frozen=True)
class Options:
    """How an import is done. `seoul`: the older server wrote times of Seoul, not UTC."""

    batch: int = 1_000
    seoul: bool = False
    dry_run: bool = False


class Import:
    """One run."""

    def __init__(
        self,
        old: OldDatabase,
        database: Database,
        storage: Storage | None,
        unload: Unload,
        clock: Clock,
        options: Options,
    ) -> None:
        """`unload` has Redis forget the likes of a post, which are loaded from their rows again."""
        self._old, self._database, self._storage, self._unload = old, database, storage, unload
        self._clock, self._options = clock, options
        self._pretended = Pretended()
        self._progress = Progress(1)

    async def run(self) -> dict[str, Any]:
        """Import what there is and return the report. Raises ImportRefusedError, OldSchemaError, Unavailable and DBAPIError."""
        begun = time.monotonic()
        await asyncio.to_thread(self._old.check)
        source = await asyncio.to_thread(self._old.source)
        async with self._database.exclusive(LOCK) as lane:
            if lane is None:
                raise ImportRefusedError("another import is at work")
            steps, again = await self._begin(lane, source)
            totals = {name: await asyncio.to_thread(self._old.count, name) for name in _OLD}
            self._progress = Progress(sum(totals.values()), job="import")
            self._progress.done = sum(step.tally.found for step in steps.values())
            for name in STEPS:
                steps[name] = await self._step(lane, steps[name])
            unexplained = await self._unexplained(lane, steps)
        self._progress.end()
        return report_of(
            steps,
            dry_run=self._options.dry_run,
            again=again,
            seconds=time.monotonic() - begun,
            unexplained=unexplained,
        )

    async def _begin(self, lane: Lane, source: str) -> tuple[dict[str, Step], bool]:
        """Return the steps of the run that was not finished, or of a new one, and whether one was finished before."""
        steps, source_before = await lane.write(store.steps)
        if steps and source_before and source and source_before != source:
            raise ImportRefusedError("--from is not the database that was imported before: its ids mean other rows")
        if self._options.dry_run or not steps or all(step.done for step in steps.values()):
            again = bool(steps) and all(step.done for step in steps.values())
            new = {name: Step(name) for name in STEPS}
            if not self._options.dry_run:
                begin = partial(store.begin, new=list(new.values()), source=source, now=self._clock.now())
                await lane.write(begin)
            return new, again
        log.info("import.resumed", extra={"rows": sum(step.tally.found for step in steps.values())})
        for step in steps.values():
            await self._unload_all(step)
        return {name: steps.get(name, Step(name)) for name in STEPS}, False

    async def _step(self, lane: Lane, step: Step) -> Step:
        if step.done:
            return step
        if step.name in {PUBLISH, PICTURES}:
            return await self._finish_with(lane, step)
        reading = asyncio.create_task(asyncio.to_thread(self._read, step.name, step.after))
        while True:
            rows, last = await reading
            if last is None:
                break
            # While a batch is written the next one is read.
            reading = asyncio.create_task(asyncio.to_thread(self._read, step.name, last))
            try:
                plan = await asyncio.to_thread(self._plan, step.name, rows)
                step = await self._write(lane, step, last, plan)
            except BaseException:
                reading.cancel()
                raise
            self._progress.add(len(rows))
        return await self._finish(lane, step)

    def _read(self, name: str, after: Key | None) -> tuple[list[Row], Key | None]:
        only = {older.USER_AUTH: ("id", "user_id"), older.POST_CONTENTS: ("id",)}.get(name, ())
        return self._old.batch(name, after, self._options.batch, only=only)

    def _plan(self, name: str, rows: list[Row]) -> Plan:
        """Return what takes these rows; what belongs to them is read of the older server here, before any transaction."""
        utc = self._old.utc_columns(name)
        if name == older.USERS:
            logins = self._old.where(older.USER_AUTH, "user_id", (row["id"] for row in rows))
            return partial(people.take_users, rows=rows, logins=logins, utc=utc)
        if name == older.POSTS:
            contents = self._old.where(older.POST_CONTENTS, "id", (row["id"] for row in rows))
            by_id = {id_text(row["id"]): row for row in contents}
            return partial(writings.take_posts, rows=rows, contents=by_id, utc=utc)
        if name == older.COMMENTS:
            return partial(replies.take_comments, rows=rows, above=self._above(rows), utc=utc)
        if name == older.LIKES:
            return partial(writings.take_likes, rows=rows, utc=utc)
        if name == older.USER_AUTH:
            return partial(writings.take_companions, rows=rows, kind=LOGIN, owner="user_id")
        return partial(writings.take_companions, rows=rows, kind=POST, owner="id")

    def _above(self, rows: list[Row]) -> dict[str, Row]:
        """Return the comments above these, which may come later in the order of ids."""
        found: dict[str, Row] = {}
        have = {row["comment_id"] for row in rows}
        wanted = {row["parent_id"] for row in rows} - have - {None}
        for _ in range(_MOST_ABOVE):
            if not wanted:
                break
            parents = self._old.where(older.COMMENTS, "comment_id", wanted)
            found.update((id_text(row["comment_id"]), row) for row in parents)
            have |= wanted
            wanted = {row["parent_id"] for row in parents} - have - {None}
        return found

    async def _write(self, lane: Lane, step: Step, last: Key, plan: Plan) -> Step:
        """Write a batch; with it how far the run is."""
        for attempt in range(_ATTEMPTS):
            try:
                written = await self._try(lane, step, last, plan)
                break
            except IntegrityError:
                # Somebody has just signed up with a nickname or e-mail of the batch, or liked what it likes.
                if attempt == _ATTEMPTS - 1:
                    raise
        await self._unload_all(written)
        return written

    async def _try(self, lane: Lane, step: Step, last: Key, plan: Plan) -> Step:
        if self._options.dry_run:
            return await lane.write(partial(self._pretend, step=step, last=last, plan=plan))
        taken = await lane.write(partial(self._take, step=step, last=last, plan=plan))
        if taken is not None:
            return taken
        # Likes of posts that people see and like already: nobody else may write likes meanwhile.
        async with self._likes_lane() as likes_lane:
            written = await likes_lane.write(partial(self._take, step=step, last=last, plan=plan, with_visible=True))
        assert written is not None  # noqa: S101 - with_visible
        return written

    def _take(
        self, connection: Connection, *, step: Step, last: Key, plan: Plan, with_visible: bool = False
    ) -> Step | None:
        """Take a batch in one transaction; None, and nothing done, when it has likes that need the lock of likes."""
        taking = self._taking(connection, step, last, Pretended())
        plan(taking)
        if step.name == older.LIKES and taking.changed_posts:
            if not with_visible:
                return None
            taking.step.unload = sorted(taking.changed_posts)
        if taking.changed_posts:
            store.lock_posts(connection, taking.changed_posts)
        store.insert_all(connection, taking.rows)
        if taking.changed_posts:
            store.settle(connection, taking.changed_posts)
        store.save(connection, taking.step, self._clock.now())
        return taking.step

    def _pretend(self, connection: Connection, *, step: Step, last: Key, plan: Plan) -> Step:
        taking = self._taking(connection, step, last, self._pretended)
        plan(taking)
        for row in taking.rows.get("imported_ids", ()):
            self._pretended.ids[row["kind"], row["old_id"]] = row["new_id"]
        return taking.step

    def _taking(self, connection: Connection, step: Step, last: Key, pretended: Pretended) -> Taking:
        # A copy: a transaction that failed halfway is done again from the same counts.
        copy = Step.of_state(step.name, step.to_state(), done=False)
        copy.after, copy.unload = last, []
        return Taking(connection, copy, Times(self._options.seoul, self._clock.now()), pretended)

    @asynccontextmanager
    async def _likes_lane(self) -> AsyncIterator[Lane]:
        for _ in range(_TURNS):
            async with self._database.exclusive(LIKES_LOCK) as lane:
                if lane is not None:
                    yield lane
                    return
            await asyncio.sleep(_TURN_SECONDS)
        raise Unavailable

    async def _unload_all(self, step: Step) -> None:
        for post_id in step.unload:
            await self._unload(post_id)

    async def _finish_with(self, lane: Lane, step: Step) -> Step:
        """Show the posts to which everything has come, or take the pictures."""
        while not self._options.dry_run:
            if step.name == PUBLISH:
                further = await lane.write(partial(self._publish_some, step=step))
            else:
                further = await take_pictures(lane, self._storage, step, self._clock.now())
            if further is None:
                break
            step = further
        return await self._finish(lane, step)

    def _publish_some(self, connection: Connection, *, step: Step) -> Step | None:
        statuses = store.due_posts(connection, _PUBLISHED_AT_ONCE)
        if not statuses:
            return None
        store.publish(connection, statuses)
        copy = Step.of_state(step.name, step.to_state(), done=False)
        copy.tally.new += len(statuses)
        store.save(connection, copy, self._clock.now())
        return copy

    async def _finish(self, lane: Lane, step: Step) -> Step:
        done = Step.of_state(step.name, step.to_state(), done=True)
        if not self._options.dry_run:
            await lane.write(partial(store.save, step=done, now=self._clock.now()))
        log.info("import.step_done", extra={"step": step.name, **done.tally.fields()})
        return done

    async def _unexplained(self, lane: Lane, steps: dict[str, Step]) -> list[str]:
        """Return what the counts do not explain: rows that came meanwhile, and rows that are not where they should be."""
        found = []
        for name in _OLD:
            tally = steps[name].tally
            there = await asyncio.to_thread(self._old.count, name)
            if there != tally.found:
                found.append(f"{name}: {there} rows now, {tally.found} were looked at: run it again")
            if tally.found != tally.imported + tally.skipped.total():
                found.append(f"{name}: {tally.imported} imported and {tally.skipped.total()} skipped of {tally.found}")
        if not self._options.dry_run:
            for kind, table in ((USER, store.users), (POST, store.posts), (COMMENT, store.comments)):
                lost = await lane.write(partial(store.without_row, kind=kind, table=table))
                if lost:
                    found.append(f"{table.name}: {lost} were imported and are not there any more")
        return found
