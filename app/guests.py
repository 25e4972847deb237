"""Guests: who reads some projects without having signed in, where the operator allows it."""

from adapters.postgres_tokens import Token
from domain.errors import Malformed
from domain.names import check_project

MAX_PROJECTS = 1_000


def guest_token(projects: str | None) -> Token | None:
    """What a guest may do, as a token that nobody holds; None: there are no guests.

    Args:
        projects: The setting: slugs with commas between them.

    Raises:
        Malformed: `invalid-parameter`.
    """
    slugs = sorted({slug.strip() for slug in (projects or "").split(",") if slug.strip()})
    if not slugs:
        return None
    if len(slugs) > MAX_PROJECTS:
        raise Malformed("invalid-parameter", f"Guests may read {MAX_PROJECTS} projects at most.")
    for slug in slugs:
        check_project(slug)
    return Token(
        id="guest",
        name="guest",
        last_four="",
        scopes=("events:read",),
        projects=tuple(slugs),
        created_at="",
        expires_at=None,
        revoked_at=None,
        last_used_at=None,
    )
