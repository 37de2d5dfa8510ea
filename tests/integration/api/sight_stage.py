"""A service with made-up communities in it: writes them, lets things happen, and asks for answers."""

import itertools
import random
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection, insert

from bapsang_api.auth.account import AccountService
from bapsang_api.comments.service import CommentService
from bapsang_api.home.lists import HomeLists
from bapsang_api.home.service import PeopleService
from bapsang_api.inbox.streams import InboxStreams
from bapsang_api.kit.db.columns import table_of
from bapsang_api.kit.security.tokens import Principal, TokenIssuer
from bapsang_api.moderation.acts import Actor
from bapsang_api.moderation.service import ModerationService
from bapsang_api.posts import store as post_store
from bapsang_api.posts.holding import Judgement, Rule
from bapsang_api.posts.service import PostService
from bapsang_api.users import store as accounts
from bapsang_api.users.models import User, UserAuth

from .sight_model import (
    ACTIVE,
    DELETED,
    HELD,
    HIDDEN,
    MARKER,
    STREAM,
    Community,
    Read,
    Someone,
    Written,
    commented,
    pair,
)
from .world import API, PASSWORD, World

MODERATOR: Final = Actor(None, None)
_BETWEEN_PEOPLE: Final = ("block", "block", "mute", "unblock", "unmute", "follow", "follow", "unfollow", "keep", "keep")
_ALONE: Final = ("withdraw", "shut out", "suspend", "comment", "comment again")
_ON_POSTS: Final = ("hide post", "show post", "delete post")
_ON_COMMENTS: Final = ("hide comment", "show comment")


@dataclass
class Answered:
    """An answer as a client has it: what of the community stands in it."""

    status: int
    tag: bytes | None
    shown: set[str]


class Collected:
    """What a stream has sent."""

    def __init__(self) -> None:
        self.data = b""

    def send(self, data: bytes) -> None:
        self.data += data

    def end(self) -> None: ...


