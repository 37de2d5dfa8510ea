"""Use cases of people among each other: looking somebody up, following, blocking and muting them.

Whoever has blocked the caller, or is blocked by them, is answered as if there were no such person; own blocks can be ended all the
same. What changes a relation first locks the rows of both people, so no follow survives a block that comes at the same moment.
"""

from collections.abc import Callable, Set
from functools import partial
from typing import Final

from sqlalchemy import Connection

from bapsang_api.home import store
from bapsang_api.home.view import ListedPerson, PeoplePage, Profile
from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.db.keyset import Keyset, cut
from bapsang_api.kit.ids import is_ulid
from bapsang_api.kit.problem import Conflict, FieldError, InvalidInput, NotFound
from bapsang_api.notifications import store as notifications
from bapsang_api.notifications.news import follow_of, followed
from bapsang_api.notifications.service import tell
from bapsang_api.people import service as people
from bapsang_api.people import store as relations
from bapsang_api.people.hidden import HiddenPeople
from bapsang_api.people.models import Reason
from bapsang_api.users.models import STATUS_ACTIVE, STATUS_DELETED

MOST_FOLLOWED: Final = 2_000  # by one person: each is looked at when their home feed is read
_ONESELF: Final = "자기 자신은 팔로우할 수 없습니다."
_TOO_MANY: Final = f"{MOST_FOLLOWED:,}명까지만 팔로우할 수 있습니다."
Listed = Callable[[Connection], list[ListedPerson] | None]


