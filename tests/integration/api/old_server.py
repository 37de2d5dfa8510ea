"""The database of an older server, made up: its tables as the contract has them, with ids as numbers or ULIDs."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import bcrypt
from sqlalchemy import text

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

    def __init__(self, url: str) -> None:
        self.url = url

    def insert(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            names = ", ".join(rows[0])
            values = ", ".join(f":{name}" for name in rows[0])
            with connected(self.url) as connection:
                connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), list(rows))  # noqa: S608
                connection.commit()

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
    with mysql_database(server_url, f"bapsang_old_{secrets.token_hex(4)}") as url:
        with connected(url) as connection:
            for statement in SCHEMA.format(id=ids).strip().split(";\n"):
                connection.execute(text(statement))
        yield OldServer(url)
