"""The data model of the older server, which is the contract's: what is read of it, and its ids as texts."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Final

Row = Mapping[str, Any]
Key = tuple[Any, ...]

USERS, USER_AUTH, POSTS, POST_CONTENTS = "users", "user_auth", "posts", "post_contents"
COMMENTS, LIKES = "comments", "user_post_likes"
_TIMES: Final = ("created_at", "updated_at", "deleted_at")
#: What is read of each table. Its key comes first.
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    USERS: ("id", "nickname", "profile_image_key", "user_role", "user_status", *_TIMES),
    USER_AUTH: ("id", "user_id", "password_hash", "provider", "email"),
    POSTS: ("id", "user_id", "title", "view_count", "post_status", *_TIMES),
    POST_CONTENTS: ("id", "content", "post_image_key"),
    COMMENTS: ("comment_id", "user_id", "post_id", "parent_id", "content", "comment_status", *_TIMES),
    LIKES: ("user_id", "post_id", "created_at"),
}
KEYS: Final[Mapping[str, frozenset[str]]] = {
    **{name: frozenset(columns[:1]) for name, columns in COLUMNS.items()},
    LIKES: frozenset({"user_id", "post_id"}),
}


class OldSchemaError(Exception):
    """What is given is not the database of an older server; the text says what is missing. Nothing was written."""


def id_text(value: Any) -> str:
    """Return an id as it stands in the older server's URLs: numbers and texts as they are, 16 bytes as a UUID."""
    if isinstance(value, bytes):
        return str(uuid.UUID(bytes=value)) if len(value) == 16 else value.decode("latin-1")
    return str(value)


def to_json(key: Key) -> list[Any]:
    """Return a key in a form that JSON can hold."""
    return [{"bytes": part.hex()} if isinstance(part, bytes) else part for part in key]


def of_json(parts: Iterable[Any]) -> Key:
    return tuple(bytes.fromhex(part["bytes"]) if isinstance(part, dict) else part for part in parts)
