"""Verification over HTTP: a bad export is a result, a bad request a problem, and nobody holds it up."""

import base64
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from app.bootstrap import open_ledger
from app.http import verify
from app.settings import Settings
from app.verify_received import verify_received
from domain.errors import Malformed
from tests.note_samples import published_signer
from tests.seal_samples import published_seal_signer
from tests.serving import Served

ZIP = {"Content-Type": "application/zip"}
GOOD = Path(__file__).parent / "golden" / "exports" / "good" / "alpha-4.zip"


def exported(http: httpx2.Client, project: str, *, sealed: bool = False) -> tuple[bytes, bytes]:
    """The ZIP of a project with one document, and its seal."""
    http.post(f"/v1/projects/{project}/artifacts/PRD/main/versions", json={"content": "# Hello\n"})
    sidecar = b""
    if sealed:
        answer = http.post(f"/v1/projects/{project}/exports/2/seal", json={})
        assert answer.status_code == 201
        sidecar = answer.content
    return http.get(f"/v1/projects/{project}/exports/2.zip").content, sidecar


def verified(served: Served, content: bytes, sidecar: bytes = b"", **query: str) -> httpx2.Response:
    """What anybody is answered, without a token."""
    headers = {"Deedbook-Sidecar": base64.b64encode(sidecar).decode()} if sidecar else {}
    with served.client("") as nobody:
        return nobody.post("/v1/verify", content=content, headers={**ZIP, **headers}, params=query)


def failed(answer: httpx2.Response) -> set[str]:
    """The steps that found something wrong."""
    assert answer.status_code == 200, answer.text
    return {one["id"] for one in answer.json()["checks"] if one["ok"] is False}


def test_anybody_verifies_an_export_with_its_seal(
    http: httpx2.Client, project: str, served: Served
) -> None:
    content, sidecar = exported(http, project, sealed=True)
    found = verified(served, content, sidecar=sidecar).json()
    assert (found["state"], found["sidecar"], found["keys"]) == (
        "VERIFIED-UNANCHORED",
        "given",
        "ledger.example",
    )
    assert [one["id"] for one in found["checks"]][:3] == ["shape", "bag", "events"]
    assert found["summary"]["origin"] == f"{project}.ledger.example"
    kept = verified(served, content, sealed="true").json()
    assert (kept["state"], kept["sidecar"]) == ("VERIFIED-UNANCHORED", "kept")


def test_a_root_that_the_sender_knows_vouches_from_outside(
    http: httpx2.Client, project: str, served: Served
) -> None:
    content, sidecar = exported(http, project, sealed=True)
    checkpoint = http.get(f"/v1/projects/{project}/log/checkpoint").text
    assert verified(served, content, sidecar=sidecar, pin=checkpoint).json()["state"] == "VERIFIED"
    wrong = verified(served, content, sidecar=sidecar, pin=f"{'0' * 64}@2")
    assert failed(wrong) == {"anchor"}


def test_an_export_without_a_seal_is_incomplete(
    http: httpx2.Client, project: str, served: Served
) -> None:
    content, _ = exported(http, project)
    for query in ({}, {"sealed": "true"}):
        found = verified(served, content, b"", **query).json()
        assert (found["state"], found["sidecar"], found["keys"]) == ("INCOMPLETE", None, None)


def test_a_changed_export_is_a_result_that_names_both_hashes(
    http: httpx2.Client, project: str, served: Served
) -> None:
    content, sidecar = exported(http, project, sealed=True)
    changed = content.replace(b"# Hello\n", b"# Hallo\n")
    assert changed != content
    answer = verified(served, changed, sidecar=sidecar)
    assert answer.json()["state"] == "FAILED"
    assert "blobs" in failed(answer)
    [said] = [one["detail"] for one in answer.json()["checks"] if one["id"] == "seal"]
    assert answer.json()["zip_sha256"] in said


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x05\x06" + b"\1" * 18, b"\0" * 100_000])
def test_what_is_no_export_is_a_result_too(served: Served, content: bytes) -> None:
    assert failed(verified(served, content)) == {"shape"}


