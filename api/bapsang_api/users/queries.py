"""The SQL of what users see of their own account."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final

from sqlalchemy import BindParameter, Connection, bindparam, select

from bapsang_api.kit.db.columns import table_of
from bapsang_api.kit.db.views import columns_of
from bapsang_api.uploads.photo import Photo
from bapsang_api.uploads.store import photo_of
from bapsang_api.users.models import STATUS_ACTIVE, User, UserAuth

users: Final = table_of(User)
user_auth: Final = table_of(UserAuth)


@dataclass(frozen=True)
class Profile:
    """What a user sees of their own account."""

    nickname: Annotated[str, users.c.nickname]
    email: Annotated[str, user_auth.c.email]
    email_verified_at: Annotated[datetime | None, user_auth.c.email_verified_at]
    image_key: Annotated[str | None, users.c.profile_image_key]
    photo: Annotated[Photo | None, photo_of(users.c.profile_image_key, of=users)]


_THESE: Final[BindParameter[str]] = bindparam("user_ids", expanding=True)
_PROFILES: Final = (
    select(users.c.id, *columns_of(Profile))
    .join(user_auth, user_auth.c.user_id == users.c.id)
    .where(users.c.id.in_(_THESE), users.c.user_status == STATUS_ACTIVE)
)


def profiles_of(connection: Connection, user_ids: Collection[str]) -> dict[str, Profile]:
    """Return the profiles of those accounts that are active."""
    rows = connection.execute(_PROFILES, {"user_ids": list(user_ids)})
    return {user_id: Profile(*row) for user_id, *row in rows}
