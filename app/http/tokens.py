"""API tokens: make, list, revoke."""

import msgspec
from starlette.responses import Response

from adapters.postgres_tokens import MAX_PAGE, SCOPES, Token
from app.http.answers import answer
from app.http.call import Call, NoQuery
from app.http.endpoint import Endpoints, json_body
from app.http.projects import Paging
from domain.errors import Forbidden

endpoints = Endpoints("tokens")


class NewToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token to make; without `projects` it is for every one, without `scopes` for all but admin."""

    name: str
    scopes: tuple[str, ...] = tuple(scope for scope in SCOPES if scope != "admin")
    projects: tuple[str, ...] | None = None
    expires_in_days: int | None = None


class MadeToken(Token, frozen=True):
    """A token just made: the only time that the secret is shown."""

    token: str = ""


class TokenPage(msgspec.Struct, frozen=True):
    """Tokens without their secrets; `next` is the `after` of the next page."""

    tokens: tuple[Token, ...]
    next: str | None


@endpoints.add("GET", "/v1/tokens", scope="admin", query=Paging, answers={200: TokenPage})
def list_tokens(call: Call[Paging, None]) -> Response:
    """List the tokens."""
    check_whole(call)
    limit = max(1, min(call.query.limit, MAX_PAGE))
    found = call.ledger.tokens.list(after=call.query.after, limit=limit)
    following = found[-1].id if len(found) == limit else None
    return answer(TokenPage(tuple(found), following))


@endpoints.add(
    "POST",
    "/v1/tokens",
    scope="admin",
    accepted=json_body(NewToken),
    answers={201: MadeToken},
    problems=("validation-failed",),
)
def create_token(call: Call[NoQuery, NewToken]) -> Response:
    """Make a token; its secret is shown this once."""
    given = call.body
    for project in given.projects or ():
        call.token.check_project(project)
    if given.projects is None and call.token.projects is not None:
        given = msgspec.structs.replace(given, projects=call.token.projects)
    secret, made = call.ledger.tokens.create(
        given.name, scopes=given.scopes, projects=given.projects, days=given.expires_in_days
    )
    return answer(
        MadeToken(**msgspec.structs.asdict(made), token=secret),
        201,
        {"Location": f"/v1/tokens/{made.id}"},
    )


@endpoints.add("GET", "/v1/tokens/self", scope=None, answers={200: Token})
def get_own_token(call: Call[NoQuery, None]) -> Response:
    """Read what the presented token may do."""
    return answer(call.token)


@endpoints.add("DELETE", "/v1/tokens/self", scope=None, answers={204: None})
def revoke_own_token(call: Call[NoQuery, None]) -> Response:
    """Revoke the presented token: who has done what it was for needs it no more."""
    call.ledger.tokens.revoke(call.token.id)
    return Response(status_code=204)


@endpoints.add(
    "DELETE",
    "/v1/tokens/{token}",
    scope="admin",
    answers={204: None},
    problems=("token-not-found",),
)
def revoke_token(call: Call[NoQuery, None]) -> Response:
    """Revoke a token at once."""
    check_whole(call)
    call.ledger.tokens.revoke(call.path["token"])
    return Response(status_code=204)


def check_whole(call: Call[object, object]) -> None:
    """Tokens belong to the ledger: an admin of some projects may make narrower ones, and no more."""
    if call.token.projects is not None:
        raise Forbidden(
            "project-forbidden", "This needs a token that is for every project of the ledger."
        )
