"""Pictures of the older server: once their objects are in the bucket, under the keys of before, they are taken as uploads are."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Final

from sqlalchemy import Connection

from bapsang_api.importing import store
from bapsang_api.importing.report import Step
from bapsang_api.importing.store import SeenPicture, UnseenPicture
from bapsang_api.kit.db.database import Lane
from bapsang_api.media import look
from bapsang_api.media.kinds import HEAD
from bapsang_api.media.verdict import Refused, Use
from bapsang_api.uploads import photo, rules
from bapsang_api.uploads.s3 import ChangedError, Objects
from bapsang_api.uploads.storage import Storage

AT_ONCE: Final = 32  # eight at a time, four rounds a transaction
_MISSING: Final = "object_missing"


async def take_pictures(lane: Lane, storage: Storage | None, step: Step, now: datetime) -> Step | None:
    """Take the next pictures and return how far the step is then; None at the end. Raises Unavailable.

    One whose object is not there is left as it is, so that a later run finds it. Without a bucket all are.
    """
    after = str(step.after[0]) if step.after else ""
    unseen = await lane.write(partial(store.unseen_pictures, after=after, limit=AT_ONCE))
    if not unseen:
        return None
    if storage is None:
        seen: Sequence[SeenPicture | str] = ["bucket_missing"] * len(unseen)
    else:
        seen = await asyncio.gather(*(storage.run(partial(_kept, storage.objects, one)) for one in unseen))
    return await lane.write(partial(_note, step=step, unseen=unseen, seen=seen, now=now))


def _kept(objects: Objects, unseen: UnseenPicture) -> SeenPicture | str:
    """Look at an object and copy it to where nobody can change it; a text says why not."""
    stored = objects.read_head(unseen.upload_key, most=HEAD)
    if stored is None:
        return _MISSING
    use = Use.PROFILE if rules.use_of(unseen.object_key) is Use.PROFILE else Use.POST
    found = look.look(stored.content, stored.size)
    if isinstance(found, Refused):
        return SeenPicture(unseen.image_id, stored.etag, photo.refused(photo.pending(None, None, use), found.reason))
    try:
        objects.copy_unchanged(unseen.upload_key, rules.original_key(unseen.image_id), stored.etag)
    except ChangedError:
        return _MISSING
    return SeenPicture(unseen.image_id, stored.etag, photo.pending(found.width, found.height, use))


def _note(
    connection: Connection,
    *,
    step: Step,
    unseen: Sequence[UnseenPicture],
    seen: Sequence[SeenPicture | str],
    now: datetime,
) -> Step:
    copy = Step.of_state(step.name, step.to_state(), done=False)
    copy.after = (unseen[-1].image_id,)
    for one, found in zip(unseen, seen, strict=True):
        copy.tally.found += 1
        if isinstance(found, str):
            copy.tally.skip(one.upload_key, found)
            continue
        copy.tally.imported += 1
        reason = found.photo.reason
        copy.tally.take(one.upload_key, one.image_id, [] if reason is None else [reason.lower()])
    store.keep_pictures(connection, [found for found in seen if not isinstance(found, str)], now)
    store.save(connection, copy, now)
    return copy
