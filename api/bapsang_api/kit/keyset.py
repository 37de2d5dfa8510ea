"""Keysets in SQL: where a page goes on, in a form that an index on (…, created_at, id) serves.

Spelled out, with the redundant first term: MySQL does not use an index range for row comparisons.
"""

from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_

from bapsang_api.kit.cursor import Keyset


def older(than: Keyset, created_at: ColumnElement[datetime], item_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition on what follows `than` where the newest come first."""
    strictly = created_at < than.created_at
    if than.item_id is not None:
        strictly = or_(strictly, and_(created_at == than.created_at, item_id < than.item_id))
    return and_(created_at <= than.created_at, strictly)


def newer(than: Keyset, created_at: ColumnElement[datetime], item_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition on what follows `than` where the oldest come first."""
    strictly = created_at > than.created_at
    if than.item_id is not None:
        strictly = or_(strictly, and_(created_at == than.created_at, item_id > than.item_id))
    return and_(created_at >= than.created_at, strictly)
