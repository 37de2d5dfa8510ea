"""`bapsang-api reindex`: posts that were written before there was a search, or by a version that had none, or by the
seeder."""

from dataclasses import dataclass
from functools import partial
from typing import Final

from bapsang_api.kit.db.database import Database
from bapsang_api.upkeep import store
from bapsang_api.upkeep.store import post_ids_after

_BATCH: Final = 200


@dataclass(frozen=True)
class Indexed:
    """How many posts there were, and how many of them could not be found before."""

    posts: int
    added: int


async def index_posts(database: Database) -> Indexed:
    """Make every post searchable that is not yet, a bounded number at a time. May be stopped and started again.

    Raises Unavailable.
    """
    seen = added = 0
    last = ""
    while ids := await database.read(partial(post_ids_after, after=last, limit=_BATCH)):
        added += await database.write(partial(store.make_found, post_ids=ids))
        seen, last = seen + len(ids), ids[-1]
    return Indexed(seen, added)
