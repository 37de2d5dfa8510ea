"""The outbox as other domains see it: a letter is written in the transaction that it is about, and sent by the worker."""

import json
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from bapsang_api.kit.clock import Clock
from bapsang_api.kit.ids import Ids
from bapsang_api.mail import store
from bapsang_api.mail.letters import VALUES, Letter
from bapsang_api.mail.models import Mail

log = logging.getLogger(__name__)

#: For how long an address that has bounced is sent nothing. People free a full mailbox, and servers err.
MARK_KEPT: Final = timedelta(days=30)
_MOST_BYTES: Final = 2048
_MOST_CHARACTERS: Final = 300  # of a value


class Outbox:
    """Takes letters. Where the platform has no mail (`on` is false) it takes none, and says so."""

    def __init__(self, clock: Clock, ids: Ids, seal: Callable[[bytes, str], bytes], *, on: bool) -> None:
        """`seal` encrypts what a letter shows, for its id alone: nobody who reads the database may use its links."""
        self._clock, self._ids, self._seal, self.on = clock, ids, seal, on

    def add(
        self, connection: Connection, letter: Letter, *, address: str, user_id: str | None, values: Mapping[str, str]
    ) -> str | None:
        """Write a letter within the caller's transaction; return its id.

        None where there is no mail, and for an address that takes none. `values` are those that `letters.VALUES` says; long ones
        are cut.
        """
        assert values.keys() == VALUES[letter], letter  # noqa: S101 - a mistake of ours, which each test of the caller meets
        if not self.on:
            return None
        now, mail_id, address_hash = self._clock.now(), self._ids.new(), store.hash_of(address)
        if store.is_marked(connection, address_hash, now - MARK_KEPT):
            log.info("mail.suppressed", extra={"letter": letter, "user_id": user_id})
            return None
        shown = {name: value[:_MOST_CHARACTERS] for name, value in values.items()}
        sealed = self._seal(json.dumps(shown, ensure_ascii=False).encode("utf-8", "replace"), mail_id)
        assert len(sealed) <= _MOST_BYTES  # noqa: S101 - two values of 300 characters
        store.add(
            connection,
            Mail(
                id=mail_id,
                user_id=user_id,
                letter=letter,
                address=address,
                address_hash=address_hash,
                sealed=sealed,
                created_at=now,
                due_at=now,
            ),
        )
        return mail_id

    def confirmed(self, connection: Connection, address: str) -> None:
        """Have an address take mail again: somebody has proved that they read there."""
        store.unmark(connection, store.hash_of(address))
