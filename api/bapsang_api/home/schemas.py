"""Wire shapes of people as others see them."""

from pydantic import Field

from bapsang_api.http.paging import Cursor
from bapsang_api.http.wire import Wire
from bapsang_api.uploads.schemas import ShownPhoto


class Person(Wire):
    """Somebody in a list of people."""

    user_id: str
    nickname: str
    profile_image_url: str | None
    profile_image: ShownPhoto | None


class PeoplePage(Wire):
    """A page of people, those first who are in the list since last. `nextCursor` is passed back verbatim; it is null on the last."""

    items: list[Person]
    next_cursor: Cursor | None
    has_more: bool


class Counts(Wire):
    """How many visible posts somebody has written, how many people follow them, and how many they follow."""

    posts: int
    followers: int
    following: int


class Relation(Wire):
    """Whether the caller follows somebody, is followed by them, and has muted them."""

    follows: bool
    followed_by: bool
    mutes: bool


class Profile(Person):
    """Somebody's page. `relation` is null without a token, and of the caller's own."""

    joined_on: str = Field(description="The day of the sign-up, in Seoul.", examples=["2026-11-23"])
    counts: Counts
    relation: Relation | None
