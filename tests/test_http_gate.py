"""The way in: methods, tokens, bodies, media types, limits, and faults of the ledger's own."""

import hashlib
import http.client
import re
import socket
from urllib.parse import urlsplit

import httpx2
import pytest
from psycopg.conninfo import make_conninfo

from app.http.gate import negotiate
from domain.errors import Malformed
from tests.serving import Served, serve


def test_health_and_readiness_need_no_token(served: Served) -> None:
    with served.client("") as client:
        assert client.get("/healthz").json() == {"status": "alive"}
        ready = client.get("/readyz").json()
        assert ready["status"] == "ready"
        assert ready["search_degraded"]  # these tests have no model
        assert client.get("/version").json()["name"] == "deedbook"
        assert client.get("/openapi.json").json()["openapi"] == "3.1.0"


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Basic eDp5", "Bearer dbk_", "Bearer dbk_" + "a" * 36, "Bearer a b"],
)
def test_without_a_good_token_nothing_is_answered(served: Served, authorization: str) -> None:
    with served.client("") as client:
        listed = client.get("/v1/projects", headers={"Authorization": authorization})
        assert (listed.status_code, listed.json()["code"]) == (401, "unauthenticated")
        assert listed.headers["www-authenticate"] == 'Bearer realm="deedbook"'


def test_an_expired_token_says_so(served: Served) -> None:
    secret = served.limited("events:read")
    served.execute(
        "UPDATE token SET expires_at = now() - interval '1 second' WHERE last_four = %s",
        secret[-4:],
    )
    with served.client(secret) as client:
        answer = client.get("/v1/projects")
    assert (answer.status_code, answer.json()["code"]) == (401, "token-expired")


def test_another_method_is_told_which_there_are(http: httpx2.Client, project: str) -> None:
    answer = http.delete(f"/v1/projects/{project}/events")
    assert (answer.status_code, answer.json()["code"]) == (405, "method-not-allowed")
    assert answer.headers["allow"] == "GET, HEAD, POST"
    options = http.options(f"/v1/projects/{project}/events")
    assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, POST")


@pytest.mark.parametrize("path", ["/v1", "/v2/projects", "/v1/projects/", "/v1/projects/a%2Fb"])
def test_what_is_not_there_is_a_problem_too(http: httpx2.Client, path: str) -> None:
    answer = http.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["instance"] == urlsplit(str(answer.url)).path or "%" in path


def test_a_request_id_is_kept_or_given(http: httpx2.Client) -> None:
    kept = http.get("/healthz", headers={"X-Request-Id": "mine-1"})
    assert kept.headers["x-request-id"] == "mine-1"
    for bad in ("", "a b", "x" * 65, 'a"b'):
        given = http.get("/healthz", headers={"X-Request-Id": bad})
        assert re.fullmatch(r"[0-9a-f-]{36}", given.headers["x-request-id"])


def test_an_answer_in_no_wanted_form_is_refused(http: httpx2.Client, project: str) -> None:
    answer = http.get(f"/v1/projects/{project}/events", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.json()["code"]) == (406, "not-acceptable")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/x-ndjson", "application/x-ndjson"),
        ("text/html, application/x-ndjson;q=0.5, */*;q=0.1", "application/x-ndjson"),
        ("application/json;q=0, */*", "application/x-ndjson"),
        ("application/*;q=0.2, application/x-ndjson;q=0.1", "application/json"),
        ("APPLICATION/X-NDJSON", "application/x-ndjson"),
    ],
)
def test_the_caller_chooses_among_the_forms(accept: str | None, expected: str) -> None:
    assert negotiate(accept, ("application/json", "application/x-ndjson")) == expected


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "nonsense", ","])
def test_a_form_that_there_is_not_cannot_be_chosen(accept: str) -> None:
    with pytest.raises(Malformed):
        negotiate(accept, ("application/json",))


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": ""},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_a_body_in_another_form_is_refused(
    http: httpx2.Client, project: str, headers: dict[str, str]
) -> None:
    answer = http.post(f"/v1/projects/{project}/events", content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported-media-type")


def test_an_oversized_body_is_refused_before_it_is_read(
    served: Served, http: httpx2.Client, project: str
) -> None:
    parts = urlsplit(served.url)
    assert parts.hostname is not None
    connection = http_connection(served)
    connection.putrequest("POST", f"/v1/projects/{project}/events")
    connection.putheader("Authorization", f"Bearer {served.token}")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(10**12))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert b"body-too-large" in answer.read()
    connection.close()
    chunked = http.put(
        f"/v1/projects/{project}/blobs/sha256:{'0' * 64}",
        content=(b"x" * 2**20 for _ in range(65)),
    )
    assert chunked.status_code == 413
    unexpected = http.request("GET", "/v1/projects", content=b"x")
    assert (unexpected.status_code, unexpected.json()["code"]) == (413, "body-too-large")


