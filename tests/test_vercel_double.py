"""The double of Vercel Blob answers the SDK as the SDK's documentation says of the service."""

from collections.abc import Iterator

import pytest
from vercel.api import session
from vercel.blob import sync as blob

from tests.vercel_double import STORE, TOKEN, VercelDouble


@pytest.fixture
def sdk(double: VercelDouble) -> Iterator[VercelDouble]:
    """The SDK, as its documentation sets it up, speaks to the double."""
    options = blob.SyncBlobServiceOptions(
        credentials_factory=lambda: blob.BlobCredentials(TOKEN, f"store_{STORE}")
    )
    with session(service_options=[options], httpx_client_factory=double.client):
        yield double


def test_what_is_put_comes_back_with_its_metadata(sdk: VercelDouble) -> None:
    body = bytes(range(256)) * 1_000
    put = blob.put_blob(
        "a/b c.bin", body, access="private", content_type="text/plain", cache_control_max_age=60
    )
    assert put.pathname == "a/b c.bin"
    assert put.url == f"https://{STORE.lower()}.private.blob.vercel-storage.com/a/b%20c.bin"
    for name in ("a/b c.bin", put.url):
        got = blob.get_blob(name, access="private")
        head = blob.head_blob(name)
        assert got.body == body
        assert got.metadata.size == head.size == len(body)
        assert got.metadata.etag == head.etag == put.etag
        assert got.metadata.content_type == head.content_type == "text/plain"
        assert "max-age=60" in head.cache_control


def test_a_stream_comes_in_pieces_of_64_kib_at_most(sdk: VercelDouble) -> None:
    blob.put_blob("a", bytes(200_000), access="private")
    with blob.stream_blob("a", access="private") as download:
        assert max(len(piece) for piece in download) <= 64 * 1024


def test_an_iterable_with_its_length_is_put_as_well(sdk: VercelDouble) -> None:
    blob.put_blob("a", iter([b"one ", b"two"]), access="private", content_length=7)
    assert blob.get_blob("a", access="private").body == b"one two"


def test_an_object_is_not_overwritten_unless_that_is_allowed(sdk: VercelDouble) -> None:
    blob.put_blob("a", b"1", access="private")
    with pytest.raises(blob.BlobError, match="already exists"):
        blob.put_blob("a", b"2", access="private")
    assert blob.get_blob("a", access="private").body == b"1"
    blob.put_blob("a", b"2", access="private", allow_overwrite=True)
    assert blob.get_blob("a", access="private").body == b"2"


def test_a_random_suffix_makes_another_name(sdk: VercelDouble) -> None:
    put = blob.put_blob("a.txt", b"1", access="private", add_random_suffix=True)
    assert put.pathname != "a.txt"
    assert put.pathname.endswith(".txt")
    assert blob.get_blob(put.pathname, access="private").body == b"1"


def test_a_private_store_refuses_public_objects(sdk: VercelDouble) -> None:
    with pytest.raises(blob.BlobError, match="private store"):
        blob.put_blob("a", b"1", access="public")


def test_what_is_not_there_is_not_found_and_may_be_deleted(sdk: VercelDouble) -> None:
    with pytest.raises(blob.BlobNotFoundError):
        blob.head_blob("a")
    with pytest.raises(blob.BlobNotFoundError):
        blob.get_blob("a", access="private")
    blob.delete_blob("a")
    blob.put_blob("a", b"1", access="private")
    blob.put_blob("b", b"1", access="private")
    blob.delete_blob(["a", "b", "c"])
    assert sdk.objects == {}


def test_lists_follow_their_pages(sdk: VercelDouble) -> None:
    for number in range(5):
        blob.put_blob(f"x/{number}", b"1" * number, access="private")
    blob.put_blob("y/0", b"", access="private")
    listed = [(one.pathname, one.size) for one in blob.query_blobs(prefix="x/", page_size=2)]
    assert listed == [(f"x/{number}", number) for number in range(5)]


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (429, "rate_limited", blob.BlobServiceRateLimited),
        (503, "service_unavailable", blob.BlobServiceNotAvailable),
        (400, "store_not_found", blob.BlobStoreNotFoundError),
        (400, "store_suspended", blob.BlobStoreSuspendedError),
        (403, "forbidden", blob.BlobAccessError),
        (500, "internal_server_error", blob.BlobUnknownError),
    ],
)
def test_each_refusal_is_the_sdks_own_error(
    sdk: VercelDouble, status: int, code: str, error: type[Exception]
) -> None:
    sdk.failures = [(status, code, {"retry-after": "7"})]
    with pytest.raises(error) as raised:
        blob.head_blob("a")
    assert raised.value.status_code == status  # type: ignore[attr-defined] # of the SDK's errors
    assert getattr(raised.value, "retry_after", 7) == 7
    assert len(sdk.requests) == 1  # the SDK repeats nothing by itself


def test_a_wrong_token_is_refused(double: VercelDouble) -> None:
    wrong = blob.BlobCredentials(f"vercel_blob_rw_{STORE}_other", STORE)
    options = blob.SyncBlobServiceOptions(credentials_factory=lambda: wrong)
    with (
        session(service_options=[options], httpx_client_factory=double.client),
        pytest.raises(blob.BlobAccessError),
    ):
        blob.get_blob("a", access="private")
