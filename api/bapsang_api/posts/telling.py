"""Who is told that a picture was refused after it was used: its owner, while something of theirs shows it."""

from datetime import datetime

from sqlalchemy import Connection

from bapsang_api.notifications.news import photo_refused
from bapsang_api.notifications.service import tell
from bapsang_api.posts import store
from bapsang_api.users import store as accounts


def tell_of_refused(connection: Connection, owner_id: str, image_id: str, object_key: str, now: datetime) -> None:
    """Tell an owner that a picture of a post or of the profile cannot be used."""
    post_id = store.post_showing(connection, object_key)
    if post_id is None and accounts.picture_of(connection, owner_id) != object_key:
        return
    tell(connection, [photo_refused(owner_id, image_id, post_id)], now)
