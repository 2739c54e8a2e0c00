"""E-mails by SMTP, against a server that speaks just enough of it."""

from __future__ import annotations

import socketserver
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes, policy
from threading import Thread

import pytest

from satchel.errors import StorageError
from satchel.market.accounts.letters import TEMPLATES, Letter, LetterKind, write
from satchel.market.accounts.mail import ConsoleMailer, Postbox, SmtpMailer
from satchel.market_settings import Mail

LETTER = Letter("mina@example.com", "Satchel: 이메일 주소 확인", "미나님, 안녕하세요.\n.\n끝\n")


class Smtp(socketserver.StreamRequestHandler):
    """Takes one e-mail (RFC 5321)."""

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            word = line.split()[0].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = []
                while (text := self.rfile.readline()) != b".\r\n":
                    lines.append(text.removeprefix(b".") if text.startswith(b"..") else text)
                self.server.received.append(b"".join(lines))  # type: ignore[attr-defined]
            answer = self.server.answers.get(word, b"250 ok")  # type: ignore[attr-defined]
            self.wfile.write(answer + b"\r\n")
            if word == b"QUIT":
                return


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Smtp)
        self.received: list[bytes] = []
        self.answers: dict[bytes, bytes] = {}


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def mailer(server: Server, **settings: object) -> SmtpMailer:
    port = server.server_address[1]
    own = {"host": "127.0.0.1", "port": port, "security": "none", "sender": "Shop <s@x.example>"}
    return SmtpMailer(Mail.model_validate({**own, **settings}))


def test_an_e_mail_arrives_as_it_was_written(server: Server) -> None:
    mailer(server)(LETTER)
    (data,) = server.received
    found = message_from_bytes(data, policy=policy.default)
    assert found["To"] == LETTER.to
    assert found["From"] == "Shop <s@x.example>"
    assert found["Subject"] == LETTER.subject
    assert found["Auto-Submitted"] == "auto-generated"
    assert found.get_content().replace("\r\n", "\n") == LETTER.text


def test_a_server_that_refuses_is_named(server: Server) -> None:
    server.answers[b"RCPT"] = b"550 no such mailbox"
    with pytest.raises(StorageError, match="did not take an e-mail"):
        mailer(server)(LETTER)


def test_a_server_without_tls_gets_nothing_where_tls_is_asked_for(server: Server) -> None:
    with pytest.raises(StorageError):
        mailer(server, security="starttls")(LETTER)
    assert server.received == []


def test_headers_cannot_be_smuggled_in(server: Server) -> None:
    with pytest.raises(ValueError, match="linefeed"):
        mailer(server)(Letter("a@b.example", "hello\nBcc: c@d.example", ""))
    assert server.received == []


def test_the_console_shows_e_mails(capsys: pytest.CaptureFixture[str]) -> None:
    ConsoleMailer()(LETTER)
    assert LETTER.text in capsys.readouterr().err


def test_a_postbox_goes_on_after_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    sent = []

    def fail_once(letter: Letter) -> None:
        sent.append(letter)
        if len(sent) == 1:
            raise StorageError("the mail server sleeps")

    postbox = Postbox(fail_once)
    postbox(LETTER)
    postbox(LETTER)
    postbox.close()
    assert len(sent) == 2
    assert "sleeps" in caplog.text


@pytest.mark.parametrize("kind", LetterKind)
@pytest.mark.parametrize("locale", ["en", "ko", "xx"])
def test_every_e_mail_is_written_in_every_language(kind: LetterKind, locale: str) -> None:
    link = "https://shop.example/x?token=" + "t" * 43
    letter = write(
        TEMPLATES[kind], "a@b.example", name="Mina", locale=locale, link=link,
        values={"provider": "Kakao", "email": "new@b.example"},
    )  # fmt: skip
    assert link in letter.text.splitlines()
    assert "Mina" in letter.text
    assert "%(" not in letter.subject + letter.text
    korean = any("가" <= char <= "힣" for char in letter.text)
    assert korean == (locale == "ko")


def test_a_link_to_stop_e_mails_is_in_the_headers_in_one_piece(server: Server) -> None:
    link = f"https://a-long-name-of-a-shop.example.com/unsubscribe?token=123-{'0a' * 32}"
    mailer(server)(replace(LETTER, unsubscribe=link))
    mailer(server)(replace(LETTER, unsubscribe=link.replace("https", "http")))
    mailer(server)(LETTER)
    secure, plain, without = (message_from_bytes(one) for one in server.received)
    assert secure["List-Unsubscribe"].split() == [f"<{link}>"]  # as sent: no encoded words
    assert secure["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert plain["List-Unsubscribe"] is not None
    assert plain["List-Unsubscribe-Post"] is None  # RFC 8058 asks for https
    assert without["List-Unsubscribe"] is None
