"""Generated communities: whatever is blocked, muted, hidden, deleted or withdrawn, no answer shows what it must not.

In each, people read, something changes, and they read again with the tags of what they have: an old answer that is confirmed
by 304 is judged as if it had been sent.
"""

import asyncio
import itertools
import logging
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote

import pytest
from sqlalchemy import Connection, insert

from bapsang_api.comments import store as comment_store
from bapsang_api.comments import tree
from bapsang_api.comments.models import Comment
from bapsang_api.keys import signing_keys
from bapsang_api.kit.db.columns import table_of
from bapsang_api.kit.security.tokens import Principal, TokenIssuer
from bapsang_api.moderation.service import Actor, ModerationService
from bapsang_api.people import service as people
from bapsang_api.posts import store as post_store
from bapsang_api.posts.service import PostService
from bapsang_api.users import store as accounts
from bapsang_api.users.models import User, UserAuth
from bapsang_api.users.service import withdraw

from .sight_model import ACTIVE, DELETED, HIDDEN, MARKER, Community, Someone, Written, drawn, pair
from .world import API, Backend, World, open_world

MODERATOR: Final = Actor(None, None)
AT_ONCE: Final = 10  # communities that are written together
READS: Final = 30  # answers that are judged before a change, and again after it
FEW: Final = 20  # communities of a run that is not nightly
SEED: Final = int(os.environ.get("BAPSANG_TEST_SEED", "20"))


@dataclass
class Answered:
    """An answer as a client has it: what of the community stands in it."""

    status: int
    tag: bytes | None
    shown: set[str]


@dataclass(frozen=True)
class Read:
    """A request, and what its answer must be: a status, what it may show, and what it must show."""

    viewer: Someone | None
    path: str
    status: int
    may: frozenset[str] = frozenset()
    must: frozenset[str] = frozenset()


@dataclass
class Stage:
    """A service, and the communities in it."""

    world: World
    issuer: TokenIssuer
    dice: random.Random
    moderation: ModerationService = field(init=False)
    posts: PostService = field(init=False)

    def __post_init__(self) -> None:
        services = self.world.runtime.app.services
        self.moderation, self.posts = services[ModerationService], services[PostService]

    async def write(self, made: list[Community]) -> None:
        """Have the communities in the database, and a token for each person."""
        ids, now = self.world.runtime.ids, self.world.clock.now()

        def work(connection: Connection) -> None:
            later = itertools.count(1)
            for community in made:
                for person in community.people:
                    person.user_id = ids.new()
                    user = User(id=person.user_id, nickname=person.marker, created_at=now)
                    auth = UserAuth(id=ids.new(), user_id=person.user_id, email=f"{person.marker}@example.com")
                    connection.execute(insert(table_of(User)), user.model_dump(exclude={"changed_at"}))
                    connection.execute(insert(table_of(UserAuth)), auth.model_dump())
                    number = accounts.number_of(connection, person.user_id)
                    person.token = self.issuer.issue(Principal(person.user_id, "USER", ids.new(), number))
                for post in community.posts:
                    post.item_id = ids.new()
                    fields = {"title": post.marker, "content": community.word, "tags": (community.word,)}
                    moment = now + timedelta(microseconds=next(later))
                    post_store.add(
                        connection, post.item_id, user_id=post.author.user_id, now=moment, fields=fields, pictures=()
                    )
                for comment in community.comments:
                    comment.item_id = ids.new()
                    assert comment.post is not None
                    self._write_comment(connection, comment, now + timedelta(microseconds=next(later)))

        await self.world.runtime.database.write(work)

    @staticmethod
    def _write_comment(connection: Connection, comment: Written, now: Any) -> None:
        assert comment.post is not None
        row = Comment(
            comment_id=comment.item_id,
            user_id=comment.author.user_id,
            post_id=comment.post.item_id,
            comment_group=comment.item_id,
            content=comment.marker,
            created_at=now,
        )
        if comment.parent is not None:
            above = comment_store.node(connection, comment.parent.item_id)
            assert above is not None
            if above.depth == 3:
                comment.parent = comment.parent.parent
                assert comment.parent is not None
                above = comment_store.node(connection, comment.parent.item_id)
                assert above is not None
            row.parent_id, row.comment_group, row.depth = above.comment_id, above.comment_group, above.depth + 1
        assert comment_store.count_in(connection, comment.post.item_id)
        tree.add(connection, row)

    async def get(self, community: Community, read: Read, tag: bytes | None = None) -> Answered:
        """Ask for something, with the tag of the answer that is there already."""
        headers = [(b"host", b"testserver")]
        if read.viewer is not None:
            headers.append((b"authorization", f"Bearer {read.viewer.token}".encode()))
        if tag is not None:
            headers.append((b"if-none-match", tag))
        path, _, query = f"{API}{read.path}".partition("?")
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "root_path": ""}
        scope |= {"path": path, "raw_path": path.encode(), "query_string": query.encode(), "headers": headers}
        scope |= {"client": ("127.0.0.1", 1), "server": ("testserver", 80)}
        await self.world.runtime.app(scope, receive, send)
        body = b"".join(message.get("body", b"") for message in sent[1:]).decode()
        tags = [value for name, value in sent[0]["headers"] if name == b"etag"]
        shown = set(MARKER.findall(body)) & _all(community)
        shown |= {person.marker for person in community.people if person.user_id in body}
        return Answered(sent[0]["status"], tags[0] if tags else None, shown)

    async def change(self, community: Community) -> str:
        """Let something happen; return what."""
        dice, database = self.dice, self.world.runtime.database
        name = dice.choice(
            ["block", "block", "mute", "unblock", "unmute", "withdraw", "shut out", *_ON_POSTS, *_ON_COMMENTS]
        )
        if name in _ON_POSTS:
            await self._change_post(name, community)
        elif name in _ON_COMMENTS:
            await self._change_comment(name, community)
        else:
            one, other = pair(community, dice)
            now = self.world.clock.now()
            if name == "block":
                await database.write(lambda connection: people.block(connection, one.user_id, other.user_id, now))
                community.blocks.add((one, other))
                community.follows -= {(one, other), (other, one)}
            elif name == "mute":
                await database.write(lambda connection: people.mute(connection, one.user_id, other.user_id, now))
                community.mutes.add((one, other))
            elif name == "unblock":
                one, other = dice.choice(
                    [pair_ for pair_ in community.blocks if not (pair_[0].gone or pair_[1].gone)] or [(one, other)]
                )
                await database.write(lambda connection: people.unblock(connection, one.user_id, other.user_id))
                community.blocks.discard((one, other))
            elif name == "unmute":
                one, other = dice.choice(
                    [pair_ for pair_ in community.mutes if not (pair_[0].gone or pair_[1].gone)] or [(one, other)]
                )
                await database.write(lambda connection: people.unmute(connection, one.user_id, other.user_id))
                community.mutes.discard((one, other))
            elif name == "shut out":
                await self.moderation.block(MODERATOR, one.user_id)
                one.shut_out = True
            elif sum(not person.gone for person in community.people) > 3:
                await self._withdraw(one)
        return name

    async def _withdraw(self, person: Someone) -> None:
        ids, now = self.world.runtime.ids, self.world.clock.now()

        def work(connection: Connection) -> None:
            account = accounts.account_of(connection, person.user_id, lock=True)
            assert account is not None
            withdraw(connection, account, now, ids.new())

        await self.world.runtime.database.write(work)
        person.gone = True

    async def _change_post(self, name: str, community: Community) -> None:
        post = self.dice.choice(community.posts)
        if post.status == DELETED:
            return
        if name == "hide post":
            await self.moderation.hide(MODERATOR, post.item_id)
            post.status = HIDDEN
        elif name == "show post":
            await self.moderation.show(MODERATOR, post.item_id)
            post.status = ACTIVE
        elif post.status == ACTIVE:
            await self.posts.delete(post.item_id, user_id=post.author.user_id)
            post.status = DELETED

    async def _change_comment(self, name: str, community: Community) -> None:
        there = [one for one in community.comments if one.status != DELETED and one.post and one.post.status != DELETED]
        if not there:
            return
        comment = self.dice.choice(there)
        if name == "hide comment":
            await self.moderation.hide_comment(MODERATOR, comment.item_id)
            comment.status = HIDDEN
        else:
            await self.moderation.show_comment(MODERATOR, comment.item_id)
            comment.status = ACTIVE


