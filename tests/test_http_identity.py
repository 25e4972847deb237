"""The exchange over HTTP: a job shows what its issuer says, and gets a token; nobody else does."""

import json
import logging
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from app.identity_exchange import AT_ONCE
from tests.issuer_double import DISCOVERY, KEYS, IssuerDouble, confuse, encoded, jwk, send, sign
from tests.run_commands import Typed
from tests.serving import Served

AUDIENCE = "https://ledger.example"


@pytest.fixture
def issuer() -> Iterator[IssuerDouble]:
    with IssuerDouble().running() as double:
        yield double


def entry(issuer: IssuerDouble, project: str) -> dict[str, object]:
    return {
        "name": "ci",
        "issuer": issuer.url,
        "audience": AUDIENCE,
        "claims": {"repository_id": "74", "ref": "refs/heads/main"},
        "projects": [project],
        "scopes": ["events:append", "events:read"],
    }


@pytest.fixture
def trusted(http: httpx2.Client, issuer: IssuerDouble, project: str) -> dict[str, Any]:
    made = http.post("/v1/trusted-issuers", json=entry(issuer, project))
    assert made.status_code == 201, made.text
    assert made.headers["location"] == f"/v1/trusted-issuers/{made.json()['id']}"
    found: dict[str, Any] = made.json()
    return found


def exchange(served: Served, token: str, project: str) -> httpx2.Response:
    with served.client("") as client:
        return client.post("/v1/auth/oidc", json={"token": token, "project": project})


def code_of(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_job_gets_a_token_and_is_recorded_as_itself(
    served: Served,
    http: httpx2.Client,
    issuer: IssuerDouble,
    project: str,
    trusted: dict[str, Any],
) -> None:
    answer = exchange(served, issuer.token(), project)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    made = answer.json()
    actor = (
        f"oidc:127.0.0.1:{'octo-org/octo-repo/.github/workflows/ci.yml'}@refs/heads/main run 123/1"
    )
    assert made["identity"] == actor
    assert made["projects"] == [project]
    with served.client(made["token"]) as job:
        written = job.post(
            f"/v1/projects/{project}/events",
            json={
                "events": [
                    {
                        "stream": "artifact/NOTE/n",
                        "type": "ArtifactWritten",
                        "data": {"media_type": "text/plain"},
                        "content": "x",
                    }
                ]
            },
        )
        assert written.status_code == 201, written.text
        stored = job.get(f"/v1/projects/{project}/events/{written.json()['events'][0]['position']}")
        assert stored.json()["actor"] == actor
        # It is for this project, and no administrator.
        assert code_of(job.get("/v1/projects/another"))[0] == 403
        assert code_of(job.get("/v1/tokens")) == (403, "insufficient-scope")
        assert code_of(job.post("/v1/tokens", json={"name": "x"})) == (403, "insufficient-scope")
        own = job.get("/v1/tokens/self").json()
    assert own["id"] == made["id"]
    listed = http.get("/v1/tokens", params={"limit": 1000}).json()["tokens"]
    assert made["id"] in {one["id"] for one in listed}
    assert made["token"] not in str(listed)
    [newest] = http.get("/v1/token-exchanges", params={"limit": 1}).json()["exchanges"]
    assert newest["token_id"] == made["id"]
    assert newest["claims"]["sha"] == "1" * 40
    assert newest["trusted_issuers"] == [trusted["id"]]


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://github.com/octo-org"},
        {"repository_id": "75"},
        {"ref": "refs/heads/other"},
        {"ref": "refs/pull/1/merge"},
        {"ref": None},
    ],
    ids=str,
)
@pytest.mark.usefixtures("trusted")
def test_a_job_that_no_entry_means_gets_nothing(
    served: Served, issuer: IssuerDouble, project: str, claims: Any
) -> None:
    answer = exchange(served, issuer.token(**claims), project)
    assert code_of(answer) == (403, "identity-not-trusted")
    # What would have fitted is nobody's business.
    assert "74" not in answer.json()["detail"]


