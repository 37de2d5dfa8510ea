"""Letters of the sample Community: through `c-mail` into the mailbox that `make up` names, and the link back."""

from __future__ import annotations

import re
from typing import Any

from bapsang_local.settings import HOST, Settings

from .conftest import Community, People, eventually
from .mailbox import Mailbox

API = "/api/v1"
LINK = re.compile(r"(http://\S+)/reset-password#token=(\S+)")


def test_the_mailbox_has_a_page_at_the_url_that_make_up_prints(mailbox: Mailbox, settings: Settings) -> None:
    assert settings.mailbox_url == f"http://mail.{HOST}:{settings.ingress_port}"
    status, body = mailbox.call("/")
    assert (status, b"Mailpit" in body) == (200, True)


def test_a_forgotten_password_is_set_anew_by_a_letter(
    sample: Community, people: People, mailbox: Mailbox, settings: Settings
) -> None:
    ready = sample.condition("MailReady")
    assert (ready["status"], ready["reason"]) == ("True", "Available"), ready["message"]
    client = people.join()
    email = client.call("GET", f"{API}/users/me").json()["email"]
    assert client.call("POST", f"{API}/auth/password-resets", {"email": email}).status == 202

    def reset() -> tuple[dict[str, Any], re.Match[str]] | None:
        for letter in mailbox.letters(email):  # the one that verifies the address comes too
            if found := LINK.search(letter["Text"]):
                return letter, found
        return None

    arrived = eventually(reset, 60, what=f"a letter that resets the password of {email}")
    assert arrived is not None
    letter, link = arrived
    assert letter["From"]["Address"] == "no-reply@bapsang.localhost"
    assert link[0] in letter["HTML"]
    assert link[1] == settings.url
    new = {"token": link[2], "password": "Another-2026"}
    assert client.call("POST", f"{API}/auth/password-resets/confirm", new).status == 204
    eventually(
        lambda: client.call("GET", f"{API}/users/me").status == 401, 20, what="the session before the reset has ended"
    )
    answer = client.call("POST", f"{API}/auth/tokens", {"email": email, "password": new["password"]})
    assert answer.status == 201, answer.body
