"""A change of the address under traffic: pods of before and after serve side by side, and nobody is asked to log in again."""

from __future__ import annotations

import dataclasses

import pytest

from .test_feed import parsed, read
from .world import API, Backend, World, open_world, refresh_cookie

BEFORE, AFTER = "http://food.example.com", "https://food.example.com"


def _pod(backend: Backend, **environment: str) -> Backend:
    return dataclasses.replace(backend, environment={**backend.environment, **environment})


async def _refreshed(world: World, cookie: str, page: str) -> tuple[str, str, int]:
    """Refresh a login from a page of the community; return the new pair and the status."""
    headers = {"Cookie": f"refreshToken={cookie}", "Origin": page, "Host": "food.example.com"}
    answer = await world.http.post(f"{API}/auth/refresh", headers=headers)
    if answer.status_code != 204:
        return "", cookie, answer.status_code
    return answer.headers["Authorization"], refresh_cookie(answer), 204


@pytest.mark.parametrize("after", [AFTER, "https://other.example.com"])
async def test_pods_of_both_addresses_take_each_other_s_tokens_and_cookies(servers: Backend, after: str) -> None:
    """The environment is what the operator sets before and after (tests/integration/operator/test_issuer.py)."""
    old = _pod(servers, BAPSANG_ISSUER=BEFORE, BAPSANG_CORS_ORIGINS=BEFORE)
    new = _pod(servers, BAPSANG_ISSUER=BEFORE, OPTIONAL_BAPSANG_PUBLIC_URL=after, BAPSANG_CORS_ORIGINS=after)
    async with open_world(old) as first, open_world(new) as second:
        alice = await first.person()
        await alice.write_post()
        token, cookie, statuses = f"Bearer {alice.token}", alice.refresh_token, []
        for turn in range(12):
            # The load balancer sends each request wherever it likes; a page that was opened before keeps its origin.
            here, there = (first, second) if turn % 2 else (second, first)
            for pod in (here, there):
                answer = await pod.http.get(f"{API}/users/me", headers={"Authorization": token})
                statuses.append(answer.status_code)
            page = BEFORE if turn % 4 < 2 or after != AFTER else after
            token, cookie, status = await _refreshed(here, cookie, page)
            statuses.append(status)
        assert set(statuses) == {200, 204}, statuses
        for pod, site in ((first, BEFORE), (second, after)):
            (entry,) = parsed(await read(pod)).entries
            assert entry.link.startswith(f"{site}/posts/")
