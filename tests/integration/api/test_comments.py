"""Comments as the contract has them: threads, paging, changing, deleting, hiding."""

import json
import threading
from datetime import timedelta
from typing import Any

import pytest

from bapsang_api import runtime
from bapsang_api.comments.wire import page_of

from .world import API, PASSWORD, Person, World, assert_problem, make_admin

pytestmark = pytest.mark.both_databases

NOBODY = "01JD0000000000000000000000"
DELETED, HIDDEN = "삭제된 댓글입니다.", "관리자가 숨긴 댓글입니다."


async def page(world: World, post_id: str, **params: Any) -> dict[str, Any]:
    answer = await world.http.get(f"{API}/posts/{post_id}/comments", params=params)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def outline(items: list[dict[str, Any]]) -> list[Any]:
    """Return texts, an answered one as [text, [answers]]."""
    return [[item["content"], outline(item["replies"])] if item["replies"] else item["content"] for item in items]


async def tree(world: World, post_id: str) -> list[Any]:
    return outline((await page(world, post_id))["items"])


async def comment_count(world: World, post_id: str) -> int:
    """Return the post's comment count, and check that the stored counts are what the rows say."""
    rows = await world.rows(
        "SELECT COUNT(*) FROM comments WHERE post_id = :p AND comment_status = 'ACTIVE'"
        " UNION ALL SELECT comment_count FROM posts WHERE id = :p",
        p=post_id,
    )
    assert rows[0] == rows[1]
    wrong = await world.rows(
        "SELECT comment_id FROM comments top WHERE depth = 0 AND reply_count <> (SELECT COUNT(*) FROM comments below"
        " WHERE below.comment_group = top.comment_id AND below.depth > 0 AND below.listed = 1)"
    )
    assert wrong == []
    return int(rows[0][0])


