"""A webhook: each notice is posted to a URL as JSON. The URL is a secret and is never told."""

from __future__ import annotations

from http.client import HTTPException
from typing import Any, final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from orchestrator.errors import TargetError
from orchestrator.model.notice import Notice, check_webhook
from orchestrator.notification.content import as_json
from orchestrator.ports.notifier import Notifier


@final
class WebhookNotifier:
    """Posts JSON over HTTP or HTTPS."""

    def __init__(self, url: str) -> None:
        """Takes the URL.

        Raises:
            ValueError: It is none of a webhook.
        """
        check_webhook(url)
        self._url = url

    def send(self, notice: Notice, *, limit_s: float) -> None:
        """Posts the notice; any answer of 200 to 299 will do."""
        request = Request(
            self._url,
            data=as_json(notice),
            headers={"Content-Type": "application/json", "User-Agent": "orch"},
            method="POST",
        )
        try:
            with build_opener(_Redirects).open(request, timeout=limit_s):
                pass
        except HTTPError as error:
            error.close()
            raise TargetError(f"the server answered {error.code}{_elsewhere(error)}") from None
        except URLError as error:
            reason = error.reason
            said = reason.strerror if isinstance(reason, OSError) and reason.strerror else "no connection"
            raise TargetError("no answer in time" if isinstance(reason, TimeoutError) else said) from None
        except TimeoutError:
            raise TargetError("no answer in time") from None
        except (OSError, HTTPException, ValueError) as error:
            # Their texts may quote the URL.
            raise TargetError(f"no answer that can be read ({type(error).__name__})") from None


class _Redirects(HTTPRedirectHandler):
    """Follows a redirect on the same host, with the same content, and no other."""

    def redirect_request(
        self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        downgraded = before.scheme == "https" and after.scheme != "https"
        if before.hostname != after.hostname or downgraded:
            return None  # an HTTPError follows
        own = {name: value for name, value in req.header_items() if name.lower() != "host"}
        return Request(newurl, data=req.data, headers=own, method="POST")


def _elsewhere(error: HTTPError) -> str:
    return ", a redirect to another host, which is not followed" if error.code in _REDIRECTS else ""


_REDIRECTS = (301, 302, 303, 307, 308)
_PROOF: type[Notifier] = WebhookNotifier
