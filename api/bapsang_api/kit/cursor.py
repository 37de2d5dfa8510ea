"""Keyset cursors: the time and id of the last item seen, as two query parameters that clients pass back verbatim."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import BeforeValidator, Field

from bapsang_api.kit.clock import from_wire, to_wire
from bapsang_api.kit.ids import is_ulid
from bapsang_api.kit.problem import FieldError, InvalidInput
from bapsang_api.kit.validation import empty_as_absent
from bapsang_api.kit.wire import Wire

DEFAULT_SIZE = 20
MAX_SIZE = 100


@dataclass(frozen=True)
class Keyset:
    """Items strictly older than this come next; `item_id` is None when only a time was given."""

    created_at: datetime
    item_id: str | None


class Cursor(Wire):
    """The cursor of the next page."""

    id: str
    created_at: str

    @classmethod
    def of(cls, item_id: str, created_at: datetime) -> "Cursor":
        return cls(id=item_id, created_at=to_wire(created_at))


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
    BeforeValidator(empty_as_absent),
    Query(description="Items per page, 1-100, 20 when absent."),
]
CursorId = Annotated[str | None, Query(alias="cursorId", description="`nextCursor.id` of the page before.")]
CursorCreatedAt = Annotated[
    str | None, Query(alias="cursorCreatedAt", description="`nextCursor.createdAt` of the page before.")
]
