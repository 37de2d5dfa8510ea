"""Notifications: who is told of what, once, and what is shown of it later."""

from __future__ import annotations

from typing import Any

import pytest

from bapsang_api.likes.sync import LikeSync
from bapsang_api.notifications import store
from bapsang_api.notifications.news import followed, moderated
from bapsang_api.notifications.service import tell
from bapsang_api.privacy.retention import NEWS_KEPT, purge
from bapsang_api.users.models import Extent

from .test_erasure import erasure
from .world import PASSWORD, Person, World, assert_problem, make_admin

pytestmark = pytest.mark.both_databases
HIDE = "INSERT INTO hidden_people (viewer_id, hidden_id, reason, created_at) VALUES (:v, :h, :r, '2026-12-01 00:00:00')"


async def listed(person: Person, **params: Any) -> list[dict[str, Any]]:
    answer = await person.get("/users/me/notifications", params=params)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def told(person: Person) -> list[tuple[str, str | None]]:
    """Return kind and actor of what somebody sees in their inbox, the oldest first."""
    return [(item["kind"], item["actor"] and item["actor"]["nickname"]) for item in reversed(await listed(person))]


async def unread(person: Person) -> int:
    return int((await person.get("/users/me/notifications/unread")).json()["count"])


async def hide(world: World, viewer: Person, other: Person, reason: str = "MUTES") -> None:
    await world.change(HIDE, v=viewer.user_id, h=other.user_id, r=reason)


async def block(world: World, one: Person, other: Person) -> None:
    await hide(world, one, other, "BLOCKS")
    await hide(world, other, one, "BLOCKED_BY")


async def test_comment_reply_mention_like_and_follow_reach_whom_they_are_about(world: World) -> None:
    author, reader, other = [await world.person() for _ in range(3)]
    post_id = await author.write_post("김치찌개")
    comment_id = await reader.write_comment(post_id, "맛있어 보여요 " + "아" * 200)
    await author.write_comment(post_id, f"고마워요 @{other.nickname}", comment_id)
    await reader.toggle(post_id)
    await world.write_back()
    await world.runtime.database.write(
        lambda connection: tell(connection, [followed(author.user_id, other.user_id)], world.clock.now())
    )
    assert await told(author) == [
        ("COMMENT", reader.nickname),
        ("LIKE", reader.nickname),
        ("FOLLOW", other.nickname),
    ]
    assert await told(reader) == [("REPLY", author.nickname)]
    assert await told(other) == [("MENTION", author.nickname)]
    follow, like, comment = await listed(author)
    assert (comment["notificationId"], comment["read"], comment["others"]) == ("1", False, 0)
    assert comment["actor"]["userId"] == reader.user_id
    assert comment["post"] == {"postId": post_id, "title": "김치찌개"}
    assert comment["comment"]["commentId"] == comment_id
    assert len(comment["comment"]["content"]) == 100
    assert comment["text"] == f"{reader.nickname}님이 회원님의 글에 댓글을 남겼습니다."
    assert (like["text"], like["comment"]) == (f"{reader.nickname}님이 회원님의 글을 좋아합니다.", None)
    assert (follow["text"], follow["post"]) == (f"{other.nickname}님이 회원님을 팔로우합니다.", None)


async def test_of_one_comment_somebody_is_told_once_of_what_it_is_to_them_most_of_all(world: World) -> None:
    author, reader = [await world.person() for _ in range(2)]
    post_id = await author.write_post()
    comment_id = await author.write_comment(post_id)
    await reader.write_comment(post_id, f"@{author.nickname} 좋아요", comment_id)
    await reader.write_comment(post_id, f"@{author.nickname} 정말")
    assert await told(author) == [("REPLY", reader.nickname), ("COMMENT", reader.nickname)]


async def test_nobody_is_told_of_their_own_acts(world: World) -> None:
    author = await world.person()
    post_id = await author.write_post()
    comment_id = await author.write_comment(post_id, f"@{author.nickname}")
    await author.write_comment(post_id, "내 답글", comment_id)
    await author.toggle(post_id)
    await world.write_back()
    assert await listed(author) == []
    assert await world.rows("SELECT 1 FROM inboxes") == []


