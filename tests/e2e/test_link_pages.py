"""The pages that links in letters lead to, on a phone: a password set anew, an e-mail verified and changed, each link once.

Nothing here knows the cluster but the fixture `sample`: with other `people` and another `mailbox` it is the same.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from bapsang_local.smoke import Client

from .conftest import Community, People, eventually
from .mailbox import Mailbox
from .site import browsing

API = "/api/v1"
PHONE = {"width": 390, "height": 844}
PATIENCE_MS = 30_000
NEW_PASSWORD = "Another-2026"
OVER = "더는 쓸 수 없는 링크입니다."
RULE = "영문, 숫자, 특수문자를 포함한 8자 이상 20자 이하여야 합니다."


@dataclass
class Reader:
    """Somebody who opens links of letters on a phone. `errors` are what the page's script or its policy refused."""

    page: Page
    mailbox: Mailbox
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._note)

    def _note(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            self.errors.append(message.text)

    def link(self, email: str, path: str) -> str:
        """Return the link to a page out of the letter that is in the mailbox, or will be."""
        pattern = re.compile(rf"http://\S+/{path}#token=\S+")

        def found() -> str | None:
            texts = (letter["Text"] for letter in self.mailbox.letters(email))
            return next((match[0] for text in texts if (match := pattern.search(text))), None)

        link = eventually(found, 60, what=f"a letter to {email} with a link to {path}")
        assert link is not None
        return link

    def open(self, link: str) -> None:
        """Open a link as from another program; the token does not stay in the address."""
        self.page.goto("about:blank")
        self.page.goto(link)
        expect(self.page.locator("form")).to_be_visible(timeout=PATIENCE_MS)
        assert self.page.url == link.partition("#")[0]
        assert self.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def sees(self, role: str, text: str) -> None:
        """The text is in a live region that has the focus, in the place of the form."""
        region = self.page.locator(f"[role={role}]:focus")
        expect(region).to_contain_text(text, timeout=PATIENCE_MS)
        expect(self.page.locator("form")).to_be_hidden()
        assert self.errors == []


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browsing() as opened:
        yield opened


@pytest.fixture
def phone(chromium: Browser, mailbox: Mailbox, sample: Community) -> Iterator[Reader]:
    assert sample.condition("MailReady").get("status") == "True"
    with chromium.new_context(viewport=PHONE, is_mobile=True, has_touch=True) as context:  # type: ignore[arg-type]
        yield Reader(context.new_page(), mailbox)


def me(client: Client) -> dict[str, object]:
    found: dict[str, object] = client.call("GET", f"{API}/users/me").json()
    return found


def test_a_new_password_is_set_by_the_form_with_the_keyboard_alone(phone: Reader, people: People) -> None:
    client, page = people.join(), phone.page
    email = str(me(client)["email"])
    assert client.call("POST", f"{API}/auth/password-resets", {"email": email}).status == 202
    link = phone.link(email, "reset-password")
    phone.open(link)
    password, again = page.get_by_label("새 비밀번호", exact=True), page.get_by_label("새 비밀번호 한 번 더")

    def enter(first: str, second: str) -> None:
        for box, value in ((password, first), (again, second)):
            box.fill(value)
        again.press("Enter")

    password.focus()
    for order in (again, page.get_by_label("비밀번호 보기"), page.get_by_role("button")):
        page.keyboard.press("Tab")
        expect(order).to_be_focused()
    enter(NEW_PASSWORD, NEW_PASSWORD.lower())
    expect(again).to_be_focused()
    expect(again).to_have_accessible_description("두 비밀번호가 서로 다릅니다. 다시 적어 주세요.")
    enter("too-short", "too-short")  # no digit
    expect(password).to_be_focused(timeout=PATIENCE_MS)
    expect(password).to_have_accessible_description(f"{RULE} {RULE}")  # of the form, and of the server
    page.get_by_label("비밀번호 보기").press("Space")
    expect(password).to_have_attribute("type", "text")
    page.context.set_offline(True)
    enter(NEW_PASSWORD, NEW_PASSWORD)
    expect(page.get_by_role("alert").filter(has_text="지금은 처리하지 못했습니다.")).to_be_visible()
    page.context.set_offline(False)
    again.press("Enter")
    phone.sees("status", "비밀번호를 바꾸었습니다.")
    for box in (password, again):
        expect(box).to_have_value("")
        expect(box).to_have_attribute("type", "password")
    answer = client.call("POST", f"{API}/auth/tokens", {"email": email, "password": NEW_PASSWORD})
    assert answer.status == 201, answer.body
    phone.open(link)
    enter(NEW_PASSWORD, NEW_PASSWORD)
    phone.sees("alert", OVER)


def test_an_address_is_verified_by_a_button_and_not_by_opening_the_link(phone: Reader, people: People) -> None:
    client = people.join()
    link = phone.link(str(me(client)["email"]), "verify-email")
    sent: list[str] = []
    phone.page.on("request", lambda request: sent.append(request.method))
    phone.open(link)
    phone.page.wait_for_load_state("networkidle")
    assert set(sent) == {"GET"}
    assert me(client)["emailVerified"] is False
    phone.page.get_by_role("button", name="이메일 주소 확인", exact=True).dblclick()
    phone.sees("status", "이메일 주소를 확인했습니다.")
    assert sent.count("POST") == 1
    eventually(lambda: me(client)["emailVerified"], 20, what="the address is verified")
    phone.open(link)
    phone.press("이메일 주소 확인")
    phone.sees("alert", OVER)


def test_an_address_is_changed_by_a_button_and_a_link_without_its_token_says_so(phone: Reader, people: People) -> None:
    client = people.join()
    wanted = f"{secrets.token_hex(4)}@example.com"
    change = {"email": wanted, "password": "Bapsang-2026"}
    assert client.call("PATCH", f"{API}/users/me/email", change).status == 202
    link = phone.link(wanted, "confirm-address")
    phone.page.goto(link.partition("#")[0])
    expect(phone.page.get_by_role("alert")).to_contain_text("링크가 온전하지 않습니다.")
    expect(phone.page.locator("form")).to_be_hidden()
    phone.page.goto(link)  # in the same tab nothing but the fragment changes
    phone.press("새 주소로 바꾸기")
    phone.sees("status", "이메일 주소를 바꾸었습니다.")
    eventually(lambda: me(client)["email"] == wanted, 20, what=f"the address is {wanted}")
