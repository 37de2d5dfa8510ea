"""Users' numbers: small integers that stand for user ids where memory counts."""

from collections.abc import Iterable
from functools import partial

from bapsang_api.kit.db.database import Database
from bapsang_api.users import store


class UserNumbers:
    """Finds users' numbers, and gives one to whoever has none yet."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def complete(self, users: Iterable[tuple[str, int | None]]) -> dict[str, int]:
        """Return the numbers of users, each given with the one that it has, None without one; those who are gone are left out."""
        known = dict(users)
        given = await self.of_all(user_id for user_id, number in known.items() if number is None)
        return {user_id: number for user_id, had in known.items() if (number := had or given.get(user_id))}

    async def of_all(self, user_ids: Iterable[str]) -> dict[str, int]:
        """Return the numbers of those users that exist."""
        wanted = sorted(user_ids)
        if not wanted:
            return {}
        found = await self._database.read(partial(store.numbers_of, user_ids=wanted))
        missing = [user_id for user_id in wanted if user_id not in found]
        if missing:
            found |= await self._database.write(partial(store.give_numbers, user_ids=missing))
        return found