async def test_mentions_are_whole_nicknames_of_active_people_ten_at_most(world: World) -> None:
    author, *people = [await world.person() for _ in range(14)]
    admin = await make_admin(world, await world.person())
    await world.change("UPDATE users SET nickname = 'Kim' WHERE id = :u", u=people[0].user_id)
    assert (await admin.send("POST", f"/admin/users/{people[1].user_id}/block")).status_code == 204
    post_id = await author.write_post()
    await author.write_comment(post_id, f"mail@kim @kimchi @{people[2].nickname}님 @{people[1].nickname}")
    assert await world.rows("SELECT 1 FROM notifications") == []
    await author.write_comment(post_id, "(@KIM) " + " ".join(f"@{one.nickname}" for one in people[2:]))
    reached = [row[0] for row in await world.rows("SELECT user_id FROM notifications ORDER BY user_id")]
    assert reached == sorted([people[0].user_id, *(one.user_id for one in people[2:11])])


async def test_mention_that_an_edit_adds_is_told_once(world: World) -> None:
    author, reader, other, third = [await world.person() for _ in range(4)]
    post_id, path = await author.write_post(), "/users/me/notifications/settings"
    await third.send("PUT", path, json={"mention": False})
    both = f"@{third.nickname} @{reader.nickname}"
    comment_id = await author.write_comment(post_id, both)
    await third.send("PUT", path, json={"mention": True})
    for words in (f"{both} @{other.nickname}", f"@{third.nickname}", f"@{other.nickname} {both}"):
        changed = await author.send("PATCH", f"/posts/{post_id}/comments/{comment_id}", json={"content": words})
        assert changed.is_success, changed.text
    assert await told(reader) == await told(other) == [("MENTION", author.nickname)]
    assert (await listed(other))[0]["comment"]["content"] == words
    assert [(await listed(person))[0]["notificationId"] for person in (reader, other)] == ["1", "1"]
    assert await listed(third) == []  # an edit tells nobody of what was there before


async def test_likes_of_a_post_are_one_notification_that_names_one_and_counts_the_others(world: World) -> None:
    author, *people = [await world.person() for _ in range(5)]
    post_id = await author.write_post()
    for person in (author, *people[:3]):
        await person.toggle(post_id)
    await world.write_back()
    (first,) = await listed(author)
    assert first["others"] == 2
    assert first["text"] == f"{first['actor']['nickname']}님 외 2명이 회원님의 글을 좋아합니다."
    await author.send("POST", "/users/me/notifications/read", json={"upTo": first["notificationId"]})
    assert await unread(author) == 0
    await people[3].toggle(post_id)
    await world.write_back()
    (again,) = await listed(author)
    assert (again["actor"]["nickname"], again["others"], again["read"]) == (people[3].nickname, 3, False)
    assert again["notificationId"] != first["notificationId"]
    await people[3].toggle(post_id)  # not any more: another is named
    await world.write_back()
    (left,) = await listed(author)
    assert (left["others"], left["actor"]["nickname"] in {one.nickname for one in people[:3]}) == (2, True)
    for person in people[:3]:
        await person.toggle(post_id)
    await world.write_back()
    assert await world.rows("SELECT 1 FROM notifications") == []
    assert await world.rows("SELECT 1 FROM user_post_likes") != []  # the author's own


