"""A batch of rows of the older server on their way here: what is known of those before, and the rows that become of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table

from bapsang_api.importing import rules, store
from bapsang_api.importing.old import Row
from bapsang_api.importing.report import Step
from bapsang_api.importing.rules import Times
from bapsang_api.importing.store import KnownPost, Pair, Place, Rows
from bapsang_api.kit.ids import is_ulid
from bapsang_api.media.verdict import Use
from bapsang_api.uploads import photo
from bapsang_api.uploads.rules import Category, public_key


@dataclass
class Pretended:
    """What a dry run would have written so far, where later rows depend on it."""

    ids: dict[tuple[str, str], str] = field(default_factory=dict)
    posts: dict[str, KnownPost] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    likes: set[Pair] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    emails: set[str] = field(default_factory=set)


class Taking:
    """A batch: its rows to be written, and what is known of those before it."""

    def __init__(self, connection: Connection, step: Step, times: Times, pretended: Pretended) -> None:
        self.connection, self.step, self.tally, self.times = connection, step, step.tally, times
        self.pretended = pretended
        self.rows: Rows = {}
        # Posts that readers see already: their counts are made anew at once.
        self.changed_posts: set[str] = set()

    def add(self, table: str, **row: Any) -> None:
        self.rows.setdefault(table, []).append(row)

    def add_id(self, kind: str, old_id: str, new_id: str, due_status: str | None = None) -> None:
        self.add("imported_ids", kind=kind, old_id=old_id, new_id=new_id, due_status=due_status)

    def known(self, kind: str, old_ids: Iterable[str]) -> dict[str, str]:
        wanted = {old_id for old_id in old_ids if rules.is_old_id(old_id)}
        found = store.known(self.connection, kind, wanted)
        for old_id in wanted:
            if (new_id := self.pretended.ids.get((kind, old_id))) is not None:
                found[old_id] = new_id
        return found

    def known_posts(self, old_ids: Iterable[str]) -> dict[str, KnownPost]:
        wanted = {old_id for old_id in old_ids if rules.is_old_id(old_id)}
        found = store.known_posts(self.connection, wanted)
        found.update((old_id, self.pretended.posts[old_id]) for old_id in wanted & self.pretended.posts.keys())
        return found

    def free_ids(self, table: Table, old_ids: Iterable[str]) -> set[str]:
        """Return those of the old ids that can be ours as well."""
        ulids = {old_id for old_id in old_ids if is_ulid(old_id)}
        return ulids - store.taken_ids(self.connection, table, ulids)

    def time(self, row: Row, name: str, utc: frozenset[str]) -> datetime | None:
        return self.times.of(row[name], utc=name in utc)

    @staticmethod
    def changed_at(updated_at: datetime | None, created_at: datetime) -> datetime | None:
        """Return when something was changed; None when that was when it was made, which many servers write."""
        return None if updated_at is None or (updated_at - created_at).total_seconds() < 1 else updated_at

    def image(self, key: Any, owner_id: str, category: Category, changes: list[str], *, hidden: bool) -> str | None:
        """Return the key under which an image of the older server will be published, None without one."""
        upload_key = rules.image_key(key, changes.append)
        if upload_key is None:
            return None
        now = self.times.now
        image_id = rules.new_id(now)
        object_key = public_key(category, image_id)
        use = Use.PROFILE if category is Category.PROFILE_IMAGE else Use.POST
        self.add(
            "images",
            id=image_id,
            owner_id=owner_id,
            upload_key=upload_key,
            object_key=object_key,
            created_at=now,
            confirmed_at=now,
            withheld_at=now if hidden else None,
            photo=photo.pending(None, None, use),
            etag=store.UNSEEN,
        )
        return object_key