_ON_POSTS: Final = ("hide post", "show post", "delete post")
_ON_COMMENTS: Final = ("hide comment", "show comment")


def _all(community: Community) -> set[str]:
    things = itertools.chain(community.people, community.posts, community.comments)
    return {thing.marker for thing in things}


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


def fault(read: Read, answered: Answered) -> str | None:
    """Return what is wrong with an answer."""
    if answered.status != read.status:
        return f"status {answered.status} for {read.status}"
    if more := answered.shown - read.may:
        return f"shows {sorted(more)}"
    if less := read.must - answered.shown:
        return f"lacks {sorted(less)}"
    return None


async def play(stage: Stage, community: Community) -> int:
    """Read, change and read again; return how many answers were judged."""
    dice, known, done = stage.dice, dict[tuple[Any, str], Answered](), list[str]()
    judged = 0
    for _ in range(3):
        asked = list(reads(community))
        dice.shuffle(asked)
        # What is had already first: an old answer is what must not be confirmed.
        asked.sort(key=lambda read: (read.viewer, read.path) not in known)
        for read in asked[:READS]:
            before = known.get((read.viewer, read.path))
            answered = await stage.get(community, read, before.tag if before else None)
            if answered.status == 304:
                assert before is not None
                answered = before
            wrong = fault(read, answered)
            who = read.viewer.marker if read.viewer else "nobody"
            assert wrong is None, f"{community.word} after {done}: {who} at {read.path} {wrong}"
            if answered.status == 200:
                known[read.viewer, read.path] = answered
            judged += 1
        done += [await stage.change(community) for _ in range(dice.randint(1, 3))]
    return judged


async def _worlds(backend: Backend, numbers: range, seed: int) -> int:
    keys = signing_keys(backend.settings)
    judged = 0
    async with open_world(backend) as world:
        settings = backend.settings
        issuer = TokenIssuer(
            keys[0], issuer=settings.issuer, audience=settings.audience, clock=world.clock, ids=world.runtime.ids
        )
        stage = Stage(world, issuer, random.Random(seed))
        for first in range(0, len(numbers), AT_ONCE):
            made = [drawn(number, stage.dice) for number in numbers[first : first + AT_ONCE]]
            await stage.write(made)
            for community in made:
                judged += await play(stage, community)
                await asyncio.sleep(0)
    return judged


async def test_generated_worlds_show_nobody_what_they_must_not_see(servers: Backend) -> None:
    assert await _worlds(servers, range(FEW), SEED) > FEW * 60


@pytest.mark.nightly("worlds")
async def test_ten_thousand_generated_worlds(servers: Backend) -> None:
    judged = 0
    for part in range(20):
        judged += await _worlds(servers, range(500 * part, 500 * (part + 1)), SEED + part)
    logging.getLogger(__name__).warning("%d answers judged in 10,000 worlds", judged)
    assert judged > 600_000
