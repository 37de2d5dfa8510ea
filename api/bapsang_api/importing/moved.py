"""Old links: where what an older server's URL names is now. Asked only about paths that are answered 404."""

import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Final
from urllib.parse import quote

from bapsang_api.importing import rules, store
from bapsang_api.importing.models import COMMENT, POST, USER
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.ids import is_ulid
from bapsang_api.kit.problem import Unavailable

_KINDS: Final = {"posts": POST, "comments": COMMENT, "users": USER}
_OURS: Final = frozenset({"", "me"})  # what follows in paths of our own and is no id
_ENTRIES: Final = 10_000
#: For which an id that nobody knows, or that nothing was imported, is not asked about again.
_UNKNOWN_SECONDS: Final = 10.0


class MovedIds:
    """Remembers ids that were asked for, known and unknown ones."""

    def __init__(self, database: Database, prefix: str, *, timer: Callable[[], float] = time.monotonic) -> None:
        """`prefix`: what paths of the API begin with."""
        self._database, self._prefix, self._timer = database, f"{prefix}/", timer
        self._ids: OrderedDict[tuple[str, str], tuple[str | None, float]] = OrderedDict()
        self._none_until = 0.0

    async def location(self, path: str, query: bytes) -> str | None:
        """Return the path, with its query, that has new ids in place of old ones; None when there is nothing to replace.

        None as well while the database does not answer: what is asked about is a 404 anyway.
        """
        if not path.startswith(self._prefix):
            return None
        parts = path.removeprefix(self._prefix).split("/")
        replaced = False
        for place, name in enumerate(parts[:-1]):
            old_id = parts[place + 1]
            if name not in _KINDS or is_ulid(old_id) or old_id in _OURS or not rules.is_old_id(old_id):
                continue
            new_id = await self._new_id(_KINDS[name], old_id)
            if new_id is None:
                return None
            parts[place + 1], replaced = new_id, True
        if not replaced:
            return None
        return self._prefix + quote("/".join(parts)) + (f"?{query.decode('latin-1')}" if query else "")

    async def _new_id(self, kind: str, old_id: str) -> str | None:
        now = self._timer()
        if now < self._none_until:
            return None
        new_id, until = self._ids.get((kind, old_id), (None, 0.0))
        if new_id is not None or now < until:
            return new_id
        try:
            if not await self._database.read(store.any_imported):
                self._none_until = now + _UNKNOWN_SECONDS
                return None
            found = await self._database.read(partial(store.known, kind=kind, old_ids=[old_id]))
        except Unavailable:
            return None
        new_id = found.get(old_id)
        self._ids[kind, old_id] = new_id, now + _UNKNOWN_SECONDS
        if len(self._ids) > _ENTRIES:
            self._ids.popitem(last=False)
        return new_id