@pytest.mark.usefixtures("trusted")
def test_a_token_that_does_not_hold_is_refused(
    served: Served, issuer: IssuerDouble, project: str
) -> None:
    payload = issuer.payload()
    raw = json.dumps(payload).encode()
    now = int(str(payload["iat"]))
    header = {"typ": "JWT", "alg": "RS256", "kid": "first"}
    unsigned = encoded(json.dumps({**header, "alg": "none"}).encode()) + "." + encoded(raw) + "."
    for token in (
        "",
        "a.b.c",
        unsigned,
        confuse("first", {**header, "alg": "HS256"}, raw),
        sign("other", header, raw),
        issuer.token("unknown"),
        issuer.token(exp=now - 100),
        issuer.token(nbf=now + 100),
        issuer.token(iat=now + 100),
        issuer.token(exp=now + 10**6),
        issuer.token(jti=None),
        issuer.token(aud=[AUDIENCE, "https://other.example"]),
        issuer.token(weight=1.5),
        issuer.token(filler="x" * 12_000),
    ):
        answer = exchange(served, token, project)
        assert code_of(answer) in {(401, "oidc-token-refused"), (403, "identity-not-trusted")}
        assert answer.headers.get("www-authenticate") or answer.status_code == 403
        assert not token or token not in answer.text
    assert code_of(exchange(served, issuer.token(filler="x" * 40_000), project)) == (
        413,
        "body-too-large",
    )


def test_an_issuer_that_nobody_trusts_is_not_even_asked(
    served: Served, issuer: IssuerDouble, project: str
) -> None:
    answer = exchange(served, issuer.token(), project)
    assert code_of(answer) == (403, "identity-not-trusted")
    assert issuer.requests == []


@pytest.mark.usefixtures("trusted")
def test_an_issuer_of_another_name_is_not_vouched_for_by_a_key_of_this_one(
    served: Served, http: httpx2.Client, issuer: IssuerDouble, project: str
) -> None:
    with IssuerDouble().running() as other:
        other.keys = [jwk("other", kid="first")]
        made = http.post("/v1/trusted-issuers", json=entry(other, project))
        assert made.status_code == 201
        answer = exchange(served, issuer.token(iss=other.url), project)
    assert code_of(answer) == (401, "oidc-token-refused")


@pytest.mark.usefixtures("trusted")
def test_a_token_is_good_once_also_when_many_bring_it_at_once(
    served: Served, issuer: IssuerDouble, project: str
) -> None:
    token = issuer.token()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: exchange(served, token, project), range(8)))
    assert sorted(one.status_code for one in answers) == [200] + [401] * 7
    assert {code_of(one)[1] for one in answers if one.status_code == 401} == {"oidc-token-used"}


@pytest.mark.usefixtures("trusted")
def test_many_jobs_at_once_all_get_their_token(
    served: Served, issuer: IssuerDouble, project: str
) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda _: exchange(served, issuer.token(), project), range(24)),
        )
    assert [one.status_code for one in answers] == [200] * 24
    assert len({one.json()["token"] for one in answers}) == 24
    assert issuer.requests == [DISCOVERY, KEYS]


@pytest.mark.usefixtures("trusted")
def test_an_issuer_that_is_away_is_said_and_tried_again_later(
    served: Served, issuer: IssuerDouble, project: str
) -> None:
    issuer.answers[KEYS] = lambda request: send(request, {}, 502)
    answer = exchange(served, issuer.token(), project)
    assert code_of(answer) == (503, "issuer-unavailable")
    assert answer.headers["retry-after"].isdigit()


@pytest.mark.usefixtures("trusted")
def test_exchanges_do_not_take_every_thread(
    served: Served, issuer: IssuerDouble, project: str
) -> None:
    places = served.ledger.jobs._places
    for _ in range(AT_ONCE):
        assert places.acquire(blocking=False)
    try:
        answer = exchange(served, issuer.token(), project)
        assert code_of(answer) == (429, "rate-limited")
        assert answer.headers["retry-after"]
    finally:
        for _ in range(AT_ONCE):
            places.release()
    assert exchange(served, issuer.token(), project).status_code == 200


@pytest.mark.usefixtures("trusted")
def test_a_refusal_is_in_the_log_and_the_token_is_not(
    served: Served, issuer: IssuerDouble, project: str, caplog: pytest.LogCaptureFixture
) -> None:
    token = issuer.token(repository_id="75")
    with caplog.at_level(logging.DEBUG):
        exchange(served, token, project)
    assert "identity-not-trusted" in caplog.text
    assert token.rpartition(".")[2] not in caplog.text


