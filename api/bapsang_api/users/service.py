"""Use cases of accounts."""

import hashlib
import secrets
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection

from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.ids import Ids
from bapsang_api.kit.problem import Conflict, FieldError, InvalidInput, NotFound
from bapsang_api.kit.text import folded
from bapsang_api.readmodel.cache import Cache, Read
from bapsang_api.readmodel.entry import Bounds, Loaded, Usage
from bapsang_api.readmodel.feed import ChangeFeed
from bapsang_api.uploads.rules import Category
from bapsang_api.uploads.service import ImageService, Named
from bapsang_api.uploads.usage import attach, detach
from bapsang_api.users import queries, store
from bapsang_api.users.consent import Consent, Versions
from bapsang_api.users.models import STATUS_DELETED, Erasure, Extent, User, UserAuth, UserConsent
from bapsang_api.users.staff import STAFF_NAME, imitates_staff

EMAIL_TAKEN: Final = "이미 사용 중인 이메일입니다."
_NICKNAME_TAKEN = "이미 사용 중인 닉네임입니다."
# How long somebody who withdrew is told so at login; then nothing is left that could tell who it was.
TRACES_KEPT: Final = timedelta(days=30)
_FORGET_BATCH: Final = 500
PROFILES: Final = Bounds(entries=5_000, bytes=2 * 1024 * 1024)
_PROFILE_BYTES: Final = 350  # besides the e-mail: an id, a name of ten letters and the key of a picture
_PLACEHOLDER_LETTERS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


class UserService:
    """Registers accounts and answers who they are."""

    def __init__(
        self, database: Database, images: ImageService, clock: Clock, ids: Ids, feed: ChangeFeed, versions: Versions
    ) -> None:
        """`versions`: of the documents that somebody agrees to at sign-up."""
        self._database, self._images, self._clock, self._ids = database, images, clock, ids
        self._versions = versions
        self._profiles: Cache[str, queries.Profile] = Cache(database, feed, _load_profiles, PROFILES)

    def usage(self) -> dict[str, Usage]:
        """Return how much is kept of accounts, by cache."""
        return {"profiles": self._profiles.usage()}

    async def require_email_free(self, email: str) -> None:
        """Raise Conflict when the e-mail is taken."""
        if await self._database.read(partial(store.email_taken, email=email)):
            raise Conflict(EMAIL_TAKEN)

    async def require_nickname_free(self, nickname: str) -> None:
        """Raise Conflict when the nickname is taken."""
        if await self._database.read(partial(store.nickname_taken, nickname=nickname)):
            raise Conflict(_NICKNAME_TAKEN)

    def require_consent(self, consent: Consent | None) -> None:
        """Raise InvalidInput for a consent to another version, and for somebody who is too young."""
        self._versions.recorded(consent)

    async def register(
        self,
        *,
        email: str,
        nickname: str,
        password_hash: str,
        image: Named | None,
        consent: Consent | None,
        verify_by: datetime | None,
        and_then: Callable[[Connection, str], None],
    ) -> str:
        """Create an account and return its id; the picture uploaded for it becomes its own.

        `verify_by`: until when its address is to be verified, None where nobody is asked to. `and_then` does the rest of the
        transaction, with the new id. Raises Conflict when the e-mail or nickname is taken,
        InvalidInput for a picture that cannot be used or a consent that is none.
        """
        recorded = self._versions.recorded(consent)
        user_id, auth_id, now = self._ids.new(), self._ids.new(), self._clock.now()
        named = [image] if image else []
        keys = await self._images.publish(named, owner_id=user_id, category=Category.TEMP_PROFILE_IMAGE)

        def add(connection: Connection) -> None:
            attach(connection, keys, owner_id=user_id, now=now)
            store.add(
                connection,
                User(id=user_id, nickname=nickname, profile_image_key=next(iter(keys), None), created_at=now),
                UserAuth(id=auth_id, user_id=user_id, email=email, password_hash=password_hash, verify_by=verify_by),
            )
            consents = [
                UserConsent(user_id=user_id, document=document, version=version, recorded_at=now)
                for document, version in recorded.items()
            ]
            store.add_consents(connection, consents)
            and_then(connection, user_id)

        try:
            await self._database.write(add)
        except store.NicknameTakenError as error:
            raise Conflict(_NICKNAME_TAKEN) from error
        except store.EmailTakenError as error:
            raise Conflict(EMAIL_TAKEN) from error
        return user_id

    async def login_of(self, email: str) -> store.Login | None:
        """Return the account with this e-mail, also one that was withdrawn not long ago."""
        return await self._database.read(partial(store.login_of, email=email, email_hash=_hash_of(email)))

    async def account(self, user_id: str) -> store.Login:
        """Return an account in whatever state. Raises NotFound."""
        account = await self._database.read(partial(store.account_of, user_id=user_id))
        if account is None:
            raise NotFound
        return account

    async def profile(self, user_id: str) -> queries.Profile:
        """Return what a user sees of their own account. Raises NotFound, and Unavailable."""
        entry = self._profiles.peek(user_id) or await self._profiles.get(user_id)
        if entry is None:
            raise NotFound
        return entry.value

    async def change_profile(
        self, user_id: str, *, nickname: str | None, image: Named | None, remove_image: bool, is_staff: bool
    ) -> None:
        """Change what is given.

        Raises Conflict when the nickname is another's, InvalidInput for a picture that cannot be used and for a name of the
        staff, NotFound when the account is gone.
        """
        if nickname is not None and not is_staff and imitates_staff(nickname):
            await self._require_own_name(user_id, nickname)
        named, now = [image] if image else [], self._clock.now()
        keys = await self._images.publish(named, owner_id=user_id, category=Category.PROFILE_IMAGE)
        changes: dict[str, Any] = {} if nickname is None else {"nickname": nickname}
        if keys or remove_image:
            changes["profile_image_key"] = next(iter(keys), None)

        def change(connection: Connection) -> bool:
            if "profile_image_key" in changes:
                _drop_image(connection, user_id, now)
                attach(connection, keys, owner_id=user_id, now=now)
            return store.change_profile(connection, user_id, changes, now)

        try:
            changed = await self._database.write(change)
        except store.NicknameTakenError as error:
            raise Conflict(_NICKNAME_TAKEN) from error
        if not changed:
            raise NotFound

    async def _require_own_name(self, user_id: str, nickname: str) -> None:
        """Raise InvalidInput for another name than the present one: whoever had it before the rule keeps it."""
        if folded((await self.account(user_id)).nickname) != folded(nickname):
            raise InvalidInput(FieldError("nickname", STAFF_NAME))


