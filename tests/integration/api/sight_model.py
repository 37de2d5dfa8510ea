"""Small made-up communities, and who may see what in them: written from the rules in docs/api.md, not from the code.

Every person, post and comment has a marker that stands in its text, so that whatever an answer shows is found in it.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

MARKER: Final = re.compile(r"w\d+[upc]\d+(?![\da-z])")
ACTIVE, HIDDEN, DELETED = "ACTIVE", "HIDDEN", "DELETED"


@dataclass(eq=False)
class Someone:
    """A person. `gone`: withdrawn; `shut_out`: kept out by a moderator, what they wrote stays."""

    marker: str
    user_id: str = ""
    token: str = ""
    gone: bool = False
    shut_out: bool = False


@dataclass(eq=False)
class Written:
    """A post, or a comment on one."""

    marker: str
    author: Someone
    post: "Written | None" = None
    parent: "Written | None" = None
    status: str = ACTIVE
    item_id: str = ""


@dataclass
class Community:
    """People, what they wrote, and whom they do not see."""

    number: int
    people: list[Someone] = field(default_factory=list)
    posts: list[Written] = field(default_factory=list)
    comments: list[Written] = field(default_factory=list)
    blocks: set[tuple[Someone, Someone]] = field(default_factory=set)
    mutes: set[tuple[Someone, Someone]] = field(default_factory=set)
    follows: set[tuple[Someone, Someone]] = field(default_factory=set)
    likes: set[tuple[Someone, Written]] = field(default_factory=set)
    bookmarks: set[tuple[Someone, Written]] = field(default_factory=set)

    @property
    def word(self) -> str:
        """What stands in every post, and is its tag."""
        return f"세계{self.number}"

    def blocked(self, one: Someone | None, other: Someone) -> bool:
        return one is not None and not {(one, other), (other, one)}.isdisjoint(self.blocks)

    def unseen(self, viewer: Someone | None, other: Someone) -> bool:
        """Whether the viewer does not see somebody in lists."""
        return viewer is not None and (self.blocked(viewer, other) or (viewer, other) in self.mutes)

    def opens(self, viewer: Someone | None, post: Written) -> bool:
        """Whether the viewer may read the post by its link."""
        return post.status == ACTIVE and not self.blocked(viewer, post.author)

    def listed(self, viewer: Someone | None) -> list[Written]:
        """Return the posts that lists show a viewer, newest first."""
        return [post for post in reversed(self.posts) if post.status == ACTIVE and not self.unseen(viewer, post.author)]

    def reads(self, viewer: Someone | None, comment: Written) -> bool:
        """Whether a viewer who reads the comments of its post is shown what a comment says."""
        return comment.status == ACTIVE and not self.unseen(viewer, comment.author)

    def names(self, *written: Written) -> set[str]:
        """Return what shows these things: their markers and those of their authors."""
        authors = {one.author.marker for one in written if not one.author.gone}
        return {one.marker for one in written} | authors


def drawn(number: int, dice: random.Random) -> Community:
    """Make up a community of five people."""
    made = Community(number)
    made.people = [Someone(f"w{number}u{index}") for index in range(5)]
    for index in range(dice.randint(3, 6)):
        made.posts.append(Written(f"w{number}p{index}", dice.choice(made.people)))
    for index in range(dice.randint(3, 8)):
        post = dice.choice(made.posts)
        above = [one for one in made.comments if one.post is post]
        parent = dice.choice(above) if above and dice.random() < 0.5 else None
        made.comments.append(Written(f"w{number}c{index}", dice.choice(made.people), post, parent))
    return made


def pair(made: Community, dice: random.Random) -> tuple[Someone, Someone]:
    """Return two different people who are there."""
    there = [person for person in made.people if not person.gone]
    one, other = dice.sample(there, 2)
    return one, other


@dataclass(frozen=True)
class Read:
    """A request, and what its answer must be: a status, what it may show, and what it must show."""

    viewer: Someone | None
    path: str
    status: int
    may: frozenset[str] = frozenset()
    must: frozenset[str] = frozenset()


def reads(community: Community) -> Iterator[Read]:
    """Yield what can be asked for, with what must come of it."""
    for viewer in (None, *(person for person in community.people if not (person.gone or person.shut_out))):
        listed = frozenset(community.names(*community.listed(viewer)))
        for path in (
            "/posts?size=100",
            f"/posts?tag={quote(community.word)}",
            f"/search/posts?q={quote(community.word)}",
        ):
            yield Read(viewer, path, 200, listed, listed)
        for post in community.posts:
            path = f"/posts/{post.item_id}"
            if not community.opens(viewer, post):
                yield Read(viewer, path, 404)
                yield Read(viewer, f"{path}/comments", 404)
                continue
            shown = frozenset(community.names(post))
            yield Read(viewer, path, 200, shown, shown)
            said = [one for one in community.comments if one.post is post and community.reads(viewer, one)]
            shown = frozenset(community.names(*said))
            yield Read(viewer, f"{path}/comments", 200, shown, shown)
        yield from _of_people(community, viewer)
        if viewer is not None:
            yield from _own(community, viewer)


def _of_people(community: Community, viewer: Someone | None) -> Iterator[Read]:
    for person in community.people:
        path = f"/users/{person.user_id}"
        below = ("", "/posts", "/followers", "/following")
        if person.gone or person.shut_out or community.blocked(viewer, person):
            yield from (Read(viewer, f"{path}{more}", 404) for more in below)
            continue
        yield Read(viewer, path, 200, frozenset({person.marker}), frozenset({person.marker}))
        written = frozenset(
            community.names(*(post for post in community.posts if post.author is person and post.status == ACTIVE))
        )
        yield Read(viewer, f"{path}/posts", 200, written, written)
        for more, people in (
            ("followers", {one for one, other in community.follows if other is person}),
            ("following", {other for one, other in community.follows if one is person}),
        ):
            seen = {one for one in people if not (one.gone or community.unseen(viewer, one))}
            must = frozenset(one.marker for one in seen if not one.shut_out)
            yield Read(viewer, f"{path}/{more}", 200, frozenset(one.marker for one in seen), must)


def _own(community: Community, viewer: Someone) -> Iterator[Read]:
    followed = {other for one, other in community.follows if one is viewer}
    home = [post for post in community.listed(viewer) if post.author is viewer or post.author in followed]
    kept = [post for post in community.listed(viewer) if (viewer, post) in community.bookmarks]
    for path, posts in (("/users/me/home", home), ("/users/me/bookmarks", kept)):
        shown = frozenset(community.names(*posts))
        yield Read(viewer, path, 200, shown, shown)
    for path, pairs in (("/users/me/blocks", community.blocks), ("/users/me/mutes", community.mutes)):
        others = {other for one, other in pairs if one is viewer and not other.gone}
        must = frozenset(other.marker for other in others if not other.shut_out)
        yield Read(viewer, path, 200, frozenset(other.marker for other in others), must)
