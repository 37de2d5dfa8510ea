"""Use cases of tags alone; posts give themselves their own."""

from functools import partial

from bapsang_api.kit.db.database import Database
from bapsang_api.tags import store


class TagService:
    """Reads tags."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def popular(self, prefix: str, size: int) -> list[store.TagRow]:
        """Return up to `size` tags that begin with `prefix`, those of the most visible posts first."""
        return await self._database.read_lagging(partial(store.popular, prefix=prefix, limit=size))
