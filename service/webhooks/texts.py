"""What people read of a message: in a channel, and in a mail."""

from collections.abc import Mapping
from typing import Any, Final

from fitqueue.text import number, one_line
from fitqueue.webhooks import WebhookEvent

_OUTCOMES: Final[Mapping[str, str]] = {
    WebhookEvent.JOB_SUCCEEDED: "succeeded",
    WebhookEvent.JOB_FAILED: "failed",
    WebhookEvent.JOB_CANCELLED: "was cancelled",
    WebhookEvent.JOB_REQUEUED: "was requeued",
}
_MAX_NAME: Final = 128


def headline(payload: Mapping[str, Any]) -> str:
    """Return for example `digits-cnn failed`, in one line."""
    return _headline(payload, name_of(payload))


def slack_text(payload: Mapping[str, Any]) -> str:
    """Return a message in Slack's markup."""
    url = payload["data"].get("url")
    name = _escaped(name_of(payload))
    linked = f"<{_escaped(url)}|{name}>" if url and name else name
    lines = [f"*{_headline(payload, linked)}*", *map(_escaped, _sentences(payload))]
    return "\n".join(lines)


def mail_text(payload: Mapping[str, Any]) -> str:
    url = payload["data"].get("url")
    lines = [f"{headline(payload)}.", "", *_sentences(payload), *([url] if url else [])]
    return "\n".join(lines) + "\n"


def name_of(payload: Mapping[str, Any]) -> str:
    data = payload["data"]
    return one_line(str(data.get("name") or data.get("id") or ""))[:_MAX_NAME]


def _headline(payload: Mapping[str, Any], name: str) -> str:
    event = payload["type"]
    if event == WebhookEvent.WEBHOOK_TEST:
        return "A test of FitQueue's webhooks"
    if event == WebhookEvent.DIAGNOSIS_CHANGED:
        return f"{name}: {payload['data']['diagnosis']['verdict'].replace('_', ' ')}"
    return f"{name} {_OUTCOMES[event]}"


def _sentences(payload: Mapping[str, Any]) -> list[str]:
    data = payload["data"]
    diagnosis, best = data.get("diagnosis") or {}, data.get("best")
    told = [data.get("message"), diagnosis.get("summary"), diagnosis.get("advice")]
    if best:
        told.append(f"Best: {best['monitor']} {number(best['value'])} in epoch {best['epoch']}.")
    return [one_line(sentence) for sentence in told if sentence]


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
