"""A notice as JSON, for commands and webhooks alike."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from orchestrator.model.notice import Notice


def as_json(notice: Notice) -> bytes:
    """Returns the notice as one JSON object: event, study, submission, text, time, host, details."""
    content = {
        "event": notice.event,
        "study": notice.study,
        "submission": notice.submission,
        "text": notice.text,
        "time": datetime.fromtimestamp(notice.at, UTC).isoformat(timespec="seconds"),
        "host": notice.host,
    }
    return json.dumps({**notice.details, **content}).encode()
