"""The journal of erasures: who withdrew or was erased, kept in the bucket, where a restored backup of the database sets nothing
back. `bapsang-api replay-erasures` does all of it again after one."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.problem import NotFound
from bapsang_api.privacy import store
from bapsang_api.upkeep.erasure import Erasure
from bapsang_api.uploads.storage import Storage
from bapsang_api.users.models import Erasure as Entry
from bapsang_api.users.models import Extent

log = logging.getLogger(__name__)

ERASURES_PREFIX: Final = "erasures/"
_BATCH: Final = 100
_MOST_BYTES: Final = 1_000  # of an entry


@dataclass
class Replayed:
    """What was done again. `unknown`: the backup is from before they signed up."""

    done: int = 0
    known: int = 0
    unknown: int = 0


class Journal:
    """Writes the erasures of the database to the bucket, and carries out those of the bucket in the database."""

    def __init__(self, database: Database, storage: Storage, clock: Clock) -> None:
        self._database, self._storage, self._clock = database, storage, clock

    async def run(self) -> int:
        """Write what is not in the bucket yet; return how many. Raises Unavailable. Two at once do no harm."""
        done = 0
        while entries := await self._database.read(partial(store.unjournaled, limit=_BATCH)):
            for entry in entries:
                content = json.dumps({"userId": entry.user_id, "extent": entry.extent}).encode()
                write = self._storage.objects.write_privately
                await self._storage.run(partial(write, _key_of(entry.id), iter([content]), "application/json"))
            ids = [entry.id for entry in entries]
            await self._database.write(partial(store.journaled, ids=ids, now=self._clock.now()))
            done += len(ids)
        return done

    async def replay(self, erasure: Erasure, *, dry_run: bool) -> Replayed:
        """Do every erasure again that this database does not know of. Raises Unavailable and Redis errors."""
        report = Replayed()
        pages: Iterator[Any] = self._storage.pages(ERASURES_PREFIX)
        while (page := await self._storage.run(partial(next, pages, None))) is not None:
            ids = [_id_of(item.key) for item in page]
            known = await self._database.read(partial(store.known_erasures, ids=ids))
            report.known += len(known)
            for entry_id in ids:
                if entry_id not in known:
                    await self._again(erasure, entry_id, report, dry_run=dry_run)
        return report

    async def _again(self, erasure: Erasure, entry_id: str, report: Replayed, *, dry_run: bool) -> None:
        read = partial(self._storage.objects.read, _key_of(entry_id), most=_MOST_BYTES)
        stored = await self._storage.run(read)
        if stored is None:  # its time is over, at this moment
            return
        entry = json.loads(stored.content)
        if dry_run:
            report.done += 1
            return
        try:
            await erasure.erase(entry["userId"], Extent(entry["extent"]), reason="replayed", journal_id=entry_id)
            report.done += 1
        except NotFound:
            report.unknown += 1
        now = self._clock.now()
        noted = Entry(id=entry_id, user_id=entry["userId"], extent=entry["extent"])
        await self._database.write(partial(store.replayed, entry=noted, now=now))


def _key_of(entry_id: str) -> str:
    return f"{ERASURES_PREFIX}{entry_id}.json"


def _id_of(key: str) -> str:
    return key.removeprefix(ERASURES_PREFIX).removesuffix(".json")
