"""Writing views of posts back from Redis to the database."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Final

from bapsang_api.kit.db.database import Database
from bapsang_api.posts import store
from bapsang_api.posts.views import ViewStore

_BATCH: Final = 500


async def write_back_views(
    database: Database, views: ViewStore, written: Callable[[Collection[str]], None] | None = None
) -> int:
    """Write the pending views to the database and return how many there were; `written` receives the posts."""
    total = 0
    while taken := await views.take(_BATCH):
        await database.write(partial(store.add_views, views=taken))
        if written is not None:
            written(taken)
        total += sum(taken.values())
    return total
