"""Users' numbers: small integers that stand for user ids where memory counts."""

from collections import OrderedDict
from collections.abc import Iterable
from functools import partial
from typing import Final

from bapsang_api.kit.db.database import Database
from bapsang_api.kit.problem import NotFound
from bapsang_api.users import store

_KNOWN: Final = 50_000


class UserNumbers:
    """Finds users' numbers, and gives one to whoever has none yet. A number never changes, so each is looked up once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: OrderedDict[str, int] = OrderedDict()

    async def of(self, user_id: str) -> int:
        """Return a user's number. Raises NotFound when there is no such user."""
        known = self._known.get(user_id)
        if known is not None:
            self._known.move_to_end(user_id)
            return known
        found = await self.of_all([user_id])
        if user_id not in found:
            raise NotFound
        self.learn(user_id, found[user_id])
        return found[user_id]

    def learn(self, user_id: str, number: int) -> None:
        """Remember a number that came from elsewhere, such as the user's token."""
        self._known[user_id] = number
        if len(self._known) > _KNOWN:
            self._known.popitem(last=False)

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