def test_a_truncated_upload_records_nothing(
    served: Served, http: httpx2.Client, project: str
) -> None:
    content = b"x" * 100_000
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    parts = urlsplit(served.url)
    with socket.create_connection((parts.hostname, parts.port), 10) as raw:
        raw.sendall(
            f"PUT /v1/projects/{project}/blobs/{digest} HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {served.token}\r\nContent-Length: {len(content)}\r\n\r\n".encode()
            + content[:-1]
        )
        raw.shutdown(socket.SHUT_WR)
        raw.settimeout(10)
        assert b"201" not in raw.recv(100)
    body = {"digest": digest, "size_bytes": len(content), "media_type": "text/plain"}
    answer = http.post(f"/v1/projects/{project}/artifacts/PRD/main/versions", json=body)
    assert answer.json()["code"] == "blob-not-found"


def test_an_idempotency_key_must_be_visible_ascii(http: httpx2.Client, project: str) -> None:
    for key in ("", "a b", "x" * 201):
        answer = http.post(
            f"/v1/projects/{project}/streams/run/r1",
            json={"type": "RunCreated", "data": {"title": "x"}},
            headers={"Idempotency-Key": key},
        )
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid-parameter")


def test_without_a_database_it_says_so_and_recovers(database_url: str) -> None:
    """The database refuses connections for a while, as in a failover."""
    with serve(database_url) as served, served.client() as client:
        admin = make_conninfo(database_url, dbname="postgres")
        name = database_url_name(database_url)
        block(admin, name, allow=False)
        try:
            unready = client.get("/readyz")
            assert unready.status_code == 503
            assert unready.json()["code"] == "database-unavailable"
            assert unready.headers["retry-after"] == "1"
            assert client.get("/healthz").status_code == 200
        finally:
            block(admin, name, allow=True)
        assert client.get("/readyz").status_code == 200
        assert client.get("/v1/projects").status_code == 200


def test_a_stopping_ledger_ends_its_followers_and_is_not_ready(database_url: str) -> None:
    with serve(database_url) as served, served.client() as client:
        client.post("/v1/projects", json={"slug": "alpha", "title": "x"})
        with client.stream(
            "GET", "/v1/projects/alpha/events", headers={"Accept": "text/event-stream"}
        ) as response:
            lines = response.iter_lines()
            assert next(lines).startswith("retry:")
            served.ledger.signal.stop_waiting()
            assert "event: bye" in list(lines)
        unready = client.get("/readyz")
        assert (unready.status_code, unready.json()["code"]) == (503, "shutting-down")


def test_pending_migrations_make_it_unready(database_url: str) -> None:
    with serve(database_url) as served, served.client() as client:
        served.execute("DELETE FROM schema_migration WHERE version = 1")
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "migrations-pending")


def test_a_fault_of_ours_is_a_problem_without_its_inside(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with serve(database_url) as served, served.client() as client:
        client.post("/v1/projects", json={"slug": "alpha", "title": "x"})
        served.execute("ALTER TABLE artifact_version RENAME TO elsewhere")
        answer = client.get("/v1/projects/alpha/artifacts")
        assert (answer.status_code, answer.json()["code"]) == (500, "internal")
        assert "artifact_version" not in answer.text
        assert answer.json()["request_id"] in caplog.text


def http_connection(served: Served) -> http.client.HTTPConnection:
    parts = urlsplit(served.url)
    assert parts.hostname is not None
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)


def database_url_name(url: str) -> str:
    return next(part[7:] for part in url.split() if part.startswith("dbname="))


def block(admin: str, name: str, *, allow: bool) -> None:
    import psycopg

    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(
            f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS {'true' if allow else 'false'}"
        )
        if not allow:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
            )
