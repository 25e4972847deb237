"""What a page declares, and one visit to it as its handler sees it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec
from starlette.responses import Response

from adapters.postgres_sessions import WebSession
from adapters.postgres_tokens import Token
from app.http.call import NoQuery
from app.ledger import Ledger
from domain.errors import Unauthenticated

Query_co = TypeVar("Query_co", covariant=True)
Query = TypeVar("Query")

EVERYBODY = "everybody"
"""The scope of pages that need nobody signed in."""


class Visit(msgspec.Struct, Generic[Query_co], frozen=True, kw_only=True):
    """A request for a page, its reader known and its parameters checked.

    Attributes:
        token: What the reader may do; None: nobody is signed in, and there are no guests.
        session: The reader's; None: a guest, or nobody.
        query: The URL's parameters.
        form: The fields of a form that was sent, each once; empty for a page that is read.
        form_token: What forms of this session carry, so that no other site can send them.
        browser: As it calls itself.
        url: Path and parameters.
    """

    ledger: Ledger
    token: Token | None
    session: WebSession | None
    path: Mapping[str, str]
    query: Query_co
    form: Mapping[str, str]
    form_token: str
    browser: str
    url: str
    request_id: str

    @property
    def reader(self) -> Token:
        """Who reads.

        Raises:
            Unauthenticated: `unauthenticated`.
        """
        if self.token is None:
            raise Unauthenticated("unauthenticated", "Sign in first.")
        return self.token

    @property
    def project(self) -> str:
        """The project in the path."""
        return self.path["project"]

    def may(self, scope: str) -> bool:
        """Whether the reader is signed in and may do this: a button that would be refused is not shown."""
        scopes = self.token.scopes if self.token is not None and self.session is not None else ()
        return scope in scopes or "admin" in scopes


@dataclass(frozen=True)
class Page(Generic[Query]):
    """One method of one path.

    Attributes:
        scope: What the reader must be allowed; None: to be signed in is enough.
        query: The struct of the URL's parameters; `at` is in it where a page shows a position.
    """

    method: str
    path: str
    handler: Callable[[Visit[Query]], Response]
    scope: str | None
    query: type[Query]


@dataclass
class Pages:
    """The pages of one topic, collected as they are declared."""

    all: list[Page[Any]] = field(default_factory=list)

    def show(
        self,
        path: str,
        *,
        scope: str | None = "events:read",
        query: type[Query] = NoQuery,  # type: ignore[assignment]  # a default for a type variable
    ) -> Callable[[Callable[[Visit[Query]], Response]], Callable[[Visit[Query]], Response]]:
        """Declare the function below as what shows a page."""
        return self._add("GET", path, scope, query)

    def take(
        self, path: str, *, scope: str | None
    ) -> Callable[[Callable[[Visit[NoQuery]], Response]], Callable[[Visit[NoQuery]], Response]]:
        """Declare the function below as what does what a form asks for."""
        return self._add("POST", path, scope, NoQuery)

    def _add(
        self, method: str, path: str, scope: str | None, query: type[Query]
    ) -> Callable[[Callable[[Visit[Query]], Response]], Callable[[Visit[Query]], Response]]:
        def declare(
            handler: Callable[[Visit[Query]], Response],
        ) -> Callable[[Visit[Query]], Response]:
            self.all.append(Page(method, path, handler, scope, query))
            return handler

        return declare