async def test_like_is_told_once_whatever_ends_the_write_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    author, reader = await world.person(), await world.person()
    post_id = await author.write_post()
    await reader.toggle(post_id)
    sync: LikeSync = world.runtime.like_sync

    async def killed(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(sync._likes, "acknowledge", killed)  # between the commit and its acknowledgement
        with pytest.raises(SystemExit):
            await sync.run()
    (first,) = await listed(author)
    await author.send("POST", "/users/me/notifications/read", json={"upTo": first["notificationId"]})
    report = await world.write_back()
    assert (report.posts, report.added) == (1, 0)  # the claim was replayed, and changed no row
    assert await unread(author) == 0
    assert [one["notificationId"] for one in await listed(author)] == [first["notificationId"]]


async def test_blocked_and_muted_are_neither_told_nor_told_of(world: World) -> None:
    reader, author, blocked, muted = [await world.person() for _ in range(4)]
    await block(world, author, blocked)
    await hide(world, author, muted)
    post_id, now = await author.write_post(), world.clock.now()
    for actor, recipient in ((blocked, author), (muted, author), (author, blocked)):
        news = followed(recipient.user_id, actor.user_id)
        await world.runtime.database.write(lambda connection, news=news: tell(connection, [news], now))
    assert await world.rows("SELECT 1 FROM notifications") == []
    await muted.toggle(post_id)
    await world.write_back()
    assert await world.rows("SELECT 1 FROM notifications") == []
    await author.write_comment(post_id, f"@{muted.nickname}")  # mute is one way
    assert await told(muted) == [("MENTION", author.nickname)]
    other = await author.write_post()
    for person in (reader, author, muted):  # of whom the last and the author come before the reader
        await person.toggle(other)
    await world.write_back()
    (item,) = await listed(author)
    assert (item["actor"]["nickname"], item["post"]["postId"]) == (reader.nickname, other)


async def test_who_does_not_see_the_author_of_a_post_is_not_told_of_it(world: World) -> None:
    author, writer, stranger = [await world.person() for _ in range(3)]
    await block(world, author, stranger)
    post_id = await author.write_post()
    await writer.write_comment(post_id, f"@{stranger.nickname}")
    assert await world.rows("SELECT 1 FROM notifications WHERE user_id = :u", u=stranger.user_id) == []
    assert await told(author) == [("COMMENT", writer.nickname)]


async def test_hiding_somebody_takes_what_they_did_from_sight_and_a_block_deletes_it(world: World) -> None:
    author, reader, troll = [await world.person() for _ in range(3)]
    post_id = await author.write_post()
    await troll.write_comment(post_id)
    for person in (reader, troll):
        await person.toggle(post_id)
    await world.write_back()
    assert len(await listed(author)) == 2
    await hide(world, author, troll)
    (like,) = await listed(author)
    assert (like["actor"]["nickname"], like["others"]) == (reader.nickname, 1)  # counts are the same for everybody
    await author.write_comment(await troll.write_post())
    await hide(world, troll, reader)  # which is nobody else's business
    assert (await listed(author))[0]["actor"]["nickname"] == reader.nickname
    assert await unread(author) == 1
    await world.runtime.database.write(
        lambda connection: store.forget_between(connection, author.user_id, troll.user_id)
    )
    await world.change("DELETE FROM hidden_people")
    assert [item["kind"] for item in await listed(author)] == ["LIKE"]


async def test_what_is_gone_is_gone_from_the_inbox(world: World) -> None:
    author, reader = await world.person(), await world.person()
    kept, gone = await author.write_post(), await author.write_post()
    comment_id = await reader.write_comment(kept)
    await reader.write_comment(gone)
    await author.write_comment(kept, "답글", comment_id)
    assert (await reader.send("DELETE", f"/posts/{kept}/comments/{comment_id}")).is_success
    assert [item["post"]["postId"] for item in await listed(author)] == [gone]
    assert await told(reader) == [("REPLY", author.nickname)]  # which is there still
    assert (await author.send("DELETE", f"/posts/{gone}")).is_success
    assert await listed(author) == []
    assert await world.rows("SELECT user_id FROM notifications") == [(reader.user_id,)]


async def test_what_moderators_hide_is_not_shown_while_it_is_hidden(world: World) -> None:
    author, reader = await world.person(), await world.person()
    admin = await make_admin(world, await world.person())
    post_id = await author.write_post()
    comment_id = await reader.write_comment(post_id)
    for thing in (f"comments/{comment_id}", f"posts/{post_id}"):
        await admin.send("POST", f"/admin/{thing}/hide")
        assert ("COMMENT", reader.nickname) not in await told(author)
        assert await unread(author) == len(await listed(author))
        await admin.send("POST", f"/admin/{thing}/show")
        assert ("COMMENT", reader.nickname) in await told(author)
    await admin.send("POST", f"/admin/posts/{post_id}/hide")
    news = moderated(author.user_id, "글이 숨겨졌습니다.", post_id=post_id)
    await world.runtime.database.write(lambda connection: tell(connection, [news], world.clock.now()))
    (item,) = await listed(author)
    assert (item["kind"], item["text"], item["actor"]) == ("MODERATION", "글이 숨겨졌습니다.", None)


async def test_withdrawal_and_erasure_leave_nothing_of_somebody(world: World) -> None:
    author, reader, third = [await world.person() for _ in range(3)]
    post_id, other = await author.write_post(), await reader.write_post()
    await reader.write_comment(post_id)
    for person in (reader, third):
        await person.toggle(post_id)
    await third.write_comment(other)
    await world.write_back()
    assert (await reader.send("PATCH", "/users/me/withdraw", json={"password": PASSWORD})).is_success
    (like,) = await listed(author)
    assert (like["kind"], like["actor"]["nickname"], like["others"]) == ("LIKE", third.nickname, 1)
    assert await world.rows("SELECT 1 FROM notifications WHERE user_id = :u OR actor_id = :u", u=reader.user_id) == []
    await third.write_comment(other)  # by somebody who has the page open
    await erasure(world).erase(author.user_id, Extent.TRACES, reason=None)
    assert await world.rows("SELECT 1 FROM notifications") == []
    assert await world.rows("SELECT 1 FROM inboxes") == []


async def test_kinds_can_be_turned_off(world: World) -> None:
    author, reader = await world.person(), await world.person()
    everything = dict.fromkeys(("comment", "reply", "mention", "like", "follow"), True)
    path, post_id = "/users/me/notifications/settings", await author.write_post()
    assert (await author.get(path)).json() == everything
    assert (await author.send("PUT", path, json={"comment": False, "follow": False})).status_code == 204
    assert (await author.send("PUT", path, json={"follow": True, "like": None})).status_code == 204
    assert (await author.get(path)).json() == {**everything, "comment": False}
    await reader.write_comment(post_id)
    await reader.toggle(post_id)
    await world.write_back()
    assert await told(author) == [("LIKE", reader.nickname)]


async def test_marks_pages_and_counts(world: World) -> None:
    author, reader = await world.person(), await world.person()
    post_id = await author.write_post()
    for _ in range(5):
        await reader.write_comment(post_id)
    assert await unread(author) == 5
    path = "/users/me/notifications/read"
    assert (await author.send("POST", path, json={"upTo": "2"})).status_code == 204
    assert (await author.send("POST", path, json={"ids": ["4", "4", "999"]})).status_code == 204
    assert await unread(author) == 2
    first = (await author.get("/users/me/notifications", params={"size": 3})).json()
    assert [(item["notificationId"], item["read"]) for item in first["items"]] == [
        ("5", False),
        ("4", True),
        ("3", False),
    ]
    cursor = {f"cursor{name[0].upper()}{name[1:]}": value for name, value in first["nextCursor"].items()}
    second = (await author.get("/users/me/notifications", params={"size": 3, **cursor})).json()
    assert [item["notificationId"] for item in second["items"]] == ["2", "1"]
    assert (second["nextCursor"], second["hasMore"]) == (None, False)
    for body in ({}, {"upTo": "1", "ids": []}, {"upTo": "-1"}, {"upTo": "9" * 11}, {"ids": ["1"] * 101}, {"ids": [1]}):
        assert_problem(await author.send("POST", path, json=body), 400, "E400-1")
    assert_problem(await author.get("/users/me/notifications", params={"cursorId": "x"}), 400, "E400-1")
    assert (await reader.send("POST", path, json={"upTo": "5"})).status_code == 204  # the own inbox alone
    assert await unread(author) == 2


async def test_page_takes_one_statement_and_no_more_with_its_length(world: World) -> None:
    author, *people = [await world.person() for _ in range(4)]
    post_id = await author.write_post()
    for person in people:
        await person.write_comment(post_id)
        await person.toggle(post_id)
    await world.write_back()
    with world.statements() as asked:
        assert len(await listed(author)) == 4
    assert len([statement for statement in asked if statement.startswith("SELECT")]) == 1


async def test_inboxes_keep_the_newest_and_nothing_beyond_its_period(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MOST_KEPT", 6)
    monkeypatch.setattr(store, "_SPARE", 2)
    author, reader = await world.person(), await world.person()
    post_id = await author.write_post()
    for count in range(1, 10):
        await reader.write_comment(post_id)
        assert len(await listed(author)) <= min(count, 6)
    assert [item["notificationId"] for item in await listed(author)] == ["9", "8", "7", "6", "5"]
    world.clock.passed += NEWS_KEPT
    for person in (author, reader):
        person.token, _ = await world.log_in(person.email)
    await reader.write_comment(post_id)
    assert (await purge(world.runtime.database, world.clock))["purged_notifications"] == 3
    assert [item["notificationId"] for item in await listed(author)] == ["10"]
