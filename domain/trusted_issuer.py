"""Whose identity tokens a ledger takes, and what they are exchanged for: one entry, and its rules."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from domain.errors import Invalid
from domain.identity import GITHUB, Identity
from domain.names import check_project

CLAIMS = (
    "repository_id",
    "repository_owner_id",
    "repository",
    "job_workflow_ref",
    "ref",
    "environment",
    "event_name",
)
"""What an entry can demand; never `sub`, whose form is the issuer's to change."""
IDENTIFYING = ("repository_id", "repository", "repository_owner_id")
"""One of these at least: everybody can get a token of a public issuer."""
SCOPES = ("events:append", "events:read", "artifacts:write", "exports:create")
"""What a job can be given; never `admin`."""

MIN_LIFETIME_SECONDS = 60
MAX_LIFETIME_SECONDS = 60 * 60
DEFAULT_LIFETIME_SECONDS = 15 * 60
MAX_NAME_CHARACTERS = 100
MAX_VALUE_CHARACTERS = 512
MAX_PROJECTS = 100
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

_DIGITS = re.compile(r"[0-9]{1,20}")
_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}")


class Trust(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry as it is asked for.

    Attributes:
        name: For people, and the name of the tokens that are made.
        audience: `aud` that a token must have been made for: the URL of this ledger.
        claims: Claims that must be there with exactly these values.
        projects: For which projects a job may ask for a token.
        scopes: What that token may do.
        lifetime_seconds: For how long.
        issuer: `iss`; GitHub Actions if left away.
    """

    name: str
    audience: str
    claims: Mapping[str, str]
    projects: tuple[str, ...]
    scopes: tuple[str, ...]
    lifetime_seconds: int = DEFAULT_LIFETIME_SECONDS
    issuer: str = GITHUB

    def fits(self, identity: Identity) -> bool:
        """Whether a job is one that the entry means."""
        return (
            identity.issuer == self.issuer
            and identity.audience == self.audience
            and all(identity.claims.get(name) == value for name, value in self.claims.items())
        )

    def check(self) -> None:
        """Refuse an entry that trusts too much, or nobody.

        Raises:
            Invalid: `validation-failed`, with a pointer.
        """
        if not 1 <= len(self.name) <= MAX_NAME_CHARACTERS or not self.name.isprintable():
            raise _invalid(f"A name has 1 to {MAX_NAME_CHARACTERS} printable characters.", "/name")
        check_issuer(self.issuer)
        _check_audience(self.audience)
        for name, value in self.claims.items():
            _check_claim(name, value)
        if not any(name in self.claims for name in IDENTIFYING):
            raise _invalid(
                f"Demand one of {', '.join(IDENTIFYING)}: without it, everybody who can get a token "
                "of this issuer would be let in.",
                "/claims",
            )
        if not 1 <= len(self.projects) <= MAX_PROJECTS:
            raise _invalid(f"Name 1 to {MAX_PROJECTS} projects.", "/projects")
        for place, project in enumerate(self.projects):
            try:
                check_project(project)
            except Invalid as error:
                error.pointer = f"/projects/{place}"
                raise
        if not self.scopes or any(scope not in SCOPES for scope in self.scopes):
            raise _invalid(
                f"Scopes are one or more of {', '.join(SCOPES)}; a job is never an administrator.",
                "/scopes",
            )
        if not MIN_LIFETIME_SECONDS <= self.lifetime_seconds <= MAX_LIFETIME_SECONDS:
            raise _invalid(
                f"A token lives for {MIN_LIFETIME_SECONDS} to {MAX_LIFETIME_SECONDS} seconds.",
                "/lifetime_seconds",
            )


def check_issuer(issuer: str) -> None:
    """Refuse what is not spelled like an issuer whose keys can be asked for safely.

    Raises:
        Invalid: `validation-failed`.
    """
    if not _is_url(issuer) or issuer.endswith("/") or "?" in issuer or "#" in issuer:
        raise _invalid(
            f"An issuer is a URL like {GITHUB}: https, and without a slash at its end.", "/issuer"
        )
    parts = urlsplit(issuer)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise _invalid("An issuer's URL begins with https://.", "/issuer")


def _check_audience(audience: str) -> None:
    if not _is_url(audience):
        raise _invalid("The audience is the URL of this ledger, as jobs know it.", "/audience")
    if (urlsplit(audience).hostname or "") in {"github.com", "www.github.com"}:
        raise _invalid(
            "GitHub's own audience is given to jobs for other purposes: name this ledger's URL.",
            "/audience",
        )


def _check_claim(name: str, value: str) -> None:
    pointer = f"/claims/{name[:100].replace('~', '~0').replace('/', '~1')}"
    if name not in CLAIMS:
        raise _invalid(f"A claim is one of {', '.join(CLAIMS)}.", pointer)
    if not 1 <= len(value) <= MAX_VALUE_CHARACTERS or not value.isprintable():
        raise _invalid(
            f"A claim has 1 to {MAX_VALUE_CHARACTERS} printable characters.",
            pointer,
        )
    if name.endswith("_id") and _DIGITS.fullmatch(value) is None:
        raise _invalid(f"{name} is a number, such as 123456.", pointer)
    if name == "repository" and _REPOSITORY.fullmatch(value) is None:
        raise _invalid("A repository is written owner/name.", pointer)


def _is_url(text: str) -> bool:
    if not 1 <= len(text) <= MAX_VALUE_CHARACTERS or not text.isascii() or not text.isprintable():
        return False
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in {"http", "https"}
        and bool(parts.hostname)
        and "@" not in parts.netloc
        and port != 0
        and " " not in text
    )


def _invalid(detail: str, pointer: str) -> Invalid:
    return Invalid("validation-failed", detail, pointer=pointer)
