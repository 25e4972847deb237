"""Links that sign a browser in, once, with the rights of the token that asks."""

import msgspec
from starlette.responses import Response

from app.http.answers import answer
from app.http.call import Call, NoQuery
from app.http.endpoint import Endpoints
from app.http.visitor import sign_in_path

endpoints = Endpoints("sign-in links")


class SignInLink(msgspec.Struct, frozen=True):
    """A link, as a path of this ledger, and when it expires."""

    path: str
    expires_at: str


@endpoints.add("POST", "/v1/sign-in-links", scope=None, answers={201: SignInLink})
def make_sign_in_link(call: Call[NoQuery, None]) -> Response:
    """Make a link that signs a browser in, once, with the rights of this token."""
    secret, expires = call.ledger.sessions.make_link(call.token)
    return answer(SignInLink(sign_in_path(secret), expires), 201)
