"""Which rows there will be. Pure: the same numbers give the same rows, block by block, whatever was made before."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from ulid import ULID

from bapsang_api.seed import words

YEAR: Final = timedelta(days=365)
# The first tenth of the year only signs up: nobody writes before they have joined.
_JOINING: Final = 0.1
_SKEW: Final = 0.9  # exponent of the Zipf law of likes: the first post in a hundred gets about half of them
_MOST_DEPTH: Final = 3
_REPLY: Final = 0.45
BLOCK: Final = 2_000

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Sizes:
    """How much there will be; `comments_per_post` is the mean. The year ends at `until`.

    Raises ValueError for what cannot be.
    """

    users: int
    posts: int
    comments_per_post: int
    likes: int
    seed: int
    until: datetime

    def __post_init__(self) -> None:
        if self.users < 1 and (self.posts or self.likes):
            raise ValueError("--users: posts need at least one user")
        if self.likes > self.users * self.posts:
            raise ValueError(f"--likes: at most {self.users * self.posts}, a like for each user and post")

    @property
    def rows(self) -> int:
        """How many rows that makes, the comments as expected."""
        return 2 * self.users + 2 * self.posts + self.likes + self.posts * self.comments_per_post


@dataclass
class Block:
    """Rows by table, in the order of their foreign keys; each row in the order of the table's columns in `store`."""

    rows: dict[str, list[Row]] = field(default_factory=dict)

    def add(self, table: str, row: Row) -> None:
        self.rows.setdefault(table, []).append(row)

    @property
    def size(self) -> int:
        return sum(map(len, self.rows.values()))


class Plan:
    """The community of some sizes. `offset` users are there already, so that one plan can be added to another."""

    def __init__(self, sizes: Sizes, password_hash: str, *, offset: int = 0) -> None:
        self._sizes, self._password_hash, self._offset = sizes, password_hash, offset
        self._start = sizes.until.astimezone(UTC) - YEAR
        self._user_ids: list[str] = []

    def blocks(self) -> Iterator[Block]:
        """Yield everything, the users first. After each block every counter is exact."""
        for first in range(0, self._sizes.users, BLOCK):
            yield self._users(first, min(first + BLOCK, self._sizes.users))
        likes = like_counts(self._sizes.users, self._sizes.posts, self._sizes.likes, self._random("likes", 0))
        for first in range(0, self._sizes.posts, BLOCK):
            yield self._posts(first, min(first + BLOCK, self._sizes.posts), likes)

    def _random(self, kind: str, first: int) -> Random:
        return Random(f"{self._sizes.seed}/{self._offset}/{kind}/{first}")

    def _moment(self, share: float) -> datetime:
        return self._start + YEAR * share

    def _users(self, first: int, last: int) -> Block:
        random, block = self._random("users", first), Block()
        for number in range(first, last):
            joined = self._moment(_JOINING * (number + random.random()) / self._sizes.users)
            user_id, text, name = _ulid(joined, random), _text(joined), self._offset + number
            self._user_ids.append(user_id)
            block.add("users", (user_id, words.nickname(random, name), "USER", "ACTIVE", text))
            block.add("user_auth", (user_id, user_id, self._password_hash, "LOCAL", email(name)))
        return block

    def _posts(self, first: int, last: int, likes: "array[int]") -> Block:
        random, block = self._random("posts", first), Block()
        for number in range(first, last):
            written = self._moment(_JOINING + (1 - _JOINING) * (number + random.random()) / self._sizes.posts)
            post_id, liked = _ulid(written, random), likes[number]
            comments = self._comments(post_id, written, random)
            # Squared: a few write much.
            author = self._user_ids[int(len(self._user_ids) * random.random() ** 2)]
            views = 7 * liked + random.randrange(50)
            row = (post_id, author, words.title(random), _text(written), views, liked, len(comments), "ACTIVE")
            block.add("posts", row)
            block.add("post_contents", (post_id, words.content(random)))
            moment = _text(self._later(written, random))  # one for all: a write-back brings many at once
            for user in sorted(random.sample(range(len(self._user_ids)), liked)):
                block.add("user_post_likes", (post_id, self._user_ids[user], moment))
            for comment in comments:
                block.add("comments", comment)
        return block

    def _comments(self, post_id: str, written: datetime, random: Random) -> list[Row]:
        count = random.randint(0, 2 * self._sizes.comments_per_post)
        moments = sorted(self._later(written, random) for _ in range(count))
        tree: list[tuple[str, str, int]] = []  # id, id of the group, depth
        parents: list[str | None] = []
        replies: dict[str, int] = {}
        for moment in moments:
            comment_id = _ulid(moment, random)
            parent, group, depth = random.choice(tree) if tree and random.random() < _REPLY else (None, "", -1)
            if depth == _MOST_DEPTH:
                parent, group, depth = None, "", -1
            tree.append((comment_id, group or comment_id, depth + 1))
            parents.append(parent)
            replies[group] = replies.get(group, 0) + 1
        return [
            (
                comment_id, random.choice(self._user_ids), post_id, parent, depth, group, words.comment(random),
                _text(moment), "ACTIVE", 1, replies.get(comment_id, 0),
            )
            for (comment_id, group, depth), parent, moment in zip(tree, parents, moments, strict=True)
        ]  # fmt: skip

    def _later(self, moment: datetime, random: Random) -> datetime:
        """Return a time after `moment`, most often soon, never after the end of the year."""
        return moment + (self._start + YEAR - moment) * random.random() ** 4


def email(number: int) -> str:
    """Return the e-mail of a made-up person."""
    return f"seed{number}@example.com"


def like_counts(users: int, posts: int, likes: int, random: Random) -> "array[int]":
    """Return how many likes each post has: `likes` in all, by Zipf's law over a shuffled ranking, at most `users` each."""
    counts = array("l", bytes(array("l").itemsize * posts))
    ranking = list(range(posts))
    random.shuffle(ranking)
    weights = [(rank + 1) ** -_SKEW for rank in range(posts)]
    left = likes
    while left:
        share = left / sum(weights)
        for rank, post in enumerate(ranking):
            more = min(left, users - counts[post], max(1, int(share * weights[rank])))
            counts[post] += more
            left -= more
            if counts[post] == users:
                weights[rank] = 0.0
            if not left:
                break
    return counts


def _ulid(moment: datetime, random: Random) -> str:
    milliseconds = int(moment.timestamp() * 1000)
    return str(ULID.from_bytes(milliseconds.to_bytes(6, "big") + random.randbytes(10)))


def _text(moment: datetime) -> str:
    """Return a time as both databases take it: UTC without a zone, always with microseconds."""
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")
