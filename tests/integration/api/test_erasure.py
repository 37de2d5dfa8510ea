"""Erasing people: what goes, what stays, and what may be done again."""

import pytest

from bapsang_api.kit.problem import NotFound
from bapsang_api.likes.service import LikeService
from bapsang_api.upkeep.erasure import Erased, Erasure
from bapsang_api.upkeep.recount import Recount
from bapsang_api.upkeep.store import RecountStore
from bapsang_api.uploads.collector import Report
from bapsang_api.users.models import Extent
from bapsang_api.users.service import user_id_of

from .bucket import DAY, PhotoWorld, collect
from .world import API, PASSWORD, Person, World, assert_problem, make_admin

pytestmark = pytest.mark.both_databases

NOBODY = "01JD0000000000000000000000"
DELETED = "삭제된 댓글입니다."


def erasure(world: World) -> Erasure:
    runtime = world.runtime
    likes: LikeService = runtime.app.services[LikeService]
    return Erasure(runtime.database, runtime.revoked, likes, world.clock, runtime.ids)


async def erase(world: World, person: Person, *, with_posts: bool = True) -> Erased:
    """Erase somebody, and check that every counter is still the number of its rows."""
    extent = Extent.WORDS if with_posts else Extent.TRACES
    erased = await erasure(world).erase(person.user_id, extent, reason=None)
    counted = await Recount(world.runtime.database, RecountStore(world.runtime.redis, world.clock)).run(
        None, dry_run=True
    )
    assert counted.differences == 0
    return erased


async def test_an_erased_person_is_gone_from_every_row_and_logged_out(world: World) -> None:
    alice = await world.person()
    post_id = await alice.write_post(title="나의 비밀 밥상")
    comment_id = await alice.write_comment(post_id, "비밀은 된장")
    erased = await erasure(world).erase(
        await user_id_of(world.runtime.database, alice.email), Extent.TRACES, reason="asked"
    )
    assert erased == Erased(was_active=True, sessions=1, posts=0, comments=0)
    assert (await alice.get("/users/me")).status_code == 401
    assert (await world.refresh(alice.refresh_token)).status_code == 401
    login = {"email": alice.email, "password": PASSWORD}
    assert (await world.http.post(f"{API}/auth/tokens", json=login)).status_code == 401  # not even "you withdrew"
    post = (await world.http.get(f"{API}/posts/{post_id}")).json()
    assert (post["title"], post["author"]["nickname"]) == ("나의 비밀 밥상", "탈퇴한 사용자")
    (comment,) = (await world.http.get(f"{API}/posts/{post_id}/comments")).json()["items"]
    assert (comment["commentId"], comment["content"]) == (comment_id, "비밀은 된장")
    assert comment["author"]["nickname"] == "탈퇴한 사용자"
    (row,) = await world.rows("SELECT email, password_hash, withdrawn_email_hash, withdrawn_at FROM user_auth")
    assert row == (f"~{alice.user_id}", None, None, None)
    assert await world.rows("SELECT user_agent FROM auth_sessions") == [(None,)]
    assert await world.rows("SELECT actor_id, action, target_id, reason FROM audit_log") == [
        (None, "user.erase", alice.user_id, "asked")
    ]


