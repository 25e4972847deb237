"""The adapter of Vercel Blob: what fails and passes is repeated, what does not is one clear problem."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from adapters.vercel_blob import ATTEMPTS, MAX_WAIT_SECONDS, VercelBlob, store_client
from domain.errors import Malformed, NotFound, Unavailable
from tests.vercel_double import STORE, TOKEN, VercelDouble

TIMEOUT_SECONDS = 0.3


class Store:
    """The adapter over a double, and the waits it made."""

    def __init__(self, double: VercelDouble, token: str = TOKEN) -> None:
        self.waits: list[float] = []
        self.double = double
        self.blob = VercelBlob(
            token, client=lambda: double.client(TIMEOUT_SECONDS), pause=self.waits.append
        )


@pytest.fixture
def store(double: VercelDouble) -> Iterator[Store]:
    made = Store(double)
    with made.blob:
        yield made


def read(store: Store, address: str) -> bytes:
    return b"".join(store.blob.pieces(address))


def refused(store: Store) -> str:
    """The problem that an upload, a look and a read have in common."""
    calls: list[Callable[[], object]] = [
        lambda: store.blob.put("a/b/c", b"x"),
        lambda: store.blob.size("a/b/c"),
        lambda: store.blob.delete(["a/b/c"]),
        lambda: list(store.blob.listed("a/")),
    ]
    details = set()
    for call in calls:
        with pytest.raises(Unavailable) as raised:
            call()
        assert raised.value.code == "blob-store-unavailable"
        assert "s3cr3t" not in raised.value.detail
        details.add(raised.value.detail)
    (detail,) = details
    return detail


def test_what_is_put_is_there_until_it_is_deleted(store: Store) -> None:
    content = bytes(range(256)) * 1_000
    store.blob.put("alpha/00/11", content)
    store.blob.put("beta/00/22", b"")
    assert read(store, "alpha/00/11") == content
    assert store.blob.size("alpha/00/11") == len(content)
    assert list(store.blob.listed("alpha/")) == [("alpha/00/11", len(content))]
    assert store.double.objects["alpha/00/11"].max_age == 60
    store.blob.delete(["alpha/00/11", "alpha/00/33"])
    assert store.blob.size("alpha/00/11") is None
    with pytest.raises(NotFound) as raised:
        read(store, "alpha/00/11")
    assert raised.value.code == "content-missing"


@pytest.mark.parametrize(
    "failure", [(503, "service_unavailable"), (500, "internal_server_error"), (429, "rate_limited")]
)
def test_a_failure_that_passes_is_repeated(store: Store, failure: tuple[int, str]) -> None:
    for call in (
        lambda: store.blob.put("a/b/c", b"x"),
        lambda: store.blob.size("a/b/c"),
        lambda: read(store, "a/b/c"),
        lambda: store.blob.delete(["a/b/c"]),
    ):
        store.double.failures = [(*failure, {})] * (ATTEMPTS - 1)
        call()
    assert store.waits == [0.5, 1.0] * 4


def test_the_store_may_ask_for_a_longer_wait_within_a_limit(store: Store) -> None:
    store.double.failures = [
        (429, "rate_limited", {"retry-after": "3"}),
        (429, "rate_limited", {"retry-after": "3600"}),
    ]
    assert store.blob.size("a/b/c") is None
    assert store.waits == [3.0, MAX_WAIT_SECONDS]


def test_a_store_that_stays_away_is_given_up(store: Store) -> None:
    store.double.failures = [(503, "service_unavailable", {})] * ATTEMPTS
    with pytest.raises(Unavailable, match="repeat the request"):
        store.blob.put("a/b/c", b"x")
    assert len(store.double.requests) == ATTEMPTS


def test_a_store_that_does_not_answer_in_time_is_given_up(store: Store) -> None:
    store.blob.put("a/b/c", b"x")
    store.double.released.clear()
    with pytest.raises(Unavailable, match="does not answer in time"):
        store.blob.size("a/b/c")
    with pytest.raises(Unavailable, match="does not answer in time"):
        read(store, "a/b/c")


def test_an_upload_whose_answer_was_lost_has_succeeded(store: Store) -> None:
    store.double.lose_answers = 1
    store.blob.put("a/b/c", b"content")
    assert read(store, "a/b/c") == b"content"
    assert [method for method, _ in store.double.requests][:3] == ["PUT", "PUT", "GET"]


def test_something_else_under_the_address_is_not_taken_for_the_upload(store: Store) -> None:
    store.blob.put("a/b/c", b"other")
    for failures in ([], [(503, "service_unavailable", dict[str, str]())]):
        store.double.failures = failures
        with pytest.raises(Unavailable, match="already exists"):
            store.blob.put("a/b/c", b"content")
    assert read(store, "a/b/c") == b"other"


def test_threads_share_the_store(store: Store) -> None:
    contents = {f"a/b/{number}": bytes([number]) * 200_000 for number in range(16)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store.blob.put, contents, contents.values()))
        assert list(pool.map(lambda address: read(store, address), contents)) == list(
            contents.values()
        )


def test_nothing_is_taken_from_the_environment(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("VERCEL_BLOB_API_URL", "NEXT_PUBLIC_VERCEL_BLOB_API_URL"):
        monkeypatch.setenv(name, "https://elsewhere.example")
    monkeypatch.setenv("VERCEL_OIDC_TOKEN", "other")
    monkeypatch.setenv("BLOB_STORE_ID", "other")
    with Store(store.double).blob as opened:
        opened.put("a/b/c", b"x")
    assert store.double.objects["a/b/c"].body == b"x"


def test_a_download_that_breaks_off_is_no_content(store: Store) -> None:
    store.blob.put("a/b/c", b"content")
    store.double.cut_downloads = 1
    with pytest.raises(Unavailable, match="broke off"):
        read(store, "a/b/c")
    assert read(store, "a/b/c") == b"content"


def test_a_download_may_be_left_early_and_the_connection_is_free(store: Store) -> None:
    store.blob.put("a/b/c", bytes(1_000_000))
    for _ in range(30):  # more than there are connections
        pieces = store.blob.pieces("a/b/c")
        next(pieces)
        pieces.close()  # type: ignore[attr-defined] # a generator
    assert read(store, "a/b/c") == bytes(1_000_000)


def test_a_wrong_token_is_said(store: Store) -> None:
    other = Store(store.double, f"vercel_blob_rw_{STORE}_other")
    with other.blob:
        assert "check BLOB_READ_WRITE_TOKEN" in refused(other)
        with pytest.raises(Unavailable, match="check BLOB_READ_WRITE_TOKEN"):
            read(other, "a/b/c")
    assert other.waits == []


@pytest.mark.parametrize(
    "token", ["", "vercel_blob_rw_", "vercel_blob_rw_a", "a_b", "vercel_blob_rw_a_b\n"]
)
def test_what_cannot_be_a_token_is_refused_without_repeating_it(token: str) -> None:
    with pytest.raises(Malformed, match="BLOB_READ_WRITE_TOKEN is wrong"):
        VercelBlob(token)


def test_a_suspended_store_is_said(store: Store) -> None:
    store.double.suspended = True
    assert "suspended" in refused(store)


def test_a_public_store_is_refused_and_gets_nothing(store: Store) -> None:
    store.double.access = "public"
    with pytest.raises(Unavailable, match="must be a private one"):
        store.blob.put("a/b/c", b"x")
    assert store.double.objects == {}


def test_an_unknown_store_is_said(store: Store) -> None:
    store.double.failures = [(400, "store_not_found", {})] * 4
    assert "does not know the store" in refused(store)


def test_the_real_client_has_time_limits() -> None:
    with store_client() as client:
        assert client.timeout == httpx2.Timeout(30.0, connect=10.0)


def test_a_store_that_cannot_be_reached_is_said() -> None:
    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    def client() -> httpx2.Client:
        return httpx2.Client(transport=httpx2.MockTransport(refuse))

    with (
        VercelBlob(TOKEN, client=client, pause=lambda seconds: None) as store,
        pytest.raises(Unavailable, match="repeat the request"),
    ):
        store.put("a/b/c", b"x")
