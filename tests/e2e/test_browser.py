"""A real browser uses the community: from the page's own origin, with cookies and uploads as every visitor's browser has them."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest
from playwright.sync_api import Browser, Page, expect

from bapsang_local import smoke
from bapsang_local.cluster import Cluster
from bapsang_local.settings import Settings

from .conftest import Community, eventually
from .site import browsing, serving_web

PASSWORD = "Bapsang-2026!"
PICTURE = {"name": "얼굴.png", "mimeType": "image/png", "buffer": smoke.photo(24)}
PHOTO = {"name": "된장찌개.png", "mimeType": "image/png", "buffer": smoke.photo(32)}
TEXT = "<b>된장</b> & 밥 🍚"
PATIENCE_MS = 30_000  # of one wait; a busy machine is no failure

expect.set_options(timeout=PATIENCE_MS)


@dataclass(slots=True)
class Visitor:
    """Somebody at the page. `answers` are those of the API, as "METHOD path status"."""

    page: Page
    email: str
    nickname: str
    answers: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def submit(self, form: str, **fields: Any) -> None:
        """Fill a form by its labels and send it; a dict is a file."""
        there = self.page.get_by_role("form", name=form, exact=True)
        for label, value in fields.items():
            entry = there.get_by_label(label.replace("_", " "))
            entry.set_input_files([value]) if isinstance(value, dict) else entry.fill(value)
        there.locator("button").click()

    def told(self, who: str) -> None:
        expect(self.page.get_by_role("status")).to_have_text(who)

    def log_in(self) -> None:
        self.submit("로그인", 이메일=self.email, 비밀번호=PASSWORD)
        self.told(self.nickname)

    def join(self) -> None:
        """Sign up with a picture and log in."""
        self.submit("가입", 이메일=self.email, 비밀번호=PASSWORD, 닉네임=self.nickname, 프로필_사진=PICTURE)
        self.told("가입했습니다")
        self.log_in()

    def post(self) -> None:
        self.submit("글쓰기", 제목="오늘의 밥상", 내용=TEXT, 사진=PHOTO)
        expect(self.page.get_by_role("heading", name="오늘의 밥상")).to_be_visible()

    def like(self) -> None:
        self.page.get_by_role("button", name="좋아요").click()

    def liked(self, count: int, *, by_me: bool) -> None:
        expect(self.page.locator("#like span")).to_have_text(str(count))
        expect(self.page.locator("#like")).to_have_attribute("aria-pressed", str(by_me).lower())

    def cookie(self) -> dict[str, Any] | None:
        return next((dict(cookie) for cookie in self.page.context.cookies() if cookie["name"] == "refreshToken"), None)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browsing() as opened:
        yield opened


@pytest.fixture(scope="module")
def address(cluster: Cluster, settings: Settings, sample: Community) -> Iterator[str]:
    """The URL of the page."""
    image: str = sample.get("community")["spec"]["image"]
    with serving_web(cluster, f"e2e-web-{secrets.token_hex(3)}", image) as path:
        client = smoke.Client(settings.ingress_port)
        eventually(lambda: client.call("GET", path).status == 200, 60, what="the ingress serves the page")
        yield f"{settings.url}{path}"


@pytest.fixture
def visitor(chromium: Browser, address: str, settings: Settings, request: pytest.FixtureRequest) -> Iterator[Visitor]:
    """Somebody new at the page; what they saw last is kept when the test fails."""
    tag = secrets.token_hex(4)
    with chromium.new_context() as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        new = Visitor(page, f"{tag}@example.com", tag)
        page.on("response", lambda answer: _note(new, answer))
        page.on("pageerror", lambda error: new.errors.append(str(error)))
        page.goto(address)
        new.told("손님")
        failed = request.session.testsfailed
        yield new
        if request.session.testsfailed > failed:
            picture = settings.logs / f"browser-{request.node.name}.png"
            page.screenshot(path=picture, full_page=True)
            print(f"Last seen: {picture}\n" + "\n".join([*new.answers, *new.errors]))  # noqa: T201
        else:
            assert new.errors == []


def _note(visitor: Visitor, answer: Any) -> None:
    _, api, path = answer.url.partition("/api/v1")
    if api:
        visitor.answers.append(f"{answer.request.method} {path} {answer.status}")


def expired(token: str, cluster: Cluster, sample: Community) -> str:
    """Return the same access token as it would be half an hour after its end: signed with the community's own key."""
    secret = sample.get("secret", f"{sample.name}-signing-key")
    (pem,) = secret["data"].values()
    claims = jwt.decode(token, options={"verify_signature": False})
    past = int(time.time()) - 3600
    claims |= {"iat": past, "nbf": past, "exp": past + 1800}
    headers = {"kid": jwt.get_unverified_header(token)["kid"]}
    return jwt.encode(claims, base64.b64decode(pem), algorithm="RS256", headers=headers)


