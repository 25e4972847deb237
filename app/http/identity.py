"""Jobs without a secret: trusted issuers, and the exchange of an identity token for one of ours."""

import msgspec
from starlette.responses import Response

from adapters.issuer_keys import MAX_TOKEN_BYTES
from adapters.postgres_tokens import MAX_PAGE
from adapters.postgres_trusted_issuers import Removed, TokenExchange, TrustedIssuer
from app.http.answers import answer
from app.http.call import MAX_POSITION, Call, NoQuery
from app.http.endpoint import Endpoints, json_body
from app.http.gate import OPEN
from app.http.projects import Paging
from app.http.tokens import MadeToken, check_whole
from domain.trusted_issuer import Trust

endpoints = Endpoints("identity")

MAX_TRUST_BYTES = 256 * 1024


class IdentityToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job's identity token, and the project for which it wants a token of the ledger."""

    token: str
    project: str


class TrustedIssuerPage(msgspec.Struct, frozen=True):
    """Entries, removed ones included; `next` is the `after` of the next page."""

    trusted_issuers: tuple[TrustedIssuer, ...]
    next: str | None


class Before(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a list with the newest first: up to `limit` things before the number `after`."""

    after: int | None = None
    limit: int = 100


class TokenExchangePage(msgspec.Struct, frozen=True):
    """Exchanges, the newest first; `next` is the `after` of the next page."""

    exchanges: tuple[TokenExchange, ...]
    next: int | None


@endpoints.add(
    "POST",
    "/v1/auth/oidc",
    scope=OPEN,
    accepted=json_body(IdentityToken, MAX_TOKEN_BYTES + 1_024),
    answers={200: MadeToken},
    problems=(
        "oidc-token-refused",
        "oidc-token-used",
        "identity-not-trusted",
        "issuer-unavailable",
        "rate-limited",
    ),
)
def exchange_identity(call: Call[NoQuery, IdentityToken]) -> Response:
    """Exchange a job's identity token (OpenID Connect) for a short-lived token of one project.

    No bearer token is needed. Each identity token is good for one exchange: when the answer is lost, ask
    the issuer for a new one.
    """
    secret, made = call.ledger.jobs.exchange(call.body.token, call.body.project)
    return answer(MadeToken(**msgspec.structs.asdict(made), token=secret))


@endpoints.add(
    "GET", "/v1/trusted-issuers", scope="admin", query=Paging, answers={200: TrustedIssuerPage}
)
def list_trusted_issuers(call: Call[Paging, None]) -> Response:
    """List whose identity tokens are taken."""
    check_whole(call)
    limit = max(1, min(call.query.limit, MAX_PAGE))
    found = call.ledger.jobs.trusted.list(after=call.query.after, limit=limit)
    following = found[-1].id if len(found) == limit else None
    return answer(TrustedIssuerPage(tuple(found), following))


@endpoints.add(
    "POST",
    "/v1/trusted-issuers",
    scope="admin",
    accepted=json_body(Trust, MAX_TRUST_BYTES),
    answers={201: TrustedIssuer},
    problems=("too-many-trusted-issuers",),
)
def trust_issuer(call: Call[NoQuery, Trust]) -> Response:
    """Take identity tokens of an issuer whose claims are exactly these."""
    check_whole(call)
    made = call.ledger.jobs.trusted.add(call.body, actor=call.actor)
    return answer(made, 201, {"Location": f"/v1/trusted-issuers/{made.id}"})


@endpoints.add(
    "GET",
    "/v1/trusted-issuers/{trust}",
    scope="admin",
    answers={200: TrustedIssuer},
    problems=("trusted-issuer-not-found",),
)
def read_trusted_issuer(call: Call[NoQuery, None]) -> Response:
    """Read one entry."""
    check_whole(call)
    return answer(call.ledger.jobs.trusted.read(call.path["trust"]))


@endpoints.add(
    "DELETE",
    "/v1/trusted-issuers/{trust}",
    scope="admin",
    answers={200: Removed},
    problems=("trusted-issuer-not-found",),
)
def distrust_issuer(call: Call[NoQuery, None]) -> Response:
    """Take no more tokens by this entry; those that were given out by it end at once."""
    check_whole(call)
    return answer(call.ledger.jobs.trusted.remove(call.path["trust"]))


@endpoints.add(
    "GET", "/v1/token-exchanges", scope="admin", query=Before, answers={200: TokenExchangePage}
)
def list_token_exchanges(call: Call[Before, None]) -> Response:
    """List what was exchanged, the newest first: each actor with the claims behind it."""
    check_whole(call)
    limit = max(1, min(call.query.limit, MAX_PAGE))
    before = MAX_POSITION if call.query.after is None else call.query.after
    found = call.ledger.jobs.trusted.exchanges(before=before, limit=limit)
    following = found[-1].number if len(found) == limit else None
    return answer(TokenExchangePage(tuple(found), following))
