"""Sends messages by mail, through the SMTP server that the operator names."""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from email.utils import formatdate
from typing import Final

import httpx

from service.mail_server import MailServer
from service.webhooks.outcome import Outcome, Verdict

_SECONDS: Final = 5.0
"""For each answer of the server."""


class _NotEncrypted(Exception):
    """A password would be sent so that all can read it."""


def send(server: MailServer, to: str, message_id: str, subject: str, text: str) -> Outcome:
    """Send a mail, and return what came of it."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = server.sender, to, subject
    mail["Date"] = formatdate(localtime=False)
    # The same with each try, so that a mail that came twice is shown once.
    mail["Message-ID"] = f"<{message_id}@{server.sender.rpartition('@')[2].rstrip('>')}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text)
    try:
        with _logged_in(server) as connection:
            connection.send_message(mail)
    except _NotEncrypted:
        return Outcome(Verdict.RETRY, "the mail server does not encrypt, and a password is set")
    except smtplib.SMTPRecipientsRefused:
        return Outcome(Verdict.RETRY, "the mail server refused the recipient")
    except smtplib.SMTPAuthenticationError:
        return Outcome(Verdict.RETRY, "the mail server refused the password")
    except smtplib.SMTPResponseException as error:
        return Outcome(Verdict.RETRY, f"the mail server answered {error.smtp_code}")
    except (OSError, smtplib.SMTPException):
        return Outcome(Verdict.RETRY, "the mail server did not answer")
    return Outcome(Verdict.DELIVERED, "accepted by the mail server")


@contextmanager
def _logged_in(server: MailServer) -> Iterator[smtplib.SMTP]:
    """Connect to the server: encrypted if it offers that, and in any case before a password is sent."""
    context = httpx.create_ssl_context()
    with _connect(server, context) as connection:
        connection.ehlo()
        if server.scheme == "smtp" and connection.has_extn("starttls"):
            connection.starttls(context=context)
            connection.ehlo()
        if server.user:
            if not isinstance(connection.sock, ssl.SSLSocket):
                raise _NotEncrypted()
            connection.login(server.user, server.password)
        yield connection
        with suppress(smtplib.SMTPException, OSError):  # it has the mail, whatever comes of the good-bye
            connection.quit()


def _connect(server: MailServer, context: ssl.SSLContext) -> smtplib.SMTP:
    if server.scheme == "smtps":
        return smtplib.SMTP_SSL(server.host, server.port, timeout=_SECONDS, context=context)
    return smtplib.SMTP(server.host, server.port, timeout=_SECONDS)
