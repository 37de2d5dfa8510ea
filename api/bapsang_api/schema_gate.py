"""The gate before readiness and before the jobs: this program works only on a database that has the schema it needs.

A Secret may name an empty, older or wrong database. Without the gate every new pod became ready on it, and a rollout
replaced all pods that served by pods that answered 500.
"""

import asyncio
import logging
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from bapsang_api import endings
from bapsang_api.endings import Code, Ending, EndingError
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.problem import Unavailable
from bapsang_api.migrate import is_behind

log = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 1.0
# A replica that is merely down is no reason to wait: the writer reads for it.
_HOLDS_UP_FOR_REPLICA: Final = frozenset({Code.SCHEMA_BEHIND, Code.DATABASE_REFUSED, Code.DATABASE_TLS})


class UnfitDatabaseError(EndingError):
    """The database does not answer, refuses this program, or lacks what it needs."""


async def require_fit(database: Database) -> None:
    """Raise UnfitDatabaseError unless the writer has the schema that this program needs."""
    ending = await _unfit(database)
    if ending is not None:
        raise UnfitDatabaseError(ending, str(ending))


async def until_fit(database: Database) -> None:
    """Wait until the writer, and the replica where there is one, have been found fit once; log what stands in the way.

    A database that is lost later is another matter: a blip would make every replica of this service unready at once.
    """
    last: tuple[str, Ending] | None = None
    while (found := await _first_unfit(database)) is not None:
        if found != last:
            server, ending = found
            extra = {"server": server, "code": ending.code, "number": ending.number, "setting": ending.setting}
            log.warning("serve.database_unfit", extra=extra)
            endings.write(ending)
        last = found
        await asyncio.sleep(PAUSE_SECONDS)
    endings.write(None)


async def _first_unfit(database: Database) -> tuple[str, Ending] | None:
    for one in database.servers():
        ending = await _unfit(one)
        if ending is not None and (one is database or ending.code in _HOLDS_UP_FOR_REPLICA):
            return one.server, ending
    return None


async def _unfit(database: Database) -> Ending | None:
    """Return what keeps this program from working on one server; None when nothing does."""
    try:
        return Ending(Code.SCHEMA_BEHIND) if await database.run(lambda: database.reading(is_behind)) else None
    except (Unavailable, SQLAlchemyError) as error:
        return endings.of(error)
    except Exception as error:  # an option of the URL that the driver does not know
        log.exception("serve.database_unasked")
        return endings.of(error)
