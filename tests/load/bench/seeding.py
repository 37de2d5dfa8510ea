"""A seeded database, kept in the cache: made once for each size and schema, copied for each run."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from bapsang_local.engine import Engine

from . import servers
from .interpreter import Interpreter
from .tables import say

# Part of the key: to be raised whenever what is made below changes.
EDITION = 1
# Nine in ten posts have a picture, half the people one of themselves; everybody has logged in once and so has a number.
_AFTERWARDS = (
    "UPDATE post_contents SET post_image_key = CONCAT('users/', id, '/post/', id, '.jpg') WHERE CRC32(id) % 10 > 0",
    "INSERT INTO post_images (post_id, position, object_key) SELECT id, 0, post_image_key FROM post_contents"
    " WHERE post_image_key IS NOT NULL",
    "UPDATE users SET profile_image_key = CONCAT('users/', id, '/profile/', id, '.jpg') WHERE CRC32(id) % 2 = 0",
    "INSERT INTO user_numbers (user_id) SELECT id FROM users ORDER BY id",
    "CREATE TABLE usual_post_likes LIKE user_post_likes",  # for the usual version to write to
    "INSERT INTO usual_post_likes SELECT * FROM user_post_likes ORDER BY post_id, user_id",
    "ANALYZE TABLE users, posts, post_contents, post_images, comments, user_post_likes, usual_post_likes",
)


@dataclass(frozen=True)
class Size:
    """How much there is."""

    users: int
    posts: int
    comments_per_post: int
    likes: int

    @classmethod
    def of(cls, posts: int) -> Size:
        return cls(users=min(100_000, max(2_000, posts // 10)), posts=posts, comments_per_post=2, likes=3 * posts)

    def key(self, code: Path) -> str:
        """Return a digest of all that decides what is in the database; `code` holds `bapsang_api`."""
        seeder = [*(code / "bapsang_api").glob("migrations/versions/r*.py"), *(code / "bapsang_api/seed").glob("*.py")]
        digest = hashlib.sha256(f"{EDITION} {asdict(self)} {servers.MYSQL}".encode())
        for file in sorted(seeder):
            digest.update(file.name.encode() + file.read_bytes())
        return digest.hexdigest()[:12]


def provide(size: Size, cache: Path, engine: Engine, python: Interpreter, logs: Path) -> Path:
    """Return the folder of the seeded data; makes it, which takes about a minute for 100,000 posts, unless it is there."""
    folder = cache / f"mysql-{size.posts}-{size.key(python.code)}"
    if folder.exists():
        return folder
    fresh = cache / f"{folder.name}.new"
    servers.remove(fresh)
    for old in cache.glob(f"mysql-{size.posts}-*"):
        servers.remove(old)
    say(f"Seeding {size.posts:,} posts of {size.users:,} users; kept in {folder} …")
    started = time.monotonic()
    with (
        servers.mysql(engine, fresh, buffer_pool="2G", log=logs / "seed-mysql.log") as mysql,
        servers.redis_server(engine, cache / "seed-redis", log=logs / "seed-redis.log") as redis,
    ):
        environment = {"BAPSANG_DATABASE_URL": mysql.url, "BAPSANG_REDIS_URL": redis.url}
        log = logs / "seed.log"
        log.unlink(missing_ok=True)
        python.run(["-m", "bapsang_api", "migrate"], environment, log)
        counts = (("users", size.users), ("posts", size.posts), ("likes", size.likes))
        numbers = [word for name, count in counts for word in (f"--{name}", str(count))]
        numbers += ["--comments-per-post", str(size.comments_per_post)]
        python.run(["-m", "bapsang_api", "seed", *numbers], environment, log)
        with mysql.cursor() as cursor:
            for statement in _AFTERWARDS:
                cursor.execute(statement)
    servers.remove(cache / "seed-redis")
    fresh.rename(folder)
    say(f"… in {time.monotonic() - started:.0f} s.")
    return folder


def copy(folder: Path, to: Path) -> None:
    """Copy seeded data, by reference where the file system can."""
    shutil.rmtree(to, ignore_errors=True)
    subprocess.run(["cp", "-a", "--reflink=auto", str(folder), str(to)], check=True, timeout=600)
