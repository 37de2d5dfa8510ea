"""Keyset cursors: the time and id of the last item seen, as two query parameters that clients pass back verbatim."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Final
from urllib.parse import parse_qsl

from fastapi import Depends, Query
from pydantic import BeforeValidator, Field

from bapsang_api.http.validation import empty_as_absent, whole_number
from bapsang_api.http.wire import Wire
from bapsang_api.kit.clock import from_wire, to_wire
from bapsang_api.kit.db.keyset import Following, Keyset
from bapsang_api.kit.ids import is_ulid
from bapsang_api.kit.problem import FieldError, InvalidInput
from bapsang_api.kit.text import number_of

DEFAULT_SIZE = 20
MAX_SIZE = 100
_PLAIN: Final = 3  # parameters: what says one of them twice is not plain
# Bytes. A cursor and a size are some 120. Clients write the keys of this cache, so a longer query must not get into it.
_LONGEST_PLAIN: Final = 256


class Cursor(Wire):
    """The cursor of the next page."""

    id: str
    created_at: str

    @classmethod
    def of(cls, following: Following | None) -> "Cursor | None":
        return cls(id=following.item_id, created_at=to_wire(following.created_at)) if following else None


def parse_cursor(cursor_id: str | None, cursor_created_at: str | None) -> Keyset | None:
    """Return where the page starts, None for the newest. A `cursorId` alone is ignored. Raises InvalidInput."""
    if not cursor_created_at:
        return None
    if cursor_id and not is_ulid(cursor_id):
        raise InvalidInput(FieldError("cursorId", "올바르지 않은 커서입니다."))
    try:
        created_at = from_wire(cursor_created_at)
    except ValueError as error:
        raise InvalidInput(FieldError("cursorCreatedAt", "올바르지 않은 커서입니다.")) from error
    return Keyset(created_at, cursor_id or None)


PageSize = Annotated[
    Annotated[int, Field(ge=1, le=MAX_SIZE)] | None,
    BeforeValidator(whole_number),
    BeforeValidator(empty_as_absent),
    Query(description="Items per page, 1-100, 20 when absent."),
]
CursorId = Annotated[str | None, Query(alias="cursorId", description="`nextCursor.id` of the page before.")]
CursorCreatedAt = Annotated[
    str | None, Query(alias="cursorCreatedAt", description="`nextCursor.createdAt` of the page before.")
]


@dataclass(frozen=True)
class Paging:
    """What a request says of the page it wants."""

    size: int
    cursor_id: str | None
    cursor_created_at: str | None

    @property
    def start(self) -> Keyset | None:
        """Where the page starts, None at the beginning. Raises InvalidInput, here and not while parameters are read: whoever
        may not ask at all is told that first."""
        return parse_cursor(self.cursor_id, self.cursor_created_at)


# async: a plain function would cost a thread hop per request
async def _paging(
    size: PageSize = None, cursor_id: CursorId = None, cursor_created_at: CursorCreatedAt = None
) -> Paging:
    return Paging(size or DEFAULT_SIZE, cursor_id, cursor_created_at)


RequestedPage = Annotated[Paging, Depends(_paging)]


def plain_page(query: bytes) -> tuple[Keyset | None, int] | None:
    """Return start and size of the page that a plain query asks for, None for any other. Raises InvalidInput for a bad cursor."""
    if not query:
        return None, DEFAULT_SIZE
    return _plain_page(query) if len(query) <= _LONGEST_PLAIN else None


@lru_cache(maxsize=1024)  # of at most a KiB each
def _plain_page(query: bytes) -> tuple[Keyset | None, int] | None:
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    asked = dict(pairs)
    size = asked.pop("size", "") or str(DEFAULT_SIZE)
    cursor_id, created_at = asked.pop("cursorId", None), asked.pop("cursorCreatedAt", None)
    try:
        number = number_of(size)
    except ValueError:
        return None
    if asked or len(pairs) > _PLAIN or not 1 <= number <= MAX_SIZE:
        return None
    return parse_cursor(cursor_id, created_at), number
