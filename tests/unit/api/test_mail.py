"""Letters: what they say and how they look on the wire, the seal, bounces, and what the mail server's settings mean."""

import re
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from importlib.resources import files
from string import Template

import pytest

from bapsang_api.kit.security.tokens import SigningKey
from bapsang_api.mail.letters import LINK_LIFETIME, VALUES, Letter
from bapsang_api.mail.rendering import BadAddressError, Stationery, message_of, recipient
from bapsang_api.mail.seal import BrokenSealError, Seal
from bapsang_api.mail.server import MailServer, Security
from bapsang_api.mail.smtp import RefusedError, Stage, _dotted
from bapsang_api.urls import smtp_fault

STATIONERY = Stationery("no-reply@bapsang.example.com", "https://bapsang.example.com", "help@example.com")
MAIL_ID = "01JD0000000000000000000000"
CREATED = datetime(2026, 11, 30, 8, 12, tzinfo=UTC)
LINK = "https://bapsang.example.com/reset-password#token=a_b-c&d"
GIVEN = {"nickname": "민지", "link": LINK, "device": "<b>Firefox</b> & $link\r\nSubject: x"}
LINKED = [letter for letter in Letter if "link" in VALUES[letter]]


def given(letter: Letter) -> dict[str, str]:
    return {name: GIVEN[name] for name in VALUES[letter]}


def message(letter: Letter, address: str = "minji@example.com") -> EmailMessage:
    return message_of(MAIL_ID, letter, address, given(letter), CREATED, STATIONERY)


def parts(letter: Letter) -> tuple[str, str]:
    """Return text and HTML of a letter, as a mail program reads them from its bytes."""
    read = message_from_bytes(message(letter).as_bytes(), policy=SMTP)
    assert read.get_content_type() == "multipart/alternative"
    first, second = read.iter_parts()
    assert (first.get_content_type(), second.get_content_type()) == ("text/plain", "text/html")
    assert {first.get_content_charset(), second.get_content_charset()} == {"utf-8"}
    return first.get_content(), second.get_content()


@pytest.mark.parametrize("letter", Letter)
def test_both_forms_are_whole(letter: Letter) -> None:
    for form in parts(letter):
        shown = form.replace("$link", "") if letter is Letter.NEW_DEVICE else form  # a device may call itself so
        assert not re.search(r"\$\w|\{\w", shown)
        assert "민지님" in form
        assert STATIONERY.contact in form
        assert STATIONERY.site in form


@pytest.mark.parametrize("letter", LINKED)
def test_both_forms_say_the_same_link_and_period(letter: Letter) -> None:
    assert LINK_LIFETIME.total_seconds() == 30 * 60
    text, html = parts(letter)
    assert LINK in text
    assert set(re.findall(r'href="(https://[^"]+#[^"]*)"', html)) == {LINK.replace("&", "&amp;")}
    for form in (text, html):
        assert "30분 동안(17:42까지)" in form


@pytest.mark.parametrize("letter", Letter)
def test_html_fetches_nothing_and_runs_nothing(letter: Letter) -> None:
    _, html = parts(letter)
    assert not re.search(r"<(img|script|link|iframe|form)|url\(|@import", html)


def test_what_somebody_calls_their_device_is_text_in_one_line() -> None:
    text, html = parts(Letter.NEW_DEVICE)
    assert "기기: <b>Firefox</b> & $link Subject: x\r\n" in text.replace("\n", "\r\n").replace("\r\r", "\r")
    assert "&lt;b&gt;Firefox&lt;/b&gt; &amp; $link Subject: x" in html


def test_headers_name_the_letter_and_its_sender() -> None:
    read = message_from_bytes(message(Letter.RESET).as_bytes(), policy=SMTP)
    assert str(read["From"]) == "밥상머리 <no-reply@bapsang.example.com>"
    assert str(read["To"]) == "minji@example.com"
    assert read["Subject"] == "비밀번호를 다시 정해 주세요"
    assert read["Date"].datetime == CREATED
    assert read["Message-ID"] == f"<{MAIL_ID}@bapsang.example.com>"
    assert read["Auto-Submitted"] == "auto-generated"
    assert len(set(read.keys())) == len(read.keys())


@pytest.mark.parametrize("letter", Letter)
def test_letter_made_again_is_the_same(letter: Letter) -> None:
    once, again = message(letter).as_bytes(), message(letter).as_bytes()
    assert once == again
    assert once.isascii()
    assert max(map(len, once.splitlines())) <= 998


def test_templates_show_exactly_the_values_that_a_letter_is_given() -> None:
    always = {"site", "contact", "minutes", "at", "until", "subject", "body"}
    for letter in Letter:
        for form in ("txt", "html"):
            page = files("bapsang_api.mail").joinpath("pages", f"{letter}.{form}").read_text("utf-8")
            assert set(Template(page).get_identifiers()) - always == VALUES[letter], (letter, form)


@pytest.mark.parametrize(
    "address", ["a@b.c\r\nBcc: x@y.z", "a b@c.de", "a@", "@b.c", "민지@example.com", "a\x00@b.c", "nobody"]
)
def test_what_is_no_address_gets_into_no_header(address: str) -> None:
    with pytest.raises(BadAddressError):
        message(Letter.VERIFY, address)


