"""What an endpoint declares. One declaration drives decoding, checks, dispatch and OpenAPI alike."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from starlette.responses import Response

from app.http.call import Call, NoQuery, decode_json

Query = TypeVar("Query")
Body = TypeVar("Body")

MAX_JSON_BYTES = 16 * 1024 * 1024
PROBLEMS_OF_ALL = ("unauthenticated", "insufficient-scope", "project-forbidden")


@dataclass(frozen=True)
class Accepted(Generic[Body]):
    """A body that an endpoint takes.

    Attributes:
        schema: The type for the OpenAPI document; None for bytes.
        decoders: For each media type, what makes the body's value of its bytes.
        max_bytes: Larger bodies are refused.
        spooled: Whether the body goes to a file on disk; the decoder then gets the file's path.
        at_once: How many of these a process works on at the same time; a further one is refused before its
            body is read. None: as many as come.
        seconds: In which a spooled body has to arrive; None: as long as something comes.
    """

    schema: Any
    decoders: Mapping[str, Callable[[bytes], Body]]
    max_bytes: int = MAX_JSON_BYTES
    spooled: bool = False
    at_once: int | None = None
    seconds: float | None = None


def json_body(kind: type[Body], max_bytes: int = MAX_JSON_BYTES) -> Accepted[Body]:
    """A JSON body, decoded strictly into a struct."""
    return Accepted(kind, {"application/json": lambda raw: decode_json(raw, kind)}, max_bytes)


def file_body(
    media_type: str, max_bytes: int, *, at_once: int | None = None, seconds: float | None = None
) -> Accepted[Path]:
    """A body that is kept in a file while the handler works; the limits are those of `Accepted`."""
    return Accepted(
        bytes,
        {media_type: lambda raw: Path(os.fsdecode(raw))},
        max_bytes,
        spooled=True,
        at_once=at_once,
        seconds=seconds,
    )


NO_BODY: Accepted[None] = Accepted(None, {}, 0)


@dataclass(frozen=True)
class Endpoint(Generic[Query, Body]):
    """One method of one path.

    Attributes:
        scope: What the token must be good for; None: any token; `open`: no token at all.
        query: The struct of the URL's parameters.
        accepted: The body.
        answers: Status → type of the answer (None: no body), the usual one first.
        media_types: Of the answer, the preferred one first.
        problems: Codes of the problems that are its own, for the document.
        headers: Request headers with a meaning here.
    """

    method: str
    path: str
    handler: Callable[[Call[Query, Body]], Response]
    summary: str
    scope: str | None
    query: type[Query]
    accepted: Accepted[Body]
    answers: Mapping[int, Any]
    media_types: tuple[str, ...]
    problems: tuple[str, ...]
    headers: tuple[str, ...]


@dataclass
class Endpoints:
    """The endpoints of one topic, collected as they are declared."""

    topic: str
    all: list[Endpoint[Any, Any]] = field(default_factory=list)

    def add(
        self,
        method: str,
        path: str,
        *,
        scope: str | None,
        query: type[Query] = NoQuery,  # type: ignore[assignment]  # a default for a type variable
        accepted: Accepted[Body] = NO_BODY,  # type: ignore[assignment]  # a default for a type variable
        answers: Mapping[int, Any],
        media_types: tuple[str, ...] = ("application/json",),
        problems: tuple[str, ...] = (),
        headers: tuple[str, ...] = (),
    ) -> Callable[
        [Callable[[Call[Query, Body]], Response]], Callable[[Call[Query, Body]], Response]
    ]:
        """Declare the function below as the handler; its docstring's first line is the summary."""

        def declare(
            handler: Callable[[Call[Query, Body]], Response],
        ) -> Callable[[Call[Query, Body]], Response]:
            summary = (handler.__doc__ or "").partition("\n")[0].rstrip(".")
            self.all.append(
                Endpoint(
                    method,
                    path,
                    handler,
                    summary,
                    scope,
                    query,
                    accepted,
                    answers,
                    media_types,
                    problems,
                    headers,
                )
            )
            return handler

        return declare
