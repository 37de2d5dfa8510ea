"""The outbox as other domains see it: a letter is written in the transaction that it is about, and sent by the worker."""

import json
from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy import Connection

from bapsang_api.kit.clock import Clock
from bapsang_api.kit.ids import Ids
from bapsang_api.mail import store
from bapsang_api.mail.letters import Letter
from bapsang_api.mail.models import Mail

_MOST_BYTES: Final = 2048


class Outbox:
    """Takes letters. Where the platform has no mail (`on` is false) it takes none, and says so."""

    def __init__(self, clock: Clock, ids: Ids, seal: Callable[[bytes], bytes], *, on: bool) -> None:
        """`seal` encrypts what a letter shows, links among it: nobody who reads the database may use them."""
        self._clock, self._ids, self._seal, self.on = clock, ids, seal, on

    def add(
        self, connection: Connection, letter: Letter, *, address: str, user_id: str | None, values: Mapping[str, str]
    ) -> str | None:
        """Write a letter within the caller's transaction; return its id, None where there is no mail."""
        if not self.on:
            return None
        sealed = self._seal(json.dumps(dict(values)).encode())
        assert len(sealed) <= _MOST_BYTES  # noqa: S101 - values are our own
        now, mail_id = self._clock.now(), self._ids.new()
        store.add(
            connection,
            Mail(
                id=mail_id, user_id=user_id, letter=letter, address=address, sealed=sealed, created_at=now, due_at=now
            ),
        )
        return mail_id
