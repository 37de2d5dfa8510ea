"""Use cases of accounts."""

import hashlib
import secrets
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from sqlalchemy.orm import Session

from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db import Database
from bapsang_api.kit.ids import Ids
from bapsang_api.kit.problem import Conflict, FieldError, InvalidInput, NotFound
from bapsang_api.users import store
from bapsang_api.users.models import STATUS_DELETED, User, UserAuth

_EMAIL_TAKEN = "이미 사용 중인 이메일입니다."
_NICKNAME_TAKEN = "이미 사용 중인 닉네임입니다."
# How long somebody who withdrew is told so at login; then nothing is left that could tell who it was.
TRACES_KEPT: Final = timedelta(days=30)
_FORGET_BATCH: Final = 500
_PLACEHOLDER_LETTERS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


class UserService:
    """Registers accounts and answers who they are."""

    def __init__(self, database: Database, clock: Clock, ids: Ids) -> None:
        self._database, self._clock, self._ids = database, clock, ids

    async def require_email_free(self, email: str) -> None:
        """Raise Conflict when the e-mail is taken."""
        if await self._database.read(partial(store.email_taken, email=email)):
            raise Conflict(_EMAIL_TAKEN)

    async def require_nickname_free(self, nickname: str) -> None:
        """Raise Conflict when the nickname is taken."""
        if await self._database.read(partial(store.nickname_taken, nickname=nickname)):
            raise Conflict(_NICKNAME_TAKEN)

    async def register(self, *, email: str, nickname: str, password_hash: str) -> str:
        """Create an account and return its id. Raises Conflict when the e-mail or nickname is taken."""
        user_id, auth_id, now = self._ids.new(), self._ids.new(), self._clock.now()

        def add(session: Session) -> None:
            store.add(
                session,
                User(id=user_id, nickname=nickname, created_at=now),
                UserAuth(id=auth_id, user_id=user_id, email=email, password_hash=password_hash),
            )

        try:
            await self._database.write(add)
        except store.NicknameTakenError as error:
            raise Conflict(_NICKNAME_TAKEN) from error
        except store.EmailTakenError as error:
            raise Conflict(_EMAIL_TAKEN) from error
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

    async def profile(self, user_id: str) -> store.Profile:
        """Return the caller's own profile. Raises NotFound when the account is gone."""
        profile = await self._database.read(partial(store.profile_of, user_id=user_id))
        if profile is None:
            raise NotFound
        return profile

    async def change_profile(self, user_id: str, *, nickname: str | None, remove_image: bool) -> None:
        """Change what is given. Raises Conflict when the nickname is another's, NotFound when the account is gone."""
        changes: dict[str, Any] = {} if nickname is None else {"nickname": nickname}
        if remove_image:
            changes["profile_image_key"] = None
        try:
            changed = await self._database.write(
                partial(store.change_profile, user_id=user_id, changes=changes, now=self._clock.now())
            )
        except store.NicknameTakenError as error:
            raise Conflict(_NICKNAME_TAKEN) from error
        if not changed:
            raise NotFound

    async def forget_withdrawn(self) -> int:
        """Remove the last traces of accounts withdrawn long ago, a bounded number a call; return how many."""
        before = self._clock.now() - TRACES_KEPT
        auth_ids = await self._database.read(partial(store.withdrawn_before, moment=before, limit=_FORGET_BATCH))
        if auth_ids:
            await self._database.write(partial(store.forget, auth_ids=auth_ids))
        return len(auth_ids)


def withdraw(session: Session, account: store.Login, now: datetime) -> None:
    """Withdraw an account within the caller's transaction, which has locked it. Doing it again changes nothing."""
    if account.status == STATUS_DELETED:
        return
    # A sign no nickname may hold, then 10^14 possibilities.
    nickname = "~" + "".join(secrets.choice(_PLACEHOLDER_LETTERS) for _ in range(9))
    email_hash = _hash_of(store.email_of(session, account.user_id))
    store.anonymise(session, account.user_id, nickname=nickname, email_hash=email_hash, now=now)


def _hash_of(email: str) -> str:
    return hashlib.sha256(email.lower().encode("utf-8", "surrogatepass")).hexdigest()


def require_no_image(field: str, key: str | None) -> None:
    """Refuse every image key: there is no upload yet, so no key can belong to the caller. An empty one means none."""
    if key:
        raise InvalidInput(FieldError(field, "업로드가 확인되지 않은 이미지입니다."))
