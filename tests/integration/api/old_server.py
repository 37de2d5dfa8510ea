"""The database of an older server, made up: its tables as the contract has them, with ids as numbers or ULIDs."""

# ruff: noqa: S608 - names and numbers of our own

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import bcrypt
from sqlalchemy import Connection, text

from .databases import connected, mysql_database

PASSWORD = "Bapsang-2026!"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()

# `{id}`: the type of an id. Collations of an older server: letters of either case are different.
SCHEMA = """
CREATE TABLE users (id {id} PRIMARY KEY, nickname VARCHAR(40), profile_image_key VARCHAR(300), user_role VARCHAR(16),
  user_status VARCHAR(16), created_at DATETIME(6), updated_at DATETIME(6), deleted_at DATETIME(6), legacy INT NULL);
CREATE TABLE user_auth (id {id} PRIMARY KEY, user_id {id}, password_hash VARCHAR(255), provider VARCHAR(16),
  email VARCHAR(300), KEY (user_id));
CREATE TABLE posts (id {id} PRIMARY KEY, user_id {id}, title TEXT, created_at DATETIME(6), updated_at DATETIME(6),
  deleted_at DATETIME(6), view_count INT, like_count INT, comment_count INT, post_status VARCHAR(16));
CREATE TABLE post_contents (id {id} PRIMARY KEY, content LONGTEXT, post_image_key VARCHAR(300));
CREATE TABLE comments (comment_id {id} PRIMARY KEY, user_id {id}, post_id {id}, parent_id {id}, depth INT,
  comment_group {id}, content TEXT, created_at DATETIME(6), updated_at DATETIME(6), deleted_at DATETIME(6),
  comment_status VARCHAR(16));
CREATE TABLE user_post_likes (user_id {id}, post_id {id}, created_at DATETIME(6), PRIMARY KEY (user_id, post_id))
"""
NUMBERS, ULIDS = "BIGINT", "CHAR(26)"


