"""The identity token of a job of GitHub Actions, and what a ledger gives for it."""

from collections.abc import Callable, Mapping
from urllib.parse import quote, urlsplit

import httpx2
import msgspec

from app.remote.client import ANSWER_SECONDS, LOOPBACK, RETRY_WAITS, Client
from domain.errors import DeedbookError, Malformed, Unauthenticated, Unavailable

MAX_ANSWER_BYTES = 64 * 1024


class Exchanged(msgspec.Struct, frozen=True, kw_only=True):
    """The token that a ledger gave."""

    token: str
    id: str
    name: str
    identity: str | None
    scopes: tuple[str, ...]
    expires_at: str


class _Given(msgspec.Struct, frozen=True):
    value: str


def ask_for_identity(variables: Mapping[str, str], audience: str) -> str:
    """The identity token of this job, made for an audience.

    Raises:
        Unauthenticated: `identity-token-absent`: the job may not have one.
        Unavailable: `identity-token-refused`.
    """
    address = variables.get("ACTIONS_ID_TOKEN_REQUEST_URL", "")
    secret = variables.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "")
    if not address or not secret:
        raise Unauthenticated(
            "identity-token-absent",
            "GitHub gives this job no identity token: write `permissions: id-token: write` for it. A "
            "pull request from a fork never gets one: record it from workflow_run "
            "(docs/github-action.md).",
        )
    _check_safe(address, "ACTIONS_ID_TOKEN_REQUEST_URL")
    joined = "&" if "?" in address else "?"
    try:
        with httpx2.Client(
            timeout=httpx2.Timeout(ANSWER_SECONDS, connect=10.0),
            follow_redirects=False,
            trust_env=urlsplit(address).hostname not in LOOPBACK,
        ) as client:
            answer = client.get(
                f"{address}{joined}audience={quote(audience, safe='')}",
                headers={"Authorization": f"bearer {secret}", "Accept": "application/json"},
            )
    except httpx2.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise _refused(reason) from None
    if answer.status_code != 200 or len(answer.content) > MAX_ANSWER_BYTES:
        raise _refused(f"status {answer.status_code}")
    try:
        return msgspec.json.decode(answer.content, type=_Given).value
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _refused(str(error)) from None


def log_in(
    variables: Mapping[str, str],
    url: str,
    project: str,
    audience: str,
    wait: Callable[[float], None],
) -> Exchanged:
    """Exchange this job's identity token for a token of a ledger.

    An identity token is good once, and an answer that was lost has used it up: each attempt takes a new one.

    Raises:
        Unauthenticated: `identity-token-absent`, `oidc-token-refused`.
        Forbidden: `identity-not-trusted`.
        Unavailable: `issuer-unavailable` and others, after some attempts.
    """
    _check_safe(url, "The ledger's URL")
    for pause in (*RETRY_WAITS, None):
        try:
            identity = ask_for_identity(variables, audience)
            with Client(url) as client:
                body = {"token": identity, "project": project}
                return client.post("/v1/auth/oidc", body, Exchanged)
        except DeedbookError as error:
            passes = isinstance(error, Unavailable) or error.code == "oidc-token-used"
            if pause is None or not passes:
                raise
            wait(pause)
    raise AssertionError


def _check_safe(address: str, what: str) -> None:
    parts = urlsplit(address)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise Malformed(
            "invalid-parameter", f"{what} has to begin with https://: a token goes there."
        )


def _refused(reason: str) -> Unavailable:
    return Unavailable("identity-token-refused", f"GitHub gave no identity token: {reason}.")