def test_a_visitor_signs_up_with_a_picture_posts_a_photo_likes_and_comments(visitor: Visitor) -> None:
    visitor.join()
    visitor.post()
    page = visitor.page
    expect(page.locator("#post p")).to_have_text(TEXT)
    for image, side in (("음식", 32), ("프로필", 24)):
        loaded = page.get_by_role("img", name=image)
        expect(loaded).to_have_js_property("complete", True)
        expect(loaded).to_have_js_property("naturalWidth", side)
    visitor.like()
    visitor.liked(1, by_me=True)
    visitor.submit("댓글쓰기", 댓글=f"맛있겠다 {TEXT}")
    expect(page.get_by_role("listitem")).to_have_text([f"맛있겠다 {TEXT}"])
    expect(page.get_by_role("alert")).to_be_empty()
    assert [answer for answer in visitor.answers if not answer.endswith(("200", "201", "204"))] == [
        "POST /auth/refresh 401"  # nobody was logged in when the page was opened
    ]


def test_a_reload_is_logged_in_again_by_a_cookie_that_no_script_sees(visitor: Visitor) -> None:
    assert visitor.cookie() is None
    visitor.join()
    visitor.post()
    before = visitor.cookie()
    assert before is not None
    kept = {name: before[name] for name in ("domain", "path", "httpOnly", "secure", "sameSite")}
    assert kept == {
        "domain": "bapsang.localhost",
        "path": "/api/v1/auth",
        "httpOnly": True,
        "secure": True,
        "sameSite": "None",
    }
    assert 14 * 86400 - 600 < before["expires"] - time.time() <= 14 * 86400
    assert visitor.page.evaluate("document.cookie") == ""
    visitor.answers.clear()
    visitor.page.reload()
    visitor.told(visitor.nickname)
    assert visitor.answers[0] == "POST /auth/refresh 204"
    after = visitor.cookie()
    assert after is not None
    assert after["value"] != before["value"]
    visitor.like()
    visitor.liked(1, by_me=True)


def test_an_expired_token_is_renewed_and_the_request_repeated(
    visitor: Visitor, cluster: Cluster, sample: Community
) -> None:
    visitor.join()
    visitor.post()
    old = expired(visitor.page.evaluate("client.token"), cluster, sample)
    visitor.page.evaluate("token => { client.token = token; }", old)
    visitor.answers.clear()
    visitor.like()
    visitor.liked(1, by_me=True)
    liked = [answer for answer in visitor.answers if "/likes" in answer or "/auth" in answer]
    assert [answer.rpartition(" ")[2] for answer in liked] == ["401", "204", "204"]
    assert liked[1] == "POST /auth/refresh 204"
    assert visitor.page.evaluate("client.token") != old


def test_a_logout_ends_it_for_this_browser_and_for_whoever_kept_the_token(visitor: Visitor) -> None:
    visitor.join()
    token = visitor.page.evaluate("client.token")
    visitor.page.get_by_role("button", name="로그아웃").click()
    visitor.told("손님")
    assert visitor.cookie() is None
    visitor.page.reload()
    visitor.told("손님")
    assert visitor.answers[-1] == "POST /auth/refresh 401"
    ask = "token => fetch('/api/v1/users/me', {headers: {Authorization: `Bearer ${token}`}}).then(a => a.json()).then(body => body.code)"

    def refused() -> bool:
        return bool(visitor.page.evaluate(ask, token) == "T003")

    eventually(refused, 5, what="the token is refused")
    visitor.log_in()
