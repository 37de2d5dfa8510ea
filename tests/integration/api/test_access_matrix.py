"""Every operation of the OpenAPI document by everybody: who is let in follows from its security and what is declared here.

A new operation that needs a token fails until its `Owner` is declared, a new path parameter until there is one to use.
"""

from collections import defaultdict
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import httpx
import pytest
from sqlalchemy import inspect

from bapsang_api import openapi
from bapsang_api.examples import ULID
from bapsang_api.http.access import TOKEN_NEEDED, TOKEN_OPTIONAL

from .bucket import Bucket, open_photo_world
from .conformance import document
from .world import PASSWORD, Backend, Person, World, assert_problem, make_admin


class Owner(Enum):
    """Whom an operation that needs a token is for."""

    ANYBODY = auto()  # everybody with a token
    CALLER = auto()  # everybody, and it reaches only what is the caller's own
    OTHERS = auto()  # everybody but the one who made the thing, who is told 403
    AUTHOR = auto()  # the one who made the thing; others are told 403
    HOLDER = auto()  # the one whose it is; for others it does not exist: 404
    ADMIN = auto()


OWNERS = {
    "readExport": Owner.CALLER,
    "createPost": Owner.ANYBODY,
    "toggleLike": Owner.ANYBODY,
    "like": Owner.ANYBODY,
    "unlike": Owner.ANYBODY,
    "presign": Owner.ANYBODY,
    "createComment": Owner.ANYBODY,
    "reportPost": Owner.OTHERS,
    "reportComment": Owner.OTHERS,
    "changePost": Owner.AUTHOR,
    "changeComment": Owner.AUTHOR,
    "deleteComment": Owner.AUTHOR,
    "deletePost": Owner.AUTHOR,
    "checkPassword": Owner.CALLER,
    "requestEmailChange": Owner.CALLER,
    "requestVerification": Owner.CALLER,
    "readMe": Owner.CALLER,
    "listMyPosts": Owner.CALLER,
    "listLikedPosts": Owner.CALLER,
    "changeMe": Owner.CALLER,
    "listNotifications": Owner.CALLER,
    "countUnread": Owner.CALLER,
    "markRead": Owner.CALLER,
    "streamNotifications": Owner.CALLER,
    "readNotificationSettings": Owner.CALLER,
    "changeNotificationSettings": Owner.CALLER,
    "listSessions": Owner.CALLER,
    "endSession": Owner.HOLDER,
    "changePassword": Owner.CALLER,
    "withdraw": Owner.CALLER,
    "hidePost": Owner.ADMIN,
    "hideComment": Owner.ADMIN,
    "showComment": Owner.ADMIN,
    "showPost": Owner.ADMIN,
    "listReports": Owner.ADMIN,
    "resolveReport": Owner.ADMIN,
    "dismissReport": Owner.ADMIN,
    "readHome": Owner.CALLER,
    "listBookmarks": Owner.CALLER,
    "listBlocks": Owner.CALLER,
    "listMutes": Owner.CALLER,
    "keepPost": Owner.ANYBODY,
    "dropPost": Owner.ANYBODY,
    "followPerson": Owner.ANYBODY,
    "unfollowPerson": Owner.ANYBODY,
    "blockPerson": Owner.ANYBODY,
    "unblockPerson": Owner.ANYBODY,
    "mutePerson": Owner.ANYBODY,
    "unmutePerson": Owner.ANYBODY,
    "searchUsers": Owner.ADMIN,
    "readUser": Owner.ADMIN,
    "listAudit": Owner.ADMIN,
    "readQueue": Owner.ADMIN,
    "listHeldPosts": Owner.ADMIN,
    "inspectPost": Owner.ADMIN,
    "inspectComment": Owner.ADMIN,
    "approvePost": Owner.ADMIN,
    "refusePost": Owner.ADMIN,
    "hideContent": Owner.ADMIN,
    "showContent": Owner.ADMIN,
    "suspendUser": Owner.ADMIN,
    "unsuspendUser": Owner.ADMIN,
    "blockUser": Owner.ADMIN,
    "unblockUser": Owner.ADMIN,
}
# What ends a login, or the thing that the others are tried on, comes last.
LAST = ("deleteComment", "deletePost", "logOut", "endSession", "changePassword", "withdraw")
# What needs a cookie, a password or a link that the example of the document is not.
WITH_SOMETHING = {"refresh", "logIn", "signUp", "resetPassword", "verifyEmail", "changeEmail"}
# What no client may set, under every name that it could have.
SMUGGLED: dict[str, Any] = {
    **dict.fromkeys(("role", "userRole", "user_role"), "ADMIN"),
    **dict.fromkeys(("likeCount", "like_count", "viewCount", "view_count", "commentCount", "comment_count"), 999),
    **dict.fromkeys(("createdAt", "created_at", "updatedAt"), "2001-01-01T00:00:00"),
    **dict.fromkeys(("status", "userStatus", "postStatus"), "DELETED"),
}