@pytest.mark.parametrize(
    ("address", "spelled"),
    [
        ("minji@example.com", "minji@example.com"),
        ("a..b@example.com", '"a..b"@example.com'),
        (".a@example.com", '".a"@example.com'),
        ("o'neil+tag/x=y@example.com", "o'neil+tag/x=y@example.com"),
        (f"{'a' * 64}@{'b' * 60}.example.com", f"{'a' * 64}@{'b' * 60}.example.com"),
    ],
)
def test_every_address_that_sign_up_takes_can_be_written_to(address: str, spelled: str) -> None:
    assert recipient(address) == spelled
    read = message_from_bytes(message(Letter.VERIFY, address).as_bytes(), policy=SMTP)
    one = read["To"].addresses[0]
    assert f"{one.username}@{one.domain}" == address


def test_seal_opens_with_every_key_that_is_loaded_and_for_its_letter_alone() -> None:
    old, new, other = SigningKey.generate(), SigningKey.generate(), SigningKey.generate()
    sealed = Seal([old]).close(b"token", MAIL_ID)
    assert b"token" not in sealed
    assert sealed != Seal([old]).close(b"token", MAIL_ID)
    assert Seal([new, old]).open(sealed, MAIL_ID) == b"token"
    for seal, mail_id in ((Seal([other, new]), MAIL_ID), (Seal([old]), "01JD0000000000000000000001")):
        with pytest.raises(BrokenSealError):
            seal.open(sealed, mail_id)
    with pytest.raises(BrokenSealError):
        Seal([old]).open(b"", MAIL_ID)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://u:p@mail.example.com", ("mail.example.com", 587, Security.STARTTLS, "u", "p")),
        ("smtp://mail.example.com:2525", ("mail.example.com", 2525, Security.STARTTLS, None, None)),
        ("smtps://a%40b:p%2F%3A@mail.example.com", ("mail.example.com", 465, Security.TLS, "a@b", "p/:")),
        ("smtp://127.0.0.1:1025?tls=none", ("127.0.0.1", 1025, Security.NONE, None, None)),
        ("smtp://[::1]:1025/?tls=none", ("::1", 1025, Security.NONE, None, None)),
        ("smtp://mail.shop.svc?tls=none", ("mail.shop.svc", 25, Security.NONE, None, None)),
    ],
)
def test_url_names_a_server(url: str, expected: tuple[object, ...]) -> None:
    assert smtp_fault(url) is None
    server = MailServer.of(url, "a@b.example", "system")
    assert (server.host, server.port, server.security, server.user, server.password) == expected


@pytest.mark.parametrize(
    "url",
    [
        "smtp://",
        "mail.example.com",
        "http://mail.example.com",
        "smtp://u:p@ss@mail.example.com",
        "smtp://u:p/w@mail.example.com",
        "smtp://mail.example.com:99999",
        "smtp://mail.example.com?tls=off",
        "smtp://mail.example.com?tls=none",
        "smtp://mail.example.com:25?tls=none",
        "smtp://10.0.0.1?tls=none",
        "smtp://127.0.0.1.example.com?tls=none",
        "smtps://127.0.0.1?tls=none",
        "smtp://mail.example.com/inbox",
    ],
)
def test_url_that_names_none_or_would_send_in_the_clear_is_refused(url: str) -> None:
    assert smtp_fault(url)


@pytest.mark.parametrize(
    ("stage", "code", "text", "is_final", "is_nobody"),
    [
        (Stage.RECIPIENT, 550, b"5.1.1 <a@b.c>: no such user", True, True),
        (Stage.RECIPIENT, 550, b"no such user", True, True),
        (Stage.RECIPIENT, 550, b"5.2.1 closed", True, True),
        (Stage.RECIPIENT, 552, b"5.2.2 full", True, False),
        (Stage.RECIPIENT, 554, b"5.7.1 Relay access denied", True, False),
        (Stage.RECIPIENT, 450, b"4.2.0 greylisted", False, False),
        (Stage.RECIPIENT, 0, b"", False, False),
        (Stage.CONTENT, 550, b"5.1.1 no such user", True, True),
        (Stage.CONTENT, 554, b"Message rejected: Email address is not verified", False, False),
        (Stage.CONTENT, 554, b"5.7.1 spam", False, False),
        (Stage.SENDER, 553, b"5.1.8 bad sender", False, False),
        (Stage.SENDER, 550, b"not you", False, False),
    ],
)
def test_refusal_is_final_where_it_is_the_recipients(
    stage: Stage, code: int, text: bytes, is_final: bool, is_nobody: bool
) -> None:
    error = RefusedError(stage, code, text)
    assert (error.is_final, error.is_nobody) == (is_final, is_nobody)
    assert "@" not in str(error)


def test_content_ends_where_it_should() -> None:
    assert _dotted(b"a\r\n.\r\n..b\nc") == b"a\r\n..\r\n...b\r\nc\r\n.\r\n"
    assert _dotted(b"a\r\n") == b"a\r\n.\r\n"
