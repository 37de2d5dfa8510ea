"""The mail server of the local cluster, of `make dev` and of tests: it takes letters, and people and tests read them."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest
from tests.certificates import Authority
from tests.mail_server import MailServer, serving_mail


def _letter(to: str, subject: str = "비밀번호를 다시 정해 주세요") -> EmailMessage:
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = "밥상 <news@bapsang.localhost>", to, subject
    letter["Message-ID"] = f"<{to}>"
    letter.set_content("안녕하세요.\n")
    letter.add_alternative("<p>안녕하세요.</p>", subtype="html")
    return letter


def test_a_letter_arrives_whole(mail_server: MailServer) -> None:
    with smtplib.SMTP("127.0.0.1", mail_server.smtp_port, timeout=20) as smtp:
        smtp.send_message(_letter("whole@example.com"))
    found = mail_server.only_letter("whole@example.com")
    assert (found.subject, found.sender) == ("비밀번호를 다시 정해 주세요", "news@bapsang.localhost")
    assert (found.message_id, found.to) == ("whole@example.com", ("whole@example.com",))
    assert (found.text.strip(), found.html.strip()) == ("안녕하세요.", "<p>안녕하세요.</p>")
    assert mail_server.headers(found)["Message-Id"] == ["<whole@example.com>"]
    assert b"multipart/alternative" in mail_server.raw(found)


def test_the_mailbox_is_a_page_too(mail_server: MailServer) -> None:
    for path in ("/", "/dist/app.js", "/dist/app.css"):
        answer = httpx.get(mail_server.url + path, trust_env=False)
        assert answer.status_code == 200, "npm did not build it: see build-mailpit-page.log"


def test_a_server_that_is_told_to_fail_refuses(mail_server: MailServer) -> None:
    with smtplib.SMTP("127.0.0.1", mail_server.smtp_port, timeout=20) as smtp:
        with mail_server.failing("Recipient", 452), pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            smtp.send_message(_letter("full@example.com"))
        assert refused.value.recipients["full@example.com"][0] == 452
        smtp.send_message(_letter("full@example.com"))
    mail_server.only_letter("full@example.com")


def test_a_server_may_ask_for_tls_and_a_password(tmp_path: Path) -> None:
    authority = Authority()
    pem, passwords = tmp_path / "server.pem", tmp_path / "passwords"
    pem.write_text(authority.certificate("127.0.0.1"))
    passwords.write_text("bapsang:secret\n")
    options = ("--smtp-tls-cert", pem, "--smtp-tls-key", pem, "--smtp-require-starttls", "--smtp-auth-file", passwords)
    with serving_mail(*map(str, options)) as server, smtplib.SMTP("127.0.0.1", server.smtp_port, timeout=20) as smtp:
        with pytest.raises(smtplib.SMTPResponseException, match="STARTTLS"):
            smtp.send_message(_letter("plain@example.com"))
        smtp.rset()
        smtp.starttls(context=ssl.create_default_context(cadata=authority.pem))
        smtp.login("bapsang", "secret")
        smtp.send_message(_letter("secure@example.com"))
        assert [letter.to for letter in server.letters()] == [("secure@example.com",)]