@dataclass(frozen=True)
class Operation:
    path: str
    method: str
    said: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.said["operationId"])

    @property
    def needs_token(self) -> bool:
        return bool(self.said.get("security") == TOKEN_NEEDED["security"])

    @property
    def reads_token(self) -> bool:
        return bool(self.said.get("security") in (TOKEN_NEEDED["security"], TOKEN_OPTIONAL["security"]))


def order(operation: Operation) -> int:
    return LAST.index(operation.name) if operation.name in LAST else -1


OPERATIONS = sorted((Operation(*found) for found in openapi.operations(document())), key=order)


@dataclass
class Cast:
    """Who is there, and what of Alice's the others might want."""

    world: World
    alice: Person
    bob: Person
    admin: Person
    blocked: Person
    withdrawn: Person
    parameters: dict[str, str]

    async def ask(self, operation: Operation, token: str | None, **smuggled: Any) -> httpx.Response:
        path = operation.path
        for parameter in operation.said.get("parameters", ()):
            if parameter.get("in") == "path":
                path = path.replace(f"{{{parameter['name']}}}", self.parameters[parameter["name"]])
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        content = operation.said.get("requestBody", {}).get("content", {}).get("application/json")
        query = {"email": "free@example.com"} if operation.name == "checkEmail" else {}
        query |= {"nickname": "자유"} if operation.name == "checkNickname" else {}
        query |= {"q": "된장"} if operation.name == "searchPosts" else {}
        body = {**_fitting(content["example"]), **smuggled} if content else None
        return await self.world.http.request(operation.method, path, headers=headers, json=body, params=query)

    async def rows(self) -> dict[str, list[Any]]:
        """Return everything that the database holds."""
        tables = inspect(self.world.runtime.database.engine).get_table_names()
        return {table: sorted(map(repr, await self.world.rows(f"SELECT * FROM {table}"))) for table in tables}  # noqa: S608


def _fitting(example: dict[str, Any]) -> dict[str, Any]:
    """Return an example without what it names that is not there, and without the nickname that somebody has by now."""
    missing = ("profileImageKey", "postImageKey", "images", "parentId", "nickname")
    return {name: value for name, value in example.items() if name not in missing}


@pytest.fixture
async def cast(files: Backend, bucket: Bucket, mail_on: None) -> Any:
    async with open_photo_world(files, bucket) as photos:
        world = photos.world
        alice, bob, admin, blocked, withdrawn, victim = [await world.person() for _ in range(6)]
        await make_admin(world, admin)
        assert (await admin.send("POST", f"/admin/users/{blocked.user_id}/block")).status_code == 204
        assert (await withdrawn.send("PATCH", "/users/me/withdraw", json={"password": PASSWORD})).status_code == 204
        await world.log_in(alice.email)
        sessions = (await alice.get("/users/me/sessions")).json()["items"]
        other_device = next(item["sessionId"] for item in sessions if not item["isCurrent"])
        post_id = await alice.write_post()
        reported = await bob.send("POST", f"/posts/{post_id}/reports", json={"reason": "SPAM"})
        assert reported.status_code == 204
        parameters = {
            "post_id": post_id,
            "comment_id": await alice.write_comment(post_id),
            "user_id": victim.user_id,
            "session_id": other_device,
            "report_id": (await admin.get("/admin/reports")).json()["items"][0]["reportId"],
        }
        yield Cast(world, alice, bob, admin, blocked, withdrawn, parameters)


