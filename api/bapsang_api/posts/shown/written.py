"""Whose the posts are that a process holds copies of: a change of an author is told of him, not of his posts."""

from collections.abc import Iterable


class Written:
    """The posts by author. Nearly all authors have one among the copies, for which a set would take five times its room."""

    def __init__(self) -> None:
        self._by: dict[str, str | set[str]] = {}

    def __len__(self) -> int:
        return len(self._by)

    def of(self, author_id: str) -> Iterable[str]:
        posts = self._by.get(author_id, ())
        return (posts,) if isinstance(posts, str) else posts

    def add(self, author_id: str, post_id: str) -> None:
        posts = self._by.setdefault(author_id, post_id)
        if isinstance(posts, set):
            posts.add(post_id)
        elif posts != post_id:
            self._by[author_id] = {posts, post_id}

    def remove(self, author_id: str, post_id: str) -> None:
        posts = self._by[author_id]
        if isinstance(posts, set):
            posts.discard(post_id)
        if not posts or posts == post_id:
            del self._by[author_id]