async def test_comment_and_reply_read_back_exactly_as_written(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    post_id = await alice.write_post()
    text = "<i>맛있겠다</i> & 🍚\n둘째 줄 "
    written = await bob.send("POST", f"/posts/{post_id}/comments", json={"content": text, "depth": 3})
    assert written.status_code == 201
    top = written.json()
    author = {
        "userId": bob.user_id,
        "nickname": bob.nickname,
        "authorProfileImageUrl": None,
        "authorProfileImage": None,
    }
    assert top == {
        "commentId": top["commentId"],
        "parentId": None,
        "content": text,
        "commentGroup": top["commentId"],
        "createdAt": top["createdAt"],
        "updatedAt": None,
        "depth": 0,
        "author": author,
        "replies": [],
        "hasMore": False,
        "nextCursor": None,
        "replyCount": 0,
    }
    body = {"content": "고마워요", "parentId": top["commentId"]}
    reply = (await alice.send("POST", f"/posts/{post_id}/comments", json=body)).json()
    assert (reply["parentId"], reply["commentGroup"], reply["depth"]) == (top["commentId"], top["commentId"], 1)
    assert await page(world, post_id) == {
        "items": [{**top, "replies": [reply], "replyCount": 1}],
        "nextCursor": None,
        "hasMore": False,
    }
    assert await comment_count(world, post_id) == 2
    assert (await world.http.get(f"{API}/posts/{post_id}")).json()["stats"]["commentCount"] == 2


async def test_tops_come_newest_first_and_replies_nested_oldest_first(world: World) -> None:
    alice = await world.person()
    post_id = await alice.write_post()
    first, second = [await alice.write_comment(post_id, text) for text in ("1", "2")]
    a = await alice.write_comment(post_id, "1a", first)
    await alice.write_comment(post_id, "2a", second)
    b = await alice.write_comment(post_id, "1b", first)
    deep = await alice.write_comment(post_id, "1aa", a)
    await alice.write_comment(post_id, "1ba", b)
    await alice.write_comment(post_id, "1aaa", deep)
    assert await tree(world, post_id) == [
        ["2", ["2a"]],
        ["1", [["1a", [["1aa", ["1aaa"]]]], ["1b", ["1ba"]]]],
    ]
    assert [item["replyCount"] for item in (await page(world, post_id))["items"]] == [1, 5]
    flat = (await world.http.get(f"{API}/posts/{post_id}/comments/{first}/replies")).json()["items"]
    assert [(item["content"], item["depth"]) for item in flat] == [
        ("1a", 1),
        ("1b", 1),
        ("1aa", 2),
        ("1ba", 2),
        ("1aaa", 3),
    ]


async def test_parent_must_be_there_and_not_too_deep(world: World) -> None:
    alice = await world.person()
    post_id, elsewhere = await alice.write_post(), await alice.write_post()
    foreign = await alice.write_comment(elsewhere)
    gone = await alice.write_comment(post_id)
    await alice.send("DELETE", f"/posts/{post_id}/comments/{gone}")
    deepest = await alice.write_comment(post_id)
    for _ in range(3):
        deepest = await alice.write_comment(post_id, "답글", deepest)
    before = await page(world, post_id)
    for parent in (NOBODY, "nonsense", foreign, gone, deepest, 7, {}):
        answer = await alice.send("POST", f"/posts/{post_id}/comments", json={"content": "x", "parentId": parent})
        assert assert_problem(answer, 400, "E400-1")["errors"][0]["field"] == "parentId"
    assert await page(world, post_id) == before
    assert await comment_count(world, post_id) == 4


async def test_bad_content_is_refused(world: World, subtests: pytest.Subtests) -> None:
    alice = await world.person()
    post_id = await alice.write_post()
    comments = f"/posts/{post_id}/comments"
    for method, path in (("POST", comments), ("PATCH", f"{comments}/{await alice.write_comment(post_id)}")):
        for content in ("   ", "x" * 1001, 1, "\ud800"):
            with subtests.test(method=method, content=content):
                answer = await alice.send(method, path, content=json.dumps({"content": content}))
                assert assert_problem(answer, 400, "E400-1")["errors"][0]["field"] == "content"


async def test_changed_comment_is_answered_201_and_shows_when(world: World) -> None:
    alice = await world.person()
    post_id = await alice.write_post()
    comment_id = await alice.write_comment(post_id)
    answer = await alice.send("PATCH", f"/posts/{post_id}/comments/{comment_id}", json={"content": "고침"})
    assert answer.status_code == 201
    body = answer.json()
    assert body == {"id": comment_id, "content": "고침", "updatedAt": body["updatedAt"]}
    (item,) = (await page(world, post_id))["items"]
    assert (item["content"], item["updatedAt"]) == ("고침", body["updatedAt"])
    assert item["createdAt"] < body["updatedAt"]


async def test_only_the_author_changes_and_deletes(world: World, subtests: pytest.Subtests) -> None:
    alice, bob = await world.person(), await world.person()
    post_id, elsewhere = await alice.write_post(), await alice.write_post()
    comment_id = await bob.write_comment(post_id)
    before = await page(world, post_id)
    for method in ("PATCH", "DELETE"):
        with subtests.test(method=method):
            body = {"json": {"content": "남의 댓글"}} if method == "PATCH" else {}
            path = f"/posts/{post_id}/comments/{comment_id}"
            assert_problem(await alice.send(method, path, **body), 403, "E403-1")  # although the post is hers
            assert_problem(await world.http.request(method, f"{API}{path}", **body), 401, "T001")
            for unknown in (NOBODY, "nonsense"):
                assert_problem(await bob.send(method, f"/posts/{post_id}/comments/{unknown}", **body), 404, "E404-1")
            assert_problem(await bob.send(method, f"/posts/{elsewhere}/comments/{comment_id}", **body), 404, "E404-1")
            assert await page(world, post_id) == before


async def test_comments_need_a_visible_post_and_writing_a_token(world: World) -> None:
    alice = await world.person()
    post_id = await alice.write_post()
    comment_id = await alice.write_comment(post_id)
    assert_problem(await world.http.post(f"{API}/posts/{post_id}/comments", json={"content": "x"}), 401, "T001")
    await alice.send("DELETE", f"/posts/{post_id}")
    for unknown in (post_id, NOBODY, "nonsense"):
        path = f"/posts/{unknown}/comments"
        assert_problem(await alice.get(path), 404, "E404-1")
        assert_problem(await alice.get(f"{path}/{comment_id}/replies"), 404, "E404-1")
        assert_problem(await alice.send("POST", path, json={"content": "x"}), 404, "E404-1")
        assert_problem(await alice.send("PATCH", f"{path}/{comment_id}", json={"content": "x"}), 404, "E404-1")
        assert_problem(await alice.send("DELETE", f"{path}/{comment_id}"), 404, "E404-1")


async def test_deleted_comment_without_replies_is_gone(world: World) -> None:
    alice = await world.person()
    post_id = await alice.write_post()
    comment_id = await alice.write_comment(post_id)
    assert (await alice.send("DELETE", f"/posts/{post_id}/comments/{comment_id}")).status_code == 204
    assert await tree(world, post_id) == []
    assert await comment_count(world, post_id) == 0
    path = f"/posts/{post_id}/comments/{comment_id}"
    for answer in (
        await alice.send("DELETE", path),
        await alice.send("PATCH", path, json={"content": "x"}),
        await alice.get(f"{path}/replies"),
    ):
        assert_problem(answer, 404, "E404-1")


async def test_answered_comment_stays_without_text_and_author_until_its_last_reply_goes(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    post_id = await alice.write_post()
    top = await alice.write_comment(post_id, "비밀")
    reply = await bob.write_comment(post_id, "답글", top)
    deep = await bob.write_comment(post_id, "답글의 답글", reply)
    other = await bob.write_comment(post_id, "다른 답글", top)

    async def delete(person: Person, comment_id: str) -> None:
        assert (await person.send("DELETE", f"/posts/{post_id}/comments/{comment_id}")).status_code == 204

    await alice.send("PATCH", f"/posts/{post_id}/comments/{top}", json={"content": "고친 비밀"})
    await delete(alice, top)
    assert await tree(world, post_id) == [[DELETED, [["답글", ["답글의 답글"]], "다른 답글"]]]
    (item,) = (await page(world, post_id))["items"]
    assert (item["author"], item["updatedAt"], item["replyCount"]) == (None, None, 3)
    assert await comment_count(world, post_id) == 3
    answer = await bob.send("POST", f"/posts/{post_id}/comments", json={"content": "늦은 답글", "parentId": top})
    assert_problem(answer, 400, "E400-1")
    await delete(bob, reply)
    assert await tree(world, post_id) == [[DELETED, [[DELETED, ["답글의 답글"]], "다른 답글"]]]
    assert await comment_count(world, post_id) == 2
    await delete(bob, deep)  # takes along what only led to it
    assert await tree(world, post_id) == [[DELETED, ["다른 답글"]]]
    assert await comment_count(world, post_id) == 1
    await delete(bob, other)
    assert await tree(world, post_id) == []
    assert await comment_count(world, post_id) == 0


async def test_comments_of_somebody_who_withdrew_stay_without_the_name(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    post_id = await alice.write_post()
    await alice.write_comment(post_id, "답글", await bob.write_comment(post_id, "밥 맛"))
    assert (await bob.send("PATCH", "/users/me/withdraw", json={"password": PASSWORD})).status_code == 204
    (item,) = (await page(world, post_id))["items"]
    assert item["content"] == "밥 맛"
    nobody = {"userId": None, "nickname": "탈퇴한 사용자", "authorProfileImageUrl": None, "authorProfileImage": None}
    assert item["author"] == nobody
    assert item["replies"][0]["author"]["nickname"] == alice.nickname


async def scroll(world: World, path: str, **cursor: str) -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = []
    while True:
        body = (await world.http.get(f"{API}{path}", params={"size": 3, **cursor})).json()
        seen += body["items"]
        assert body["hasMore"] == (body["nextCursor"] is not None)
        if not body["hasMore"]:
            return seen
        cursor = {"cursorId": body["nextCursor"]["id"], "cursorCreatedAt": body["nextCursor"]["createdAt"]}


@pytest.mark.parametrize("same_instant", [False, True])
async def test_pages_of_tops_and_of_replies_join_up(world: World, same_instant: bool) -> None:
    alice = await world.person()
    post_id = await alice.write_post()
    tops = [await alice.write_comment(post_id, f"{number}") for number in range(7)]
    replies = [await alice.write_comment(post_id, f"답글 {number}", tops[3]) for number in range(7)]
    top = tops[3]
    if same_instant:
        await world.change("UPDATE comments SET created_at = '2026-11-23 01:02:03.000004'")
        tops, replies = sorted(tops), sorted(replies)
    seen = await scroll(world, f"/posts/{post_id}/comments")
    assert [item["commentId"] for item in seen] == tops[::-1]
    seen = await scroll(world, f"/posts/{post_id}/comments/{top}/replies")
    assert [item["commentId"] for item in seen] == replies
    assert {item["parentId"] for item in seen} == {top}


async def test_at_most_fifty_replies_of_a_group_come_inline_and_the_list_goes_on_behind_them(world: World) -> None:
    alice = await world.person()
    post_id = await alice.write_post()
    quiet, busy = [await alice.write_comment(post_id, text) for text in ("조용", "북적")]
    await alice.write_comment(post_id, "하나", quiet)
    parents = [busy]
    for number in range(50):
        parents.append(await alice.write_comment(post_id, f"{number}", parents[number // 4]))
    expected = parents[1:]

    def flat(item: dict[str, Any]) -> set[str]:
        return {item["commentId"]}.union(*(flat(reply) for reply in item["replies"]))

    first, second = (await page(world, post_id))["items"]
    assert (first["replyCount"], first["hasMore"], first["nextCursor"]) == (50, False, None)
    assert flat(first) == set(parents)
    assert (second["replyCount"], second["hasMore"]) == (1, False)

    expected += [await alice.write_comment(post_id, f"늦은 {number}", busy) for number in range(4)]
    first = (await page(world, post_id))["items"][0]
    assert (first["replyCount"], first["hasMore"]) == (54, True)
    assert flat(first) == set(parents)
    cursor = {"cursorId": first["nextCursor"]["id"], "cursorCreatedAt": first["nextCursor"]["createdAt"]}
    rest = await scroll(world, f"/posts/{post_id}/comments/{busy}/replies", **cursor)
    assert [item["commentId"] for item in rest] == expected[50:]
    assert len(await scroll(world, f"/posts/{post_id}/comments/{busy}/replies")) == 54


async def test_replies_are_listed_below_a_top_level_comment_only(world: World) -> None:
    alice = await world.person()
    post_id, elsewhere = await alice.write_post(), await alice.write_post()
    top = await alice.write_comment(post_id)
    reply = await alice.write_comment(post_id, "답글", top)
    for path in (f"{post_id}/comments/{reply}", f"{post_id}/comments/{NOBODY}", f"{elsewhere}/comments/{top}"):
        assert_problem(await alice.get(f"/posts/{path}/replies"), 404, "E404-1")


async def test_bad_page_parameters_are_refused(world: World) -> None:
    alice = await world.person()
    post_id = await alice.write_post()
    comments = f"/posts/{post_id}/comments"
    for path in (comments, f"{comments}/{await alice.write_comment(post_id)}/replies"):
        for params, field in (({"size": "0"}, "size"), ({"cursorCreatedAt": "yesterday"}, "cursorCreatedAt")):
            answer = await alice.get(path, params=params)
            assert assert_problem(answer, 400, "E400-1")["errors"][0]["field"] == field
        assert (await alice.get(path, params={"size": "", "cursorId": "x"})).status_code == 200
        assert (await world.http.get(f"{API}{path}", headers={"Authorization": "Bearer x"})).status_code == 401


async def test_a_reply_is_never_older_than_what_it_answers(world: World) -> None:
    # Written on a replica whose clock is behind: listed by its time alone it would come before its parent.
    alice = await world.person()
    post_id = await alice.write_post()
    top = await alice.write_comment(post_id, "먼저")
    reply = await alice.write_comment(post_id, "답글", top)
    world.clock.passed -= timedelta(minutes=5)
    await alice.write_comment(post_id, "답글의 답글", reply)
    assert await tree(world, post_id) == [["먼저", [["답글", ["답글의 답글"]]]]]


async def test_hidden_comment_is_out_of_sight_until_it_is_shown(world: World) -> None:
    admin, bob = await make_admin(world, await world.person()), await world.person()
    post_id = await bob.write_post()
    comment_id = await bob.write_comment(post_id, "욕설")

    async def act(name: str) -> int:
        return (await admin.send("POST", f"/admin/comments/{comment_id}/{name}")).status_code

    for _ in range(2):
        assert await act("hide") == 204
        assert await tree(world, post_id) == []
        assert await comment_count(world, post_id) == 0
    path = f"/posts/{post_id}/comments/{comment_id}"
    assert_problem(await bob.send("PATCH", path, json={"content": "x"}), 404, "E404-1")
    assert_problem(await bob.send("DELETE", path), 404, "E404-1")
    for _ in range(2):
        assert await act("show") == 204
        assert await tree(world, post_id) == ["욕설"]
        assert await comment_count(world, post_id) == 1
    await bob.send("DELETE", path)
    assert await act("hide") == 404
    assert await act("show") == 404
    assert await comment_count(world, post_id) == 0
    actions = await world.rows("SELECT actor_id, action, target_id FROM audit_log ORDER BY created_at, id")
    assert actions == [(admin.user_id, f"comment.{name}", comment_id) for name in ("hide", "hide", "show", "show")]


async def test_comment_shown_again_brings_back_what_leads_to_it(world: World) -> None:
    admin, bob = await make_admin(world, await world.person()), await world.person()
    post_id = await bob.write_post()
    top = await bob.write_comment(post_id, "위")
    middle = await bob.write_comment(post_id, "가운데", top)
    low = await bob.write_comment(post_id, "아래", middle)
    assert (await admin.send("POST", f"/admin/comments/{middle}/hide")).status_code == 204
    assert await tree(world, post_id) == [["위", [[HIDDEN, ["아래"]]]]]
    assert (await page(world, post_id))["items"][0]["replies"][0]["author"] is None
    await bob.send("DELETE", f"/posts/{post_id}/comments/{top}")
    await admin.send("POST", f"/admin/comments/{low}/hide")
    assert await tree(world, post_id) == []
    assert await comment_count(world, post_id) == 0
    await admin.send("POST", f"/admin/comments/{low}/show")
    assert await tree(world, post_id) == [[DELETED, [[HIDDEN, ["아래"]]]]]
    assert await comment_count(world, post_id) == 1
    await admin.send("POST", f"/admin/comments/{middle}/show")
    assert await tree(world, post_id) == [[DELETED, [["가운데", ["아래"]]]]]
    assert await comment_count(world, post_id) == 2


async def test_comments_of_a_hidden_post_can_be_moderated_and_those_of_a_deleted_one_not(world: World) -> None:
    admin, bob = await make_admin(world, await world.person()), await world.person()
    post_id = await bob.write_post()
    comment_id = await bob.write_comment(post_id)
    await admin.send("POST", f"/admin/posts/{post_id}/hide")
    assert (await admin.send("POST", f"/admin/comments/{comment_id}/hide")).status_code == 204
    await world.change("UPDATE posts SET post_status = 'DELETED'")
    assert (await admin.send("POST", f"/admin/comments/{comment_id}/show")).status_code == 404


async def test_a_page_costs_three_statements_however_many_comments_it_shows(world: World) -> None:
    alice = await world.person()
    post_id = await alice.write_post()
    for number in range(6):
        top = await alice.write_comment(post_id, f"{number}")
        await alice.write_comment(post_id, "답글의 답글", await alice.write_comment(post_id, "답글", top))
    with world.statements() as asked:
        assert len((await page(world, post_id))["items"]) == 6
    assert len([statement for statement in asked if "FROM" in statement]) == 3


async def test_a_page_is_rendered_where_nobody_else_waits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller chooses how much it is: of 100 full threads it takes 0.3 s, for which the event loop would stand still."""
    threads: list[int] = []

    def noting(*arguments: Any) -> Any:
        threads.append(threading.get_ident())
        return page_of(*arguments)

    monkeypatch.setattr(runtime, "page_of", noting)
    alice = await world.person()
    post_id = await alice.write_post()
    await alice.write_comment(post_id)
    assert (await alice.get(f"/posts/{post_id}/comments?size=100")).status_code == 200
    assert threads
    assert threading.get_ident() not in threads