class OldServer:
    """Rows of an older server, with what is usual where a test says nothing."""

    def __init__(self, url: str, connection: Connection) -> None:
        self.url, self._connection = url, connection

    def insert(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            names = ", ".join(rows[0])
            values = ", ".join(f":{name}" for name in rows[0])
            self.execute(f"INSERT INTO {table} ({names}) VALUES ({values})", *rows)

    def execute(self, statement: str, *rows: Mapping[str, Any]) -> None:
        self._connection.execute(text(statement), list(rows) or None)
        self._connection.commit()

    def user(self, user_id: Any, nickname: str = "", email: str = "", **other: Any) -> None:
        """Add a user; without a login where `email` is None."""
        columns = {"profile_image_key": None, "user_role": "USER", "user_status": "ACTIVE", "deleted_at": None}
        row = {"id": user_id, "nickname": nickname or f"옛사람{user_id}"[-10:], **columns, **times(other)}
        login = {"password_hash": HASH, "provider": "LOCAL"}
        for name in ("password_hash", "provider"):
            if name in other:
                login[name] = other.pop(name)
        self.insert("users", [{**row, **other}])
        if email != "-":
            address = email or f"old{user_id}@example.com"
            self.insert("user_auth", [{"id": user_id, "user_id": user_id, "email": address, **login}])

    def post(
        self, post_id: Any, user_id: Any, content: str | None = "옛 글", key: str | None = None, **other: Any
    ) -> None:
        counts = {"view_count": 7, "like_count": 99, "comment_count": 99}
        row = {
            "id": post_id,
            "user_id": user_id,
            "title": f"제목 {post_id}",
            "post_status": "ACTIVE",
            "deleted_at": None,
        }
        self.insert("posts", [{**row, **counts, **times(other), **other}])
        if content is not None:
            self.insert("post_contents", [{"id": post_id, "content": content, "post_image_key": key}])

    def comment(self, comment_id: Any, post_id: Any, user_id: Any, parent: Any = None, **other: Any) -> None:
        columns = {"content": f"댓글 {comment_id}", "comment_status": "ACTIVE", "deleted_at": None}
        place = {"parent_id": parent, "depth": 9, "comment_group": comment_id}  # neither is believed
        row = {"comment_id": comment_id, "user_id": user_id, "post_id": post_id, **place, **columns}
        self.insert("comments", [{**row, **times(other), **other}])

    def like(self, post_id: Any, *user_ids: Any) -> None:
        rows = [{"user_id": user_id, "post_id": post_id, "created_at": "2024-05-01 00:00:00"} for user_id in user_ids]
        self.insert("user_post_likes", rows)


def times(given: Mapping[str, Any]) -> dict[str, Any]:
    made = given.get("created_at", "2024-04-01 12:00:00.5")
    return {"created_at": made, "updated_at": made}


@contextlib.contextmanager
def old_server(server_url: str, ids: str = NUMBERS) -> Iterator[OldServer]:
    """Yield the empty database of an older server."""
    with mysql_database(server_url, f"bapsang_old_{secrets.token_hex(4)}") as url, connected(url) as connection:
        old = OldServer(url, connection)
        for statement in SCHEMA.format(id=ids).strip().split(";\n"):
            old.execute(statement)
        yield old


def fill(old: OldServer, *, users: int, posts: int, comments: int, likes: int) -> None:
    """Make up a whole community within the server: every hundredth user has withdrawn, every fiftieth post is deleted, one
    that all like, some rows of each kind that belong to nothing. Replies are up to five deep, and a few come before what
    they reply to."""
    depth = max(users, posts, comments, likes) + 1
    made = "TIMESTAMP('2020-01-01') + INTERVAL n * 37 MINUTE"
    statements = (
        f"INSERT INTO users SELECT n, CONCAT('u', n), NULL, 'USER', IF(n % 100 = 99, 'DELETED', 'ACTIVE'), {made}, {made}, "
        f"NULL, NULL FROM numbers WHERE n BETWEEN 1 AND {users}",
        f"INSERT INTO user_auth SELECT n, n, '{HASH}', 'LOCAL', CONCAT('old', n, '@example.com') FROM numbers "
        f"WHERE n BETWEEN 1 AND {users}",
        f"INSERT INTO posts SELECT n, 1 + n * 31 % ({users} + 2), CONCAT('제목 ', n), {made}, {made}, NULL, n % 1000, 5, 5, "
        f"IF(n % 50 = 49, 'DELETED', 'ACTIVE') FROM numbers WHERE n BETWEEN 1 AND {posts}",
        f"INSERT INTO post_contents SELECT n, CONCAT('오늘의 밥상 ', n, ' 된장찌개와 밥 한 공기'), NULL FROM numbers "
        f"WHERE n BETWEEN 1 AND {posts}",
        f"INSERT INTO comments SELECT n, 1 + n * 17 % {users}, IF(n % 101 = 0, {posts} + 1, 1 + n DIV 10), "
        "CASE n % 10 WHEN 0 THEN NULL WHEN 6 THEN NULL WHEN 5 THEN n + 1 ELSE IF(n % 97 = 0, -n, n - 1) END, "
        f"0, n, CONCAT('댓글 ', n), {made}, {made}, NULL, IF(n % 20 = 3, 'DELETED', 'ACTIVE') FROM numbers "
        f"WHERE n BETWEEN 1 AND {comments}",
        f"INSERT INTO user_post_likes SELECT n, 1, {made} FROM numbers WHERE n BETWEEN 1 AND {users}",
        f"INSERT IGNORE INTO user_post_likes SELECT 1 + n * 7919 % ({users} + 1), 2 + n DIV {max(1, likes // posts)} % {posts}, "
        f"{made} FROM numbers WHERE n < {likes}",
    )
    old.execute(f"SET SESSION cte_max_recursion_depth = {depth + 2}")
    old.execute("CREATE TABLE numbers (n INT PRIMARY KEY)")
    counting = f"WITH RECURSIVE up AS (SELECT 0 AS n UNION ALL SELECT n + 1 FROM up WHERE n < {depth}) SELECT n FROM up"
    for statement in (f"INSERT INTO numbers {counting}", *statements, "DROP TABLE numbers"):
        old.execute(statement)
