"""Use cases of accounts."""

from functools import partial

from sqlalchemy.orm import Session

from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db import Database
from bapsang_api.kit.ids import Ids
from bapsang_api.kit.problem import Conflict, FieldError, InvalidInput, NotFound
from bapsang_api.users import store
from bapsang_api.users.models import User, UserAuth

_EMAIL_TAKEN = "이미 사용 중인 이메일입니다."
_NICKNAME_TAKEN = "이미 사용 중인 닉네임입니다."


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
        return await self._database.read(partial(store.login_of, email=email))

    async def profile(self, user_id: str) -> store.Profile:
        """Return the caller's own profile. Raises NotFound when the account is gone."""
        profile = await self._database.read(partial(store.profile_of, user_id=user_id))
        if profile is None:
            raise NotFound
        return profile


def require_no_image(field: str, key: str | None) -> None:
    """Refuse every image key: there is no upload yet, so no key can belong to the caller. An empty one means none."""
    if key:
        raise InvalidInput(FieldError(field, "업로드가 확인되지 않은 이미지입니다."))