def test_every_operation_with_a_token_says_whom_it_is_for() -> None:
    needing = {operation.name for operation in OPERATIONS if operation.needs_token}
    assert needing == set(OWNERS), "declare the owner of each in OWNERS"


async def test_whoever_may_not_is_refused_and_changes_nothing(cast: Cast) -> None:
    before = await cast.rows()
    bad = [cast.blocked.token, cast.withdrawn.token, "garbage", cast.alice.token[:-4] + "AAAA"]
    for operation in OPERATIONS:
        if operation.needs_token:
            assert_problem(await cast.ask(operation, None), 401, "T001")
        for token in bad if operation.reads_token else ():
            assert_problem(await cast.ask(operation, token), 401, "T003")
        owner = OWNERS.get(operation.name)
        if owner is Owner.ADMIN:
            for person in (cast.alice, cast.bob):
                assert_problem(await cast.ask(operation, person.token, role="ADMIN"), 403, "E403-1")
        if owner is Owner.OTHERS:
            assert_problem(await cast.ask(operation, cast.alice.token, userId=ULID), 403, "E403-1")
        if owner is Owner.AUTHOR:
            for person in (cast.bob, cast.admin):
                assert_problem(await cast.ask(operation, person.token, userId=person.user_id), 403, "E403-1")
        if owner is Owner.HOLDER:
            for person in (cast.bob, cast.admin):
                assert_problem(await cast.ask(operation, person.token), 404, "E404-1")
    assert await cast.rows() == before


async def test_whoever_may_is_let_in_and_reaches_only_their_own(cast: Cast) -> None:
    people = {"alice": cast.alice, "bob": cast.bob, "admin": cast.admin}
    for operation in OPERATIONS:
        owner = OWNERS.get(operation.name)
        for name, person in people.items():
            if (
                (owner is Owner.ADMIN and name != "admin")
                or (owner in (Owner.AUTHOR, Owner.HOLDER) and name != "alice")
                or (owner is Owner.OTHERS and name == "alice")
            ):
                continue
            token = (await cast.world.log_in(person.email))[0] if operation.name in LAST else person.token
            answer = await cast.ask(operation, token, **SMUGGLED, userId=ULID, user_id=ULID, id=ULID)
            allowed = answer.status_code < 400 or operation.name in WITH_SOMETHING
            assert allowed, f"{operation.name} by {name}: {answer.text}"
            for other in people.values():
                if owner is Owner.CALLER and other is not person:
                    assert other.email not in answer.text
    roles = dict(await cast.world.rows("SELECT id, user_role FROM users"))
    assert [user for user, role in roles.items() if role == "ADMIN"] == [cast.admin.user_id]
    assert ULID not in roles
    written = await cast.world.rows("SELECT id, user_id, like_count, view_count, comment_count, created_at FROM posts")
    assert {row[1] for row in written} == {cast.alice.user_id, cast.bob.user_id, cast.admin.user_id}
    for post_id, _, *counts, created_at in written:
        assert post_id != ULID
        assert max(counts) < 10
        assert not str(created_at).startswith("2001")


async def test_anonymous_reads_what_needs_no_token(cast: Cast) -> None:
    for operation in OPERATIONS:
        if not operation.needs_token and operation.method == "get":
            assert (await cast.ask(operation, None)).status_code == 200, operation.name


async def test_what_can_be_no_id_is_nothing_that_exists(world: World) -> None:
    admin = await make_admin(world, await world.person())
    with_ids = [operation for operation in OPERATIONS if "{" in operation.path]
    for text in ("£", "'", "x" * 300, ULID.lower()):
        cast = Cast(world, *[admin] * 5, parameters=defaultdict(lambda text=text: text))  # type: ignore[misc]
        for operation in with_ids:
            assert_problem(await cast.ask(operation, admin.token), 404, "E404-1")
