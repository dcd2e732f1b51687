"""Mails, to a server that takes them, refuses them, or does not encrypt."""

import pytest

from fitqueue.webhooks import WebhookKind
from service.mail_server import MailServer, parse_mail_server
from service.webhooks.message import Message
from service.webhooks.outcome import Outcome, Verdict
from service.webhooks.sender import Sender
from tests.receivers import MailReceiver, address_in

PAYLOAD = {
    "type": "job.failed",
    "timestamp": "2026-01-02T03:04:05Z",
    "data": {
        "id": "job_1",
        "name": "digits\r\nBcc: all@example.org",
        "message": "The loss became NaN.",
        "best": {"epoch": 3, "monitor": "val_loss", "value": 0.25},
        "url": "https://q.example.org/jobs/job_1",
    },
}
MESSAGE = Message("msg_1", WebhookKind.MAIL, "mailto:ada@example.org", None, PAYLOAD)


def _send(receiver: MailReceiver, user: str = "") -> Outcome:
    url = f"smtp://{user}127.0.0.1:{receiver.port}"
    return Sender(mail_server=parse_mail_server(url, "FitQueue <fitqueue@example.org>")).send(MESSAGE)


def test_a_mail_says_what_happened_and_where() -> None:
    with MailReceiver() as receiver:
        assert _send(receiver) == Outcome(Verdict.DELIVERED, "accepted by the mail server")
    [mail] = receiver.mails
    head, _, text = mail.partition("\r\n\r\n")
    assert address_in(mail, "From") == "FitQueue <fitqueue@example.org>"
    assert address_in(mail, "To") == "ada@example.org"
    assert address_in(mail, "Message-ID") == "<msg_1@example.org>"
    assert "\r\nBcc:" not in head
    assert text.replace("\r\n", "\n").split("\n")[2:5] == [
        "The loss became NaN.", "Best: val_loss 0.25 in epoch 3.", "https://q.example.org/jobs/job_1",
    ]  # fmt: skip
    assert receiver.commands[-1].upper() == "QUIT"


def test_a_recipient_that_is_refused_is_tried_again() -> None:
    with MailReceiver(refuses=True) as receiver:
        assert _send(receiver) == Outcome(Verdict.RETRY, "the mail server refused the recipient")


def test_a_password_is_not_sent_without_encryption() -> None:
    with MailReceiver() as receiver:
        assert _send(receiver, "ada:secret@") == Outcome(
            Verdict.RETRY, "the mail server does not encrypt, and a password is set"
        )
    assert not any("AUTH" in command for command in receiver.commands)


def test_a_server_that_is_down_is_tried_again() -> None:
    with MailReceiver() as receiver:
        pass
    assert _send(receiver) == Outcome(Verdict.RETRY, "the mail server did not answer")


def test_a_worker_without_a_mail_server_says_so() -> None:
    assert Sender().send(MESSAGE) == Outcome(Verdict.RETRY, "the worker has no FITQUEUE_SMTP_URL")


def test_the_address_of_a_server_is_taken_apart() -> None:
    server = parse_mail_server("smtps://ada:p%40ss@mail.example.org", "q@example.org")
    assert server == MailServer("smtps", "mail.example.org", 465, "ada", "p@ss", "q@example.org")
    assert "p@ss" not in repr(server)


@pytest.mark.parametrize(
    "url", ["mail.example.org", "http://secret@x", "smtp://", "smtp://u:secret@h:x", "smtp://[secret"]
)
def test_what_is_no_mail_server_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="not the address of an SMTP server") as raised:
        parse_mail_server(url, "q@example.org")
    assert "secret" not in str(raised.value).replace("`smtp://user:password", "")
