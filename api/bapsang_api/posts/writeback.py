"""Writing views of posts back from Redis to the database."""

from functools import partial
from typing import Final

from bapsang_api.kit.committed import after_commit
from bapsang_api.kit.db.database import Database
from bapsang_api.posts import store
from bapsang_api.posts.views import ViewStore

_BATCH: Final = 500


async def write_back_views(database: Database, views: ViewStore) -> int:
    """Write the pending views to the database and return how many there were."""
    total = 0
    while claimed := await views.claim(_BATCH, first=not total):
        rows = await database.write(partial(store.add_views, views=claimed))
        with after_commit("posts.views_not_forgotten"):  # the next run drops the claim
            await views.written(rows)
        total += sum(claimed.values())
    return total
