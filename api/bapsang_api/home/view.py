"""What somebody sees of other people, by named columns."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final

from bapsang_api.kit.db.columns import table_of
from bapsang_api.kit.db.keyset import Following
from bapsang_api.uploads.photo import Photo
from bapsang_api.uploads.store import photo_of
from bapsang_api.users.models import User

users: Final = table_of(User)


@dataclass(frozen=True)
class PersonView:
    """A person in a list."""

    user_id: Annotated[str, users.c.id]
    nickname: Annotated[str, users.c.nickname]
    image_key: Annotated[str | None, users.c.profile_image_key]
    photo: Annotated[Photo | None, photo_of(users.c.profile_image_key, of=users)]


@dataclass(frozen=True)
class Relation:
    """What a viewer and somebody else are to each other."""

    follows: bool
    followed_by: bool
    mutes: bool


@dataclass(frozen=True)
class Profile:
    """A person's page. `relation` is None for who has no token, and for oneself."""

    person: PersonView
    joined_at: datetime
    posts: int
    followers: int
    following: int
    relation: Relation | None


@dataclass(frozen=True)
class ListedPerson:
    """A person in a list, and since when they are in it."""

    since: datetime
    person: PersonView

    @property
    def place(self) -> Following:
        """Where the list goes on after this one."""
        return Following(self.since, self.person.user_id)


@dataclass(frozen=True)
class PeoplePage:
    """A page of people and where the next one goes on, None on the last."""

    people: list[PersonView]
    following: Following | None
