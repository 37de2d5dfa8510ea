"""The pages that the links in letters lead to: what is served. What they do in a browser is tested end to end."""

import re

import httpx
import pytest

from bapsang_api.openapi import operations

from .conformance import document
from .outbox import ask_reset, letters
from .test_accounts_addresses import ask_change
from .world import API, Backend, World, assert_problem, open_world

PAGES = {
    "verify-email": ("이메일 주소 확인", "auth/email-verifications"),
    "reset-password": ("새 비밀번호 정하기", "auth/password-resets/confirm"),
    "confirm-address": ("새 이메일 주소 확인", "auth/email-changes"),
}
SCRIPT = "/static/link.js"
POLICY = {
    **dict.fromkeys(("default-src", "base-uri", "form-action", "frame-ancestors"), "'none'"),
    **dict.fromkeys(("script-src", "style-src", "connect-src"), "'self'"),
}


def policy_of(answer: httpx.Response) -> dict[str, str]:
    parts = (part.split(maxsplit=1) for part in answer.headers["Content-Security-Policy"].split(";"))
    return dict(parts)


@pytest.mark.parametrize("name", PAGES)
async def test_a_page_is_korean_stored_nowhere_and_runs_nothing_but_its_own_script(
    file_world: World, name: str
) -> None:
    answer = await file_world.http.get(f"/{name}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Robots-Tag"] == "noindex"
    assert "ETag" not in answer.headers
    assert policy_of(answer) == POLICY
    title, endpoint = PAGES[name]
    assert '<html lang="ko">' in answer.text
    assert f"<h1>{title}</h1>" in answer.text
    assert f'data-endpoint="{API}/{endpoint}"' in answer.text
    assert "<noscript>" in answer.text
    assert "$" not in answer.text
    assert re.findall(r"<script.*?</script>", answer.text, re.DOTALL) == [f'<script src="{SCRIPT}" defer></script>']
    assert not re.search(r"\s(?:style|on\w+)=|//(?!localhost)\w", answer.text)
    script = await file_world.http.get(SCRIPT)
    assert script.headers["Content-Type"] == "text/javascript; charset=utf-8"
    again = await file_world.http.get(SCRIPT, headers={"If-None-Match": script.headers["ETag"]})
    assert (script.headers["Cache-Control"], again.status_code) == ("public, no-cache", 304)


@pytest.mark.parametrize("path", [*(f"/{name}" for name in PAGES), SCRIPT])
async def test_a_page_and_its_script_are_read_only(file_world: World, path: str) -> None:
    whole, head = await file_world.http.get(path), await file_world.http.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == whole.headers["Content-Length"]
    refused = await file_world.http.post(path, json={"token": "x"})
    assert_problem(refused, 405, "E405-1")
    assert refused.headers["Allow"] == "GET, HEAD"


def test_pages_send_to_operations_that_are_there() -> None:
    known = {path for path, method, _ in operations(document()) if method == "post"}
    assert {f"{API}/{endpoint}" for _, endpoint in PAGES.values()} <= known


async def test_the_rule_of_passwords_is_told_in_the_words_of_the_refusal(file_world: World) -> None:
    body = {"token": "a" * 43, "password": "short"}
    refusal = await file_world.http.post(f"{API}/auth/password-resets/confirm", json=body)
    (message,) = [error["message"] for error in refusal.json()["errors"] if error["field"] == "password"]
    assert message in (await file_world.http.get("/reset-password")).text


@pytest.mark.usefixtures("mail_on")
async def test_every_link_of_a_letter_leads_to_a_page(files: Backend) -> None:
    async with open_world(files) as world:
        alice = await world.person()  # whose address is to be verified
        await ask_reset(world, alice.email)
        assert (await ask_change(alice, f"new-{alice.email}")).status_code == 202
        links = [httpx.URL(one.values["link"]) for one in await letters(world) if "link" in one.values]
        for link in links:
            assert (await world.http.get(link.path)).status_code == 200
    assert {link.path.removeprefix("/") for link in links} == set(PAGES)


async def test_pages_name_who_runs_this_community(files: Backend) -> None:
    names = {"BAPSANG_OPERATOR_NAME": "밥상 <주식회사>", "BAPSANG_CONTACT_EMAIL": "help@bapsang.example"}
    async with open_world(Backend("named", {**files.environment, **names})) as world:
        page = (await world.http.get("/reset-password")).text
    assert "밥상 &lt;주식회사&gt;" in page
    assert "mailto:help@bapsang.example" in page