class PeopleService:
    """Reads and changes what people are to each other."""

    def __init__(self, database: Database, hidden: HiddenPeople, clock: Clock) -> None:
        self._database, self._hidden, self._clock = database, hidden, clock

    async def profile(self, person_id: str, viewer_id: str | None) -> Profile:
        """Return somebody's page as a viewer sees it, None for who has no token. Raises NotFound."""
        found = None
        if is_ulid(person_id) and person_id not in (await self._hidden.of(viewer_id)).blocked:
            read = partial(store.profile, person_id=person_id, viewer_id=viewer_id)
            found = await self._database.find_lagging(read)
        if found is None:
            raise NotFound
        return found

    async def followers(self, person_id: str, viewer_id: str | None, before: Keyset | None, size: int) -> PeoplePage:
        """Return up to `size` of those who follow somebody and whom the viewer sees, the last ones first. Raises NotFound."""
        read = partial(store.followers, person_id=person_id, viewer_id=viewer_id, before=before, limit=size + 1)
        return await self._of(person_id, viewer_id, read, size)

    async def followed(self, person_id: str, viewer_id: str | None, before: Keyset | None, size: int) -> PeoplePage:
        """Return up to `size` of those whom somebody follows and the viewer sees, the last ones first. Raises NotFound."""
        read = partial(store.followed, person_id=person_id, viewer_id=viewer_id, before=before, limit=size + 1)
        return await self._of(person_id, viewer_id, read, size)

    async def blocked(self, user_id: str, before: Keyset | None, size: int) -> PeoplePage:
        """Return up to `size` of those whom somebody has blocked, the last ones first."""
        read = partial(store.blocked, viewer_id=user_id, before=before, limit=size + 1)
        return _page(await self._database.read_lagging(read), size)

    async def muted(self, user_id: str, before: Keyset | None, size: int) -> PeoplePage:
        """Return up to `size` of those whom somebody has muted, the last ones first."""
        read = partial(store.muted, viewer_id=user_id, before=before, limit=size + 1)
        return _page(await self._database.read_lagging(read), size)

    async def follow(self, user_id: str, other_id: str) -> None:
        """Follow somebody, who is told of it; doing it again changes nothing.

        Raises InvalidInput for oneself, NotFound, and Conflict for who follows too many.
        """
        if user_id == other_id:
            raise InvalidInput(FieldError("userId", _ONESELF))
        now = self._clock.now()

        def add(connection: Connection) -> None:
            if _lock_pair(connection, user_id, other_id) != STATUS_ACTIVE:
                raise NotFound
            if not relations.follow(connection, user_id, other_id, now):
                return
            if relations.count_followed(connection, user_id) > MOST_FOLLOWED:
                raise Conflict(_TOO_MANY)
            tell(connection, [followed(other_id, user_id)], now)

        await self._database.write(add)

    async def unfollow(self, user_id: str, other_id: str) -> None:
        """Follow somebody no more, who is no more told of it; doing it again changes nothing. Raises NotFound."""

        def remove(connection: Connection) -> None:
            _lock_pair(connection, user_id, other_id)
            if relations.unfollow(connection, user_id, other_id):
                notifications.forget_bundles(connection, [(other_id, follow_of(user_id))])

        await self._database.write(remove)

    async def block(self, user_id: str, other_id: str) -> None:
        """Take two people from each other's sight, with their follows and what they were told of each other.

        Raises InvalidInput for oneself, NotFound, and Conflict for who hides too many.
        """
        now = self._clock.now()

        def add(connection: Connection) -> None:
            _require_seen(connection, user_id, other_id)
            people.block(connection, user_id, other_id, now)
            notifications.forget_between(connection, user_id, other_id)

        await self._database.write(add)

    async def unblock(self, user_id: str, other_id: str) -> None:
        """End a block of the user's own; doing it again changes nothing. Raises InvalidInput and NotFound."""

        def remove(connection: Connection) -> None:
            _require_seen(connection, user_id, other_id)
            people.unblock(connection, user_id, other_id)

        await self._database.write(remove)

    async def mute(self, user_id: str, other_id: str) -> None:
        """Take somebody from the user's lists. Raises InvalidInput for oneself, NotFound, and Conflict for who hides too many."""
        now = self._clock.now()

        def add(connection: Connection) -> None:
            _require_seen(connection, user_id, other_id)
            people.mute(connection, user_id, other_id, now)

        await self._database.write(add)

    async def unmute(self, user_id: str, other_id: str) -> None:
        """Bring somebody back to the user's lists; doing it again changes nothing. Raises InvalidInput and NotFound."""

        def remove(connection: Connection) -> None:
            _require_seen(connection, user_id, other_id)
            people.unmute(connection, user_id, other_id)

        await self._database.write(remove)

    async def _of(self, person_id: str, viewer_id: str | None, listed: Listed, size: int) -> PeoplePage:
        unseen = await self._hidden.of(viewer_id)
        if not is_ulid(person_id) or person_id in unseen.blocked:
            raise NotFound

        def read(connection: Connection) -> list[ListedPerson] | None:
            return listed(connection) if store.is_seen(connection, person_id, viewer_id) else None

        rows = await self._database.find_lagging(read)
        if rows is None:
            raise NotFound
        return _page(rows, size, unseen.people)


def _page(rows: list[ListedPerson], size: int, unseen: Set[str] = frozenset()) -> PeoplePage:
    """Return the page of up to `size` + 1 rows. `unseen`: of whom a replica may not know yet that the viewer does not see them."""
    shown, following = cut(rows, size, lambda row: row.place)
    return PeoplePage([row.person for row in shown if row.person.user_id not in unseen], following)


def _lock_pair(connection: Connection, user_id: str, other_id: str) -> str:
    """Lock two people and return the state of the other. Raises NotFound, also where one has blocked the other."""
    if not is_ulid(other_id):
        raise NotFound
    status = relations.lock_people(connection, user_id, other_id)
    if user_id not in status or status.get(other_id, STATUS_DELETED) == STATUS_DELETED:
        raise NotFound
    if relations.is_blocked(connection, user_id, other_id):
        raise NotFound
    return status[other_id]


def _require_seen(connection: Connection, user_id: str, other_id: str) -> None:
    """Raise NotFound where the other has blocked the user, who has not blocked them: a block of one's own can be ended."""
    if not is_ulid(other_id) or user_id == other_id:
        return  # which is refused next
    relations.lock_people(connection, user_id, other_id)
    reasons = relations.reasons_of(connection, user_id, other_id)
    if Reason.BLOCKED_BY in reasons and Reason.BLOCKS not in reasons:
        raise NotFound
