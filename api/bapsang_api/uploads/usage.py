"""Which images something refers to: written down within the transactions of those that refer to them."""

from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy import Connection

from bapsang_api.kit.problem import Unavailable
from bapsang_api.uploads import rules, store


def attach(connection: Connection, keys: Iterable[str], *, owner_id: str, now: datetime) -> None:
    """Keep published images for good; within the transaction that refers to them. Raises Unavailable.

    That is when the collector took one that was unused for a day in this very moment; sent again, the request finds
    that out in time.
    """
    if (image_ids := _ids_of(keys)) and not store.claim(connection, owner_id, image_ids, now):
        raise Unavailable


def detach(connection: Connection, keys: Iterable[str], now: datetime) -> None:
    """Note that something ceased to refer to these images; within the transaction in which it does.

    Those that nothing else refers to are taken down within seconds (`Takedown`).
    """
    store.release(connection, _ids_of(keys), now)


def withhold(connection: Connection, keys: Iterable[str], now: datetime) -> None:
    """Keep everybody from loading these images; within the transaction that hides what shows them."""
    store.withhold(connection, _ids_of(keys), now, now)


def restore(connection: Connection, keys: Iterable[str], now: datetime) -> None:
    """Let everybody load these images again; within the transaction that shows what they belong to."""
    store.withhold(connection, _ids_of(keys), None, now)


def _ids_of(keys: Iterable[str]) -> Collection[str]:
    """Return the ids in keys of published images."""
    return {rules.image_id_of(key) for key in keys}
