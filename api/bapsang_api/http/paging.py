"""Keyset cursors: the time and id of the last item seen, as two query parameters that clients pass back verbatim."""

from functools import lru_cache
from typing import Annotated, Final, TypeVar
from urllib.parse import parse_qsl

from fastapi import Query
from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

from bapsang_api.http.validation import empty_as_absent, invalid_input, whole_number
from bapsang_api.http.wire import Wire
from bapsang_api.kit.clock import from_wire, to_wire
from bapsang_api.kit.db.keyset import Following, Keyset
from bapsang_api.kit.ids import is_ulid
from bapsang_api.kit.problem import FieldError, InvalidInput

DEFAULT_SIZE = 20
MAX_SIZE = 100
# A cursor and a size are some 120 bytes. Clients write the keys of this cache, so a longer query must not get into it.
_REMEMBERED_BYTES: Final = 256


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


class SizeQuery(Wire):
    """How many items a request wants. Empty parameters count as absent."""

    model_config = ConfigDict(populate_by_name=False)

    size: Annotated[
        Annotated[int, Field(ge=1, le=MAX_SIZE)] | None,
        BeforeValidator(whole_number),
        BeforeValidator(empty_as_absent),
    ] = Field(default=None, description="Items per page, 1-100, 20 when absent.")

    @property
    def most(self) -> int:
        return self.size or DEFAULT_SIZE


class PageQuery(SizeQuery):
    """Which page a request wants."""

    cursor_id: str | None = Field(default=None, description="`nextCursor.id` of the page before.")
    cursor_created_at: str | None = Field(default=None, description="`nextCursor.createdAt` of the page before.")

    @property
    def start(self) -> Keyset | None:
        """Where the page starts, None at the beginning. Raises InvalidInput, here and not while parameters are read: whoever
        may not ask at all is told that first."""
        return parse_cursor(self.cursor_id, self.cursor_created_at)


Q = TypeVar("Q", bound=SizeQuery)
RequestedPage = Annotated[PageQuery, Query()]


def query_of(model: type[Q], query: bytes) -> Q:
    """Return the parameters of a direct route. Raises InvalidInput."""
    return _remembered(model, query) if len(query) <= _REMEMBERED_BYTES else _query_of(model, query)


def _query_of(model: type[Q], query: bytes) -> Q:
    try:
        # The last of each name counts, as for the framework.
        return model.model_validate(dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)))
    except ValidationError as error:
        raise invalid_input({**one, "loc": ("query", *one["loc"])} for one in error.errors()) from None


@lru_cache(maxsize=1024)  # of at most a KiB each
def _remembered(model: type[Q], query: bytes) -> Q:
    return _query_of(model, query)
