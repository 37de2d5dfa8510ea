"""A copy that is evicted while its post is looked at does not make the post look as if there were none."""

from typing import Any

from bapsang_api.posts.shown.cache import PostCache
from bapsang_api.posts.shown.store import Standing
from bapsang_api.posts.shown.wire import Parts


class Likes:
    """Evicts everything while it is asked: the worst moment."""

    cache: PostCache | None = None

    async def counts(self, _: list[str]) -> dict[str, int]:
        for kept in list(self.cache._copies if self.cache else ()):
            self.cache._drop(kept)  # type: ignore[union-attr]
        return {}


class Unchanged:
    """A database in which the post is as it was."""

    lags = False

    async def read(self, work: Any) -> Any:
        versions, post_ids, before = work.args[0] if work.args else {}, *work.args[1:3]
        assert versions == {"p": (None, None)}
        standings = {name: Standing("a", 1, 2, 3, (None, None)) for name in post_ids}
        return type(before)(standings, {})


async def test_a_post_whose_copy_goes_while_it_is_looked_at_is_still_found() -> None:
    likes = Likes()
    cache = PostCache(Unchanged(), likes, lambda _: Parts((b"", b""), (b"", b"")))  # type: ignore[arg-type]
    cache._keep("p", Parts((b"<", b">"), (b"<", b">")), Standing("a", 1, 2, 3, (None, None)), 1, 0.0)
    likes.cache = cache
    found = await cache.find("p")
    assert found is not None
    assert found.parts.item == (b"<", b">")
    assert cache._written_by == {"a": {"p"}}
