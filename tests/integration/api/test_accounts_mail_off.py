"""Where the platform sends no mail: what needs a letter says so, all else is as it was."""

import pytest

from .world import API, PASSWORD, World, assert_problem


async def test_what_needs_a_letter_is_unavailable_and_says_why(world: World) -> None:
    alice = await world.person()
    answers = [
        await world.http.post(f"{API}/auth/password-resets", json={"email": alice.email}),
        await alice.send("POST", "/users/me/email-verification"),
        await alice.send("PATCH", "/users/me/email", json={"email": "new@example.com", "password": PASSWORD}),
    ]
    for answer in answers:
        assert assert_problem(answer, 503, "E503-1")["detail"] == "이 커뮤니티는 메일을 보내지 않습니다."
        assert answer.headers["Retry-After"]
    assert await world.rows("SELECT 1 FROM account_links") == []


@pytest.mark.parametrize("current", [{}, {"currentPassword": PASSWORD}])
async def test_nothing_is_written_to_anybody(world: World, current: dict[str, str]) -> None:
    alice = await world.person()
    await world.log_in(alice.email)
    changed = await alice.send("PATCH", "/auth/password", json={"password": "Bapsang-2027?", **current})
    assert changed.status_code == 200
    assert await world.rows("SELECT 1 FROM mail_outbox") == []
    assert await world.rows("SELECT email_verified_at, verify_by FROM user_auth") == [(None, None)]
