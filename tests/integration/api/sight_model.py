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
#: Not a path: what a stream of notifications sends that begins with the first.
STREAM: Final = "stream"
ACTIVE, HELD, HIDDEN, DELETED = "ACTIVE", "HELD", "HIDDEN", "DELETED"


@dataclass(eq=False)
class Someone:
    """A person. `gone`: withdrawn; `shut_out` and `suspended`: kept out by a moderator, what they wrote stays."""

    marker: str
    user_id: str = ""
    token: str = ""
    gone: bool = False
    shut_out: bool = False
    suspended: bool = False

    @property
    def is_in(self) -> bool:
        """Whether they can use their token."""
        return not (self.gone or self.shut_out or self.suspended)


@dataclass(eq=False)
class Written:
    """A post, or a comment on one, which may mention somebody."""

    marker: str
    author: Someone
    post: "Written | None" = None
    parent: "Written | None" = None
    mentioned: Someone | None = None
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
        mentioned = {one.mentioned.marker for one in written if one.mentioned is not None}
        return {one.marker for one in written} | authors | mentioned


def drawn(number: int, dice: random.Random) -> Community:
    """Make up a community of five people."""
    made = Community(number)
    made.people = [Someone(f"w{number}u{index}") for index in range(5)]
    for index in range(dice.randint(3, 6)):
        status = HELD if dice.random() < 0.1 else ACTIVE
        made.posts.append(Written(f"w{number}p{index}", dice.choice(made.people), status=status))
    for _ in range(dice.randint(3, 8)):
        commented(made, dice)
    return made


def commented(made: Community, dice: random.Random) -> Written | None:
    """Make up a comment that somebody may write, None where nobody can."""
    posts = [post for post in made.posts if post.status == ACTIVE]
    people = [person for person in made.people if person.is_in]
    if not (posts and people):
        return None
    post, author = dice.choice(posts), dice.choice(people)
    if made.blocked(author, post.author):
        return None
    above = [one for one in made.comments if one.post is post and one.status == ACTIVE and _depth(one) < 3]
    above = [one for one in above if not made.blocked(author, one.author)]
    parent = dice.choice(above) if above and dice.random() < 0.5 else None
    mentioned = dice.choice(made.people) if dice.random() < 0.3 else None
    comment = Written(f"w{made.number}c{len(made.comments)}", author, post, parent, mentioned)
    made.comments.append(comment)
    return comment


def _depth(comment: Written) -> int:
    return 0 if comment.parent is None else 1 + _depth(comment.parent)


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

    @property
    def is_own(self) -> bool:
        """Whether it is nobody else's to read."""
        return self.path == STREAM or "/me/" in self.path


def reads(community: Community) -> Iterator[Read]:
    """Yield what can be asked for, with what must come of it."""
    for viewer in (None, *(person for person in community.people if person.is_in)):
        listed = frozenset(community.names(*community.listed(viewer)))
        for path in (
            "/posts?size=100",
            f"/posts?tag={quote(community.word)}",
            f"/search/posts?q={quote(community.word)}",
        ):
            yield Read(viewer, path, 200, listed, listed)
        for post in community.posts:
            path = f"/posts/{post.item_id}"
            if post.status == HELD and post.author is viewer:
                continue  # theirs to see, and nobody else's
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
    told = frozenset(_tellable(community, viewer))
    yield Read(viewer, "/users/me/notifications", 200, told)
    yield Read(viewer, STREAM, 200, told)
    for path, pairs in (("/users/me/blocks", community.blocks), ("/users/me/mutes", community.mutes)):
        others = {other for one, other in pairs if one is viewer and not other.gone}
        must = frozenset(other.marker for other in others if not other.shut_out)
        yield Read(viewer, path, 200, frozenset(other.marker for other in others), must)


def _tellable(community: Community, viewer: Someone) -> set[str]:
    """Return all that a viewer's notifications may show: nothing of whom they do not see, nothing that is gone or hidden."""
    seen = {person.marker for person in community.people if not (person.gone or community.unseen(viewer, person))}
    posts = community.listed(viewer)
    said = [one for one in community.comments if one.post in posts and community.reads(viewer, one)]
    # Of their own post an author is told what a moderator did to it.
    own = {post.marker for post in community.posts if post.author is viewer and post.status != DELETED}
    own |= {one.marker for one in community.comments if one.author is viewer and one.status != DELETED}
    return seen | own | {viewer.marker} | community.names(*posts, *said)