def test_a_seal_that_only_says_that_it_is_of_this_ledger_fails(served: Served) -> None:
    content, sidecar = GOOD.read_bytes(), Path(f"{GOOD}.sigstore.json").read_bytes()
    answer = verified(served, content, sidecar=sidecar)
    assert failed(answer) == {"seal"}
    assert answer.json()["keys"] == "ledger.example"


def test_a_seal_of_another_ledger_is_not_held_to_keys_that_it_cannot_know(
    database_url: str,
) -> None:
    settings = Settings(
        database_url=database_url, deedbook_host="elsewhere.example", deedbook_embedder="none"
    )
    with open_ledger(
        settings, database_url, signer=published_signer(), seal_signer=published_seal_signer()
    ) as elsewhere:
        found = verify_received(
            elsewhere,
            GOOD,
            zip_sha256=b"",
            sidecar=Path(f"{GOOD}.sigstore.json").read_bytes(),
            sealed=True,
            pin=None,
        )
    assert (found.report.state, found.keys) == ("INCOMPLETE", None)


@pytest.mark.parametrize("sidecar", [b"{}", b"not JSON", b"[" * 10_000, b"\xff" * 24_000])
def test_a_sidecar_that_is_none_fails_the_seal(
    http: httpx2.Client, project: str, served: Served, sidecar: bytes
) -> None:
    content, _ = exported(http, project)
    assert failed(verified(served, content, sidecar=sidecar)) == {"seal"}


@pytest.mark.parametrize(
    ("headers", "query", "status", "code"),
    [
        ({**ZIP, "Deedbook-Sidecar": "!"}, "", 400, "invalid-parameter"),
        ({**ZIP, "Deedbook-Sidecar": "A" * 40_000}, "", 400, "invalid-parameter"),
        (ZIP, "?pin=nothing", 400, "invalid-parameter"),
        (ZIP, f"?pin={'a' * 4_001}", 400, "invalid-parameter"),
        (ZIP, "?trust=mine", 400, "invalid-parameter"),
        ({"Content-Type": "multipart/form-data"}, "", 415, "unsupported-media-type"),
        ({**ZIP, "Content-Encoding": "gzip"}, "", 415, "unsupported-media-type"),
    ],
)
def test_a_request_that_cannot_be_read_is_a_problem(
    served: Served, headers: dict[str, str], query: str, status: int, code: str
) -> None:
    with served.client("") as nobody:
        answer = nobody.post(f"/v1/verify{query}", content=b"x", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(served: Served) -> None:
    with started(served, verify.MAX_BYTES + 1) as connection:
        assert b"413" in connection.recv(200)


def test_only_so_many_are_worked_on_and_a_place_becomes_free_again(served: Served) -> None:
    with started(served, 1_000), started(served, 1_000):
        busy = served_until(served, 429)
        assert busy.json()["code"] == "rate-limited"
        assert busy.headers["retry-after"]
    served_until(served, 200)


def test_what_takes_too_long_is_given_up_and_no_verdict(
    http: httpx2.Client, project: str, served: Served, tmp_path: Path
) -> None:
    content, _ = exported(http, project)
    file = tmp_path / "any.zip"
    file.write_bytes(content)
    with pytest.raises(Malformed, match="your own machine") as refused:
        verify_received(
            served.ledger,
            file,
            zip_sha256=b"",
            sidecar=None,
            sealed=False,
            pin=None,
            max_seconds=-1.0,
        )
    assert refused.value.code == "request-timeout"


def served_until(served: Served, status: int) -> httpx2.Response:
    """The first answer of a status; the server takes up what was sent before when it comes to it."""
    for _ in range(1_000):
        answer = verified(served, b"x")
        if answer.status_code == status:
            return answer
    raise AssertionError(f"never {status}")


@contextmanager
def started(served: Served, size: int) -> Iterator[socket.socket]:
    """An upload that has begun and does not go on."""
    address = urlsplit(served.url)
    assert address.hostname is not None
    with socket.create_connection((address.hostname, address.port or 80), timeout=20) as connection:
        connection.sendall(
            b"POST /v1/verify HTTP/1.1\r\nHost: x\r\nContent-Type: application/zip\r\n"
            b"Content-Length: %d\r\n\r\nPK" % size
        )
        yield connection
