"""Objects in a private Vercel Blob store, through Vercel's own SDK (`vercel-blob`).

Always with access `private`: a private store answers only to its token, and a public one refuses such
an object, which is what we want. The SDK repeats nothing and waits 60 seconds by default; both are
set here. It is told its credentials and its address, so that it looks for none by itself.
"""

import contextvars
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

import httpx2
from vercel.api import session
from vercel.blob import sync as blob

from adapters.outside_contents import not_there
from domain.errors import Malformed, Unavailable

API_URL = "https://vercel.com/api/blob"
TIMEOUT = httpx2.Timeout(30.0, connect=10.0)
ATTEMPTS = 3
WAIT_SECONDS = 0.5
MAX_WAIT_SECONDS = 5.0
CACHE_SECONDS = 60
"""The least that the service takes: what is deleted should not live on in its cache."""
PAGE_OBJECTS = 1_000

_TOKEN = re.compile(r"vercel_blob_rw_([A-Za-z0-9]+)_[A-Za-z0-9]+")

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def store_client() -> httpx2.Client:
    """The client for the SDK, with time limits of ours."""
    return httpx2.Client(timeout=TIMEOUT, limits=httpx2.Limits(max_connections=20))


class VercelBlob:
    """An `ObjectStore`; close it, or use it as a context.

    Args:
        token: The store's read-write token; it names the store.
        client: Makes the HTTP client.
        pause: Waits some seconds before an attempt is repeated.

    Raises:
        Malformed: `invalid-parameter`: no such token can be.
    """

    def __init__(
        self,
        token: str,
        *,
        client: Callable[[], httpx2.Client] = store_client,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        found = _TOKEN.fullmatch(token)
        if found is None:
            raise Malformed(
                "invalid-parameter",
                "The setting BLOB_READ_WRITE_TOKEN is wrong: it begins with vercel_blob_rw_, then "
                "come the id of the store, an underscore and the secret.",
            )
        self._pause = pause
        credentials = blob.BlobCredentials(token, found[1])
        self._session = session(
            service_options=[
                blob.SyncBlobServiceOptions(
                    base_url=API_URL, credentials_factory=lambda: credentials
                )
            ],
            httpx_client_factory=client,
        )
        # The SDK finds its session in a context variable: ours is set in a context of its own, and
        # each call runs in a copy, so that threads share the session and its connections.
        self._context = contextvars.copy_context()
        self._context.run(self._session.__enter__)
        self._call(blob.query_blobs)  # sends nothing; makes the client before threads can race

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._context.run(self._session.__exit__, None, None, None)

    def put(self, address: str, content: bytes) -> None:
        """See `ObjectStore.put`."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._call(
                    blob.put_blob,
                    address,
                    content,
                    access="private",
                    content_type="application/octet-stream",
                    cache_control_max_age=CACHE_SECONDS,
                )
            except (blob.BlobError, httpx2.HTTPError) as error:
                # An earlier attempt may have arrived, its answer lost: then this one is refused,
                # since an address is written once.
                if attempt > 1 and not _passing(error) and self.size(address) == len(content):
                    return
                self._wait(error, attempt)
            else:
                return

    def pieces(self, address: str) -> Iterator[bytes]:
        """See `ObjectStore.pieces`."""
        with self._opened(address) as download:
            try:
                yield from download
            except (blob.BlobError, httpx2.HTTPError) as error:
                raise _unavailable(error) from error

    def size(self, address: str) -> int | None:
        """See `ObjectStore.size`."""
        try:
            return self._repeated(partial(blob.head_blob, address)).size
        except blob.BlobNotFoundError:
            return None

    def listed(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See `ObjectStore.listed`."""
        try:
            for one in self._call(blob.query_blobs, prefix=prefix, page_size=PAGE_OBJECTS):
                yield one.pathname, one.size
        except (blob.BlobError, httpx2.HTTPError) as error:
            raise _unavailable(error) from error

    def delete(self, addresses: Sequence[str]) -> None:
        """See `ObjectStore.delete`."""
        if addresses:
            self._repeated(partial(blob.delete_blob, list(addresses)))

    @contextmanager
    def _opened(self, address: str) -> Iterator[Iterator[bytes]]:
        def enter() -> tuple[AbstractContextManager[object], Iterator[bytes]]:
            context = blob.stream_blob(address, access="private")
            return context, iter(context.__enter__())

        try:
            context, download = self._repeated(enter)
        except blob.BlobNotFoundError:
            raise not_there(address.split("/")[1] if "/" in address else address) from None
        try:
            yield download
        finally:
            context.__exit__(None, None, None)

    def _repeated(self, call: Callable[[], _Result]) -> _Result:
        """What a call gives, after failures that pass; one without an object is the caller's."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._call(call)
            except blob.BlobNotFoundError:
                raise
            except (blob.BlobError, httpx2.HTTPError) as error:
                self._wait(error, attempt)
        raise AssertionError

    def _wait(self, error: Exception, attempt: int) -> None:
        """Before the next attempt.

        Raises:
            Unavailable: There is none.
        """
        if attempt == ATTEMPTS or not _passing(error):
            raise _unavailable(error) from error
        asked = error.retry_after if isinstance(error, blob.BlobServiceRateLimited) else 0
        self._pause(min(max(WAIT_SECONDS * 2 ** (attempt - 1), asked), MAX_WAIT_SECONDS))

    def _call(
        self,
        function: Callable[_Parameters, _Result],
        *args: _Parameters.args,
        **kwargs: _Parameters.kwargs,
    ) -> _Result:
        return self._context.copy().run(function, *args, **kwargs)


def _passing(error: Exception) -> bool:
    """Whether repeating can help."""
    if isinstance(error, blob.BlobServiceRateLimited | blob.BlobServiceNotAvailable):
        return True
    if isinstance(error, blob.BlobUnknownError):
        return error.status_code is None or error.status_code >= 500
    return isinstance(error, httpx2.TransportError)


def _unavailable(error: Exception) -> Unavailable:
    match error:
        case blob.BlobAccessError() | blob.BlobCredentialsError():
            said = "Vercel Blob refuses the token: check BLOB_READ_WRITE_TOKEN"
        case blob.BlobStoreNotFoundError():
            said = "Vercel Blob does not know the store of BLOB_READ_WRITE_TOKEN"
        case blob.BlobStoreSuspendedError():
            said = "The Vercel Blob store is suspended: its owner has to put it back into service"
        case _ if _passing(error):
            said = "Vercel Blob does not answer in time, or broke off: repeat the request"
        case _:
            said = (
                "Vercel Blob refuses the request (the store must be a private one): "
                + " ".join(str(error).split())[:200]
            )
    return Unavailable("blob-store-unavailable", f"{said}.")