async def test_erasing_again_changes_nothing_and_finishes_what_was_left(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    mine, other = await alice.write_post(), await bob.write_post()
    await alice.write_comment(other)
    await erase(world, alice, with_posts=False)
    (before,) = await world.rows("SELECT nickname, deleted_at FROM users WHERE id = :u", u=alice.user_id)
    again, once_more = await erase(world, alice), await erase(world, alice)
    assert (again.was_active, again.posts, again.comments) == (False, 1, 1)
    assert (once_more.was_active, once_more.posts, once_more.comments) == (False, 0, 0)
    assert await world.rows("SELECT nickname, deleted_at FROM users WHERE id = :u", u=alice.user_id) == [before]
    assert await world.rows("SELECT content FROM post_contents WHERE id = :p", p=mine) == [("",)]
    assert (await world.http.get(f"{API}/posts/{mine}")).status_code == 404
    assert (await world.http.get(f"{API}/posts/{other}")).status_code == 200
    with pytest.raises(NotFound):
        await erasure(world).erase(NOBODY, Extent.TRACES, reason=None)
    with pytest.raises(NotFound):
        await user_id_of(world.runtime.database, alice.email)


async def test_erased_comments_go_as_deleted_ones_do_and_the_answers_of_others_stay(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    post_id = await bob.write_post()
    answered = await alice.write_comment(post_id, "1")
    reply = await bob.write_comment(post_id, "1a", answered)
    await alice.write_comment(post_id, "1aa", reply)
    own = await alice.write_comment(post_id, "2")
    await alice.write_comment(post_id, "2a", own)
    await bob.write_comment(post_id, "3")
    assert (await erase(world, alice)).comments == 4
    third, first = (await world.http.get(f"{API}/posts/{post_id}/comments")).json()["items"]
    assert (third["content"], third["replies"]) == ("3", [])
    assert (first["content"], first["author"], first["replyCount"]) == (DELETED, None, 1)
    assert [(item["content"], item["replies"]) for item in first["replies"]] == [("1a", [])]
    assert (await world.http.get(f"{API}/posts/{post_id}")).json()["stats"]["commentCount"] == 2
    words = await world.rows("SELECT DISTINCT content FROM comments WHERE user_id = :u", u=alice.user_id)
    assert words == [("",)]


async def test_comments_that_were_out_of_sight_are_erased_too(world: World) -> None:
    admin, alice = await make_admin(world, await world.person()), await world.person()
    post_id, gone, hidden_post = [await admin.write_post() for _ in range(3)]
    deleted, hidden = [await alice.write_comment(post_id) for _ in range(2)]
    await admin.write_comment(post_id, "답글", hidden)
    await alice.send("DELETE", f"/posts/{post_id}/comments/{deleted}")
    await admin.send("POST", f"/admin/comments/{hidden}/hide")
    await alice.write_comment(gone)
    await admin.send("DELETE", f"/posts/{gone}")
    await alice.write_comment(hidden_post)
    await admin.send("POST", f"/admin/posts/{hidden_post}/hide")
    assert (await erase(world, alice)).comments == 4
    rows = await world.rows("SELECT content, comment_status FROM comments WHERE user_id = :u", u=alice.user_id)
    assert rows == [("", "DELETED")] * 4
    assert await world.rows("SELECT COUNT(*) FROM comments WHERE deleted_at IS NULL") == [(1,)]  # the answer
    (item,) = (await world.http.get(f"{API}/posts/{post_id}/comments")).json()["items"]
    assert (item["content"], item["replyCount"]) == (DELETED, 1)
    assert_problem(await admin.send("POST", f"/admin/comments/{hidden}/show"), 404, "E404-1")


async def test_everything_goes_however_much_there_is(world: World) -> None:
    alice = await world.person()
    posts = [await alice.write_post() for _ in range(3)]
    for number in range(60):
        await alice.write_comment(posts[number % 3])
    erased = await erase(world, alice)
    assert (erased.posts, erased.comments) == (3, 60)


async def test_likes_of_others_posts_stay_and_those_of_erased_posts_are_forgotten(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    mine, other = await alice.write_post(), await bob.write_post()
    for post_id in (mine, other):
        await alice.toggle(post_id)
        await bob.toggle(post_id)
    await erase(world, alice)
    assert await world.shown_likes(other) == 2
    assert await world.runtime.redis.keys(f"like:*:{mine}") == []
    assert_problem(await bob.send("PUT", f"/posts/{mine}/likes"), 404, "E404-1")
    await world.write_back()
    assert await world.like_count_column(other) == await world.liked_rows(other) == 2


async def test_pictures_of_an_erased_person_and_their_posts_are_collected(photos: PhotoWorld) -> None:
    alice, bob = await photos.person(), await photos.person()
    await photos.show_profile(alice)
    images = [{"key": await photos.upload(alice), "alt": f"우리 집 {number}"} for number in range(2)]
    await photos.write_post(alice, images=images)
    await photos.write_post(alice, postImageKey=images[0]["key"])
    _, theirs = await photos.show_photo(bob)
    await erase(photos.world, alice, with_posts=False)
    photos.world.clock.passed += DAY * 1.1
    assert await collect(photos) == Report(uploads=4, images=1)  # the profile's alone
    assert (await erase(photos.world, alice)).posts == 2
    assert await photos.world.rows("SELECT COUNT(*) FROM post_images") == [(1,)]
    assert await collect(photos) == Report()
    photos.world.clock.passed += DAY * 1.1
    assert await collect(photos) == Report(images=2)
    assert photos.bucket.ids("") == photos.bucket.ids("originals/") == {theirs["key"].rpartition("/")[2]}