def test_only_an_administrator_of_the_whole_ledger_says_whom_to_trust(
    served: Served, http: httpx2.Client, issuer: IssuerDouble, project: str, trusted: dict[str, Any]
) -> None:
    own = f"/v1/trusted-issuers/{trusted['id']}"
    with served.client(served.limited("admin", projects=(project,))) as limited:
        for answer in (
            limited.get("/v1/trusted-issuers"),
            limited.post("/v1/trusted-issuers", json=entry(issuer, project)),
            limited.get(own),
            limited.delete(own),
            limited.get("/v1/token-exchanges"),
        ):
            assert code_of(answer) == (403, "project-forbidden")
    assert http.get(own).json() == trusted
    made = exchange(served, issuer.token(), project).json()["token"]
    removed = http.delete(own)
    assert removed.json() == {"id": trusted["id"], "ended_tokens": 1}
    with served.client(made) as job:
        assert code_of(job.get("/v1/tokens/self")) == (401, "unauthenticated")
    assert code_of(exchange(served, issuer.token(), project)) == (403, "identity-not-trusted")
    assert http.get(own).json()["removed_at"] is not None
    for answer in (
        http.get("/v1/trusted-issuers/none"),
        http.delete("/v1/trusted-issuers/none"),
    ):
        assert code_of(answer) == (404, "trusted-issuer-not-found")


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"claims": {"ref": "refs/heads/main"}}, "/claims"),
        ({"claims": {"repository_id": "74", "sub": "repo:x"}}, "/claims/sub"),
        ({"scopes": ["admin"]}, "/scopes"),
        ({"issuer": "http://issuer.example"}, "/issuer"),
        ({"lifetime_seconds": 3_601}, "/lifetime_seconds"),
        ({"audience": None}, "/audience"),
        ({"projects": "alpha"}, "/projects"),
    ],
)
def test_an_entry_that_cannot_be_is_refused_with_its_place(
    http: httpx2.Client, issuer: IssuerDouble, project: str, members: Any, pointer: str
) -> None:
    answer = http.post("/v1/trusted-issuers", json=entry(issuer, project) | members)
    assert code_of(answer) == (422, "validation-failed")
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_entries_are_listed_in_pages(
    http: httpx2.Client, issuer: IssuerDouble, project: str, trusted: dict[str, Any]
) -> None:
    second = http.post("/v1/trusted-issuers", json=entry(issuer, project)).json()
    found: list[str] = []
    after = ""
    while True:
        page = http.get("/v1/trusted-issuers", params={"limit": 2, "after": after}).json()
        found += [one["id"] for one in page["trusted_issuers"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert found == sorted(found)
    assert {trusted["id"], second["id"]} <= set(found)


def test_trust_is_given_and_taken_by_commands(
    served: Served, issuer: IssuerDouble, project: str, command_line: None, typed: Typed
) -> None:
    words = [
        "token", "trust", "add", "ci", "--repository-id", "74", "--ref", "refs/heads/main",
        "--issuer", issuer.url, "--scope", "events:read", "--minutes", "5",
    ]  # fmt: skip
    shown = json.loads(typed(*words, "--dry-run", "--json"))
    assert shown["claims"] == {"repository_id": "74", "ref": "refs/heads/main"}
    assert shown["audience"] == served.url
    assert shown["projects"] == [project]
    assert issuer.url not in typed("token", "trust", "list", "--json")
    made = json.loads(typed(*words, "--json"))
    assert {name: made[name] for name in shown} == shown
    assert made["lifetime_seconds"] == 300
    assert "repository_id" in typed("token", "trust", "list")
    answer = exchange(served, issuer.token(aud=served.url), project)
    assert answer.json()["scopes"] == ["events:read"]
    logged = json.loads(typed("token", "trust", "log", "--json"))
    assert logged[0]["token_id"] == answer.json()["id"]
    assert "ci.yml" in typed("token", "trust", "log", "--limit", "1")
    kept = json.loads(typed("token", "trust", "remove", made["id"], "--dry-run", "--json"))
    assert kept["removed_at"] is None
    removed = json.loads(typed("token", "trust", "remove", made["id"], "--json"))
    assert removed == {"id": made["id"], "ended_tokens": 1}
    typed("token", "trust", "remove", made["id"])
    assert made["id"] not in typed("token", "trust", "list", "--json")
    assert made["id"] in typed("token", "trust", "list", "--json", "--all")


def test_a_command_refuses_an_entry_for_everybody_before_it_asks(
    command_line: None, typed: Typed
) -> None:
    complaint = typed("token", "trust", "add", "ci", "--ref", "refs/heads/main", expected=2)
    assert "Demand one of repository_id" in complaint
    complaint = typed(
        "token", "trust", "add", "x", "--repository-id", "7", "--scope", "admin", expected=2
    )
    assert "admin" in complaint
    typed("token", "trust", "remove", secrets.token_hex(4), expected=5)