@dataclass
class Stage:
    """A service, and the communities in it."""

    world: World
    issuer: TokenIssuer
    password_hash: str
    dice: random.Random
    #: Between whom something has changed last: what they read is looked at first.
    concerned: set[Someone] = field(default_factory=set)
    account: AccountService = field(init=False)
    comments: CommentService = field(init=False)
    lists: HomeLists = field(init=False)
    moderation: ModerationService = field(init=False)
    posts: PostService = field(init=False)
    relations: PeopleService = field(init=False)
    streams: InboxStreams = field(init=False)

    def __post_init__(self) -> None:
        services = self.world.runtime.app.services
        self.account, self.lists, self.moderation = (
            services[AccountService],
            services[HomeLists],
            services[ModerationService],
        )
        self.posts, self.relations = services[PostService], services[PeopleService]
        self.comments, self.streams = services[CommentService], services[InboxStreams]

    async def write(self, made: list[Community]) -> None:
        """Have the communities in the database, and a token for each person."""
        ids, now = self.world.runtime.ids, self.world.clock.now()

        def work(connection: Connection) -> None:
            later = itertools.count(1)
            for community in made:
                for person in community.people:
                    person.user_id = ids.new()
                    user = User(id=person.user_id, nickname=person.marker, created_at=now)
                    email = f"{person.marker}@example.com"
                    auth = UserAuth(id=ids.new(), user_id=person.user_id, email=email, password_hash=self.password_hash)
                    connection.execute(insert(table_of(User)), user.model_dump(exclude={"changed_at"}))
                    connection.execute(insert(table_of(UserAuth)), auth.model_dump())
                    number = accounts.number_of(connection, person.user_id)
                    person.token = self.issuer.issue(Principal(person.user_id, "USER", ids.new(), number))
                for post in community.posts:
                    post.item_id = ids.new()
                    fields = {"title": post.marker, "content": community.word, "tags": (community.word,)}
                    moment = now + timedelta(microseconds=next(later))
                    judgement = Judgement(Rule.LINKS if post.status == HELD else None, None)
                    post_store.add(
                        connection,
                        post.item_id,
                        judgement,
                        user_id=post.author.user_id,
                        now=moment,
                        fields=fields,
                        pictures=(),
                    )

        await self.world.runtime.database.write(work)
        for comment in (comment for community in made for comment in community.comments):
            await self.comment(comment)

    async def comment(self, comment: Written) -> None:
        """Write a comment as its author does, so that people are told of it."""
        assert comment.post is not None
        content = comment.marker if comment.mentioned is None else f"{comment.marker} @{comment.mentioned.marker}"
        parent_id = None if comment.parent is None else comment.parent.item_id
        row = await self.comments.create(
            comment.post.item_id, user_id=comment.author.user_id, content=content, parent_id=parent_id
        )
        comment.item_id = row.comment_id

    async def get(self, community: Community, read: Read, tag: bytes | None = None) -> Answered:
        """Ask for something, with the tag of the answer that is there already."""
        if read.path == STREAM:
            assert read.viewer is not None
            return await self._streamed(community, read.viewer)
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
        body = body.replace(path, "")  # errors repeat it
        tags = [value for name, value in sent[0]["headers"] if name == b"etag"]
        return Answered(sent[0]["status"], tags[0] if tags else None, _shown(community, body))

    async def _streamed(self, community: Community, viewer: Someone) -> Answered:
        """Return what a stream sends that begins with the first notification."""
        sink = Collected()
        principal = Principal(viewer.user_id, "USER", "", None)
        stream = await self.streams.open(principal, 2**62, 0, resumes=True)
        stream.begin(sink)
        await self.streams._deliver([viewer.user_id])
        stream.end()
        return Answered(200, None, _shown(community, sink.data.decode()))

    async def change(self, community: Community) -> str:
        """Let something happen; return what."""
        name = self.dice.choice([*_BETWEEN_PEOPLE, *_ON_POSTS, *_ON_COMMENTS, *_ALONE])
        one, other = pair(community, self.dice)
        if name in _ON_POSTS:
            await self._change_post(name, community)
        elif name in _ON_COMMENTS:
            await self._change_comment(name, community)
        elif name in _BETWEEN_PEOPLE:
            return await self.relate(name, community)
        elif name in ("comment", "comment again"):
            if (comment := commented(community, self.dice)) is not None:
                await self.comment(comment)
        elif name == "shut out":
            await self.moderation.block(MODERATOR, one.user_id)
            one.shut_out = True
        elif name == "suspend":
            await self.moderation.suspend(MODERATOR, one.user_id, until=None, days=7)
            one.suspended = True
        elif sum(not person.gone for person in community.people) > 3:
            await self.account.withdraw(other.user_id, PASSWORD)
            other.gone = True
            community.follows = {pair_ for pair_ in community.follows if other not in pair_}
        return name

    async def relate(self, name: str, community: Community) -> str:
        """Let somebody do something to somebody, or keep a post."""
        kept = {"unblock": community.blocks, "unmute": community.mutes, "unfollow": community.follows}.get(name, set())
        there = [both for both in sorted(kept, key=_markers) if not (both[0].gone or both[1].gone)]
        one, other = self.dice.choice(there) if there else pair(community, self.dice)
        if name == "keep":
            posts = [post for post in community.posts if community.opens(one, post)]
            if posts:
                post = self.dice.choice(posts)
                await self.lists.keep(one.user_id, post.item_id)
                community.bookmarks.add((one, post))
            return name
        if name == "follow" and (community.blocked(one, other) or one.shut_out or other.shut_out):
            return name
        if name in ("block", "mute", "unmute", "unfollow") and (other, one) in community.blocks:
            return name  # there is nobody for who is blocked
        if name in ("mute", "unmute", "unfollow") and (one, other) in community.blocks:
            return name
        self.concerned = {one, other}
        await getattr(self.relations, name)(one.user_id, other.user_id)
        if name.startswith("un"):
            {"unblock": community.blocks, "unmute": community.mutes, "unfollow": community.follows}[name].discard(
                (one, other)
            )
        else:
            {"block": community.blocks, "mute": community.mutes, "follow": community.follows}[name].add((one, other))
        if name == "block":
            community.follows -= {(one, other), (other, one)}
        return f"{one.marker} {name} {other.marker}"

    async def _change_post(self, name: str, community: Community) -> None:
        post = self.dice.choice(community.posts)
        if post.status == DELETED:
            return
        if post.status == HELD:
            approved = self.dice.random() < 0.5
            await (self.moderation.approve if approved else self.moderation.refuse)(MODERATOR, post.item_id)
            post.status = ACTIVE if approved else HIDDEN
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


def _markers(both: tuple[Someone, Someone]) -> tuple[str, str]:
    return both[0].marker, both[1].marker


def _shown(community: Community, text: str) -> set[str]:
    """Return the markers of what a text shows."""
    by_id = {person.marker for person in community.people if person.user_id in text}
    return by_id | (set(MARKER.findall(text)) & _all(community))


def _all(community: Community) -> set[str]:
    things = itertools.chain(community.people, community.posts, community.comments)
    return {thing.marker for thing in things}
