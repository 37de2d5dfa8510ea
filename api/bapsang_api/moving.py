"""What `bapsang-api import` does: takes over an older server's database once and says what became of it."""

import json
import logging
import sys
from collections.abc import Mapping

from sqlalchemy.exc import DBAPIError

from bapsang_api import endings
from bapsang_api.importing.queries import OldDatabase
from bapsang_api.importing.service import Import, ImportRefusedError, Options
from bapsang_api.kit.clock import SystemClock
from bapsang_api.kit.db.connections import Limits
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.logs import describe
from bapsang_api.kit.problem import Unavailable
from bapsang_api.kit.redis.client import OUTAGE, open_redis
from bapsang_api.likes.store import LikeStore
from bapsang_api.schema_gate import UnfitDatabaseError, require_fit
from bapsang_api.settings import Settings
from bapsang_api.uploads.storage import Storage

log = logging.getLogger(__name__)

# Batches are large, and nobody waits for them.
_LIMITS = Limits(connections=3, connect_seconds=10, statement_seconds=60)


def source_of(url: str | None, variable: str | None, environment: Mapping[str, str]) -> str:
    """Return the URL of the older server's database, given as it is or by the name of a variable that holds it.

    Raises ImportRefusedError for none, both, and a variable that is not set.
    """
    if (url is None) == (variable is None):
        raise ImportRefusedError("one of --from and --from-env is required")
    found = url if variable is None else environment.get(variable)
    if not found:
        raise ImportRefusedError(f"--from-env {variable}: no such variable")
    return found


async def move_in(settings: Settings, *, source: str, options: Options) -> bool:
    """Import the database at `source`, print the report, and return whether it explains every row. False when it failed, too.

    Raises ImportRefusedError and OldSchemaError: nothing was written then.
    """
    old = OldDatabase(source)
    database = Database(settings.database_url, _LIMITS)
    redis = open_redis(settings.shared_redis, seconds=5.0, connections=2)
    likes = LikeStore(redis)
    storage = Storage(settings.bucket) if settings.bucket else None

    async def unload(post_id: str) -> None:
        if not settings.embedded_redis:  # which belongs to the server's process alone
            await likes.unload(post_id)

    try:
        await require_fit(database)
        report = await Import(old, database, storage, unload, SystemClock(), options).run()
    except (Unavailable, UnfitDatabaseError, DBAPIError, *OUTAGE) as error:
        # The text of a database's error has its host, which is nobody's secret, and never a password.
        log.error("import.failed", extra={"error": describe(error), "hint": "run it again: it goes on where it was"})
        endings.write(endings.of(error))
        return False
    finally:
        old.close()
        if storage is not None:
            await storage.close()
        await database.close()
        await redis.aclose()
    sys.stdout.write(json.dumps(report, ensure_ascii=False, indent=1) + "\n")
    rows = {name: table["new"] for name, table in report["tables"].items()}
    log.info("import.done", extra={"seconds": report["seconds"], "unexplained": len(report["unexplained"]), **rows})
    return not report["unexplained"]