async def forget_withdrawn(database: Database, clock: Clock) -> int:
    """Remove the last traces of accounts withdrawn long ago, a bounded number a call; return how many."""
    before = clock.now() - TRACES_KEPT
    auth_ids = await database.read(partial(store.withdrawn_before, moment=before, limit=_FORGET_BATCH))
    if auth_ids:
        await database.write(partial(store.forget, auth_ids=auth_ids))
    return len(auth_ids)


async def _load_profiles(
    user_ids: Collection[str], _: Mapping[str, queries.Profile], read: Read[Any]
) -> dict[str, Loaded[queries.Profile]]:
    profiles: dict[str, queries.Profile] = await read(partial(queries.profiles_of, user_ids=user_ids))
    return {user_id: Loaded(profile, (), len(profile.email) + _PROFILE_BYTES) for user_id, profile in profiles.items()}


def withdraw(connection: Connection, account: store.Login, now: datetime, journal_id: str) -> None:
    """Withdraw an account within the caller's transaction, which has locked it. Doing it again changes nothing.

    `journal_id`: of the entry in the journal of erasures.
    """
    if account.status == STATUS_DELETED:
        return
    # A sign no nickname may hold, then 10^14 possibilities.
    nickname = "~" + "".join(secrets.choice(_PLACEHOLDER_LETTERS) for _ in range(9))
    email_hash = _hash_of(store.email_of(connection, account.user_id))
    _drop_image(connection, account.user_id, now)
    store.anonymise(connection, account.user_id, nickname=nickname, email_hash=email_hash, now=now)
    store.add_erasure(connection, Erasure(id=journal_id, user_id=account.user_id, extent=Extent.NAME))


def _hash_of(email: str) -> str:
    return hashlib.sha256(folded(email).encode("utf-8", "surrogatepass")).hexdigest()


def _drop_image(connection: Connection, user_id: str, now: datetime) -> None:
    if (key := store.image_of(connection, user_id)) is not None:
        detach(connection, [key], now)


async def user_id_of(database: Database, user: str) -> str:
    """Return the id of a user who is named by id or e-mail. Raises NotFound, also for an e-mail erased before."""
    if "@" not in user:
        return user
    user_id = await database.read(partial(store.id_of, email=user))
    if user_id is None:
        raise NotFound
    return user_id
