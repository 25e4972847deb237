"""Artifacts and blobs over HTTP: versions, contents, citations, differences."""

import base64
import hashlib

import httpx2
import pytest

from domain.digest import digest_of
from tests.serving import Served


def path(project: str, *rest: str) -> str:
    return "/".join((f"/v1/projects/{project}/artifacts/PRD/main", *rest))


def write(http: httpx2.Client, project: str, content: str, **more: object) -> httpx2.Response:
    return http.post(path(project, "versions"), json={"content": content, **more})


def test_versions_are_written_and_read(http: httpx2.Client, project: str) -> None:
    first = write(http, project, "# One\n", title="One")
    assert first.status_code == 201
    assert first.headers["etag"] == '"1"'
    second = http.post(
        path(project, "versions"), json={"content": "# Two\n"}, headers={"If-Match": '"1"'}
    )
    assert second.json()["version"] == 2
    assert http.get(second.headers["location"]).json()["version"] == 2
    latest = http.get(path(project))
    assert latest.headers["etag"] == '"2"'
    assert http.get(path(project), headers={"If-None-Match": '"2"'}).status_code == 304
    assert http.get(path(project), params={"at": 2}).json()["title"] == "One"
    history = http.get(path(project, "versions")).json()
    assert [one["version"] for one in history["versions"]] == [1, 2]
    assert http.get(path(project, "versions"), params={"limit": 1}).json()["next"] == 1
    listed = http.get(f"/v1/projects/{project}/artifacts").json()
    assert [(one["kind"], one["key"], one["version"]) for one in listed["artifacts"]] == [
        ("PRD", "main", 2)
    ]
    assert http.get(f"/v1/projects/{project}/artifacts", params={"at": 1}).json()["artifacts"] == []


def test_a_list_of_artifacts_comes_in_pages(http: httpx2.Client, project: str) -> None:
    for kind, key in (("ADR_0001", "b"), ("PRD", "a"), ("PRD", "c")):
        http.post(f"/v1/projects/{project}/artifacts/{kind}/{key}/versions", json={"content": key})
    names: list[str] = []
    after = ""
    while True:
        page = http.get(
            f"/v1/projects/{project}/artifacts", params={"limit": 1, "after": after}
        ).json()
        names += [f"{one['kind']}/{one['key']}" for one in page["artifacts"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert names == ["ADR_0001/b", "PRD/a", "PRD/c"]
    only = http.get(f"/v1/projects/{project}/artifacts", params={"kind": "ADR_0001"}).json()
    assert [one["key"] for one in only["artifacts"]] == ["b"]


def test_the_content_is_the_bytes_that_were_written(http: httpx2.Client, project: str) -> None:
    raw = bytes(range(256))
    http.post(
        path(project, "versions"),
        json={
            "content_base64": base64.b64encode(raw).decode(),
            "media_type": "application/octet-stream",
        },
    )
    answer = http.get(path(project, "versions", "1", "content"))
    assert answer.content == raw
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["etag"] == f'"{digest_of(raw)}"'
    sha256 = base64.b64encode(hashlib.sha256(raw).digest()).decode()
    assert answer.headers["repr-digest"] == f"sha-256=:{sha256}:"
    assert "immutable" in answer.headers["cache-control"]
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    head = http.head(path(project, "versions", "1", "content"))
    assert (head.headers["content-length"], head.content) == ("256", b"")
    part = http.get(path(project, "versions", "1", "content"), headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, raw[10:20])
    assert part.headers["content-range"] == "bytes 10-19/256"
    same = http.get(
        path(project, "versions", "1", "content"),
        headers={"If-None-Match": answer.headers["etag"]},
    )
    assert same.status_code == 304


def test_nothing_is_written_when_it_is_the_same(http: httpx2.Client, project: str) -> None:
    write(http, project, "# One\n")
    same = write(http, project, "# One\n", unless_same=True)
    assert same.status_code == 200
    assert (same.json()["written"], same.json()["version"]) == (False, 1)
    other = write(http, project, "# Two\n", unless_same=True)
    assert (other.json()["written"], other.json()["version"]) == (True, 2)


def test_a_write_repeated_with_its_key_gets_its_first_answer(
    http: httpx2.Client, project: str
) -> None:
    key = {"Idempotency-Key": "once", "If-None-Match": "*"}
    first = http.post(path(project, "versions"), json={"content": "x"}, headers=key)
    second = http.post(path(project, "versions"), json={"content": "x"}, headers=key)
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json() == {**first.json(), "replayed": True}


def test_citations_are_numbered_and_their_links_resolve(http: httpx2.Client, project: str) -> None:
    text = "As [said](citation:1), [again](citation:3), and [otherwise](citation:2).\n"
    cited = [
        {"url": "HTTPS://Example.com:443/a"},
        {"url": "https://example.org/b", "title": "B"},
        {"url": "https://example.com/a"},
    ]
    assert write(http, project, text, citations=cited).status_code == 201
    found = http.get(path(project, "versions", "1", "citations")).json()["citations"]
    assert found == [
        {"index": 1, "url": "https://example.com/a", "also": [3]},
        {"index": 2, "url": "https://example.org/b", "title": "B"},
    ]
    dangling = write(http, project, "See [this](citation:4).", citations=cited)
    assert (dangling.status_code, dangling.json()["code"]) == (422, "citation-unresolved")
    assert dangling.json()["citation"] == 4
    bad = write(http, project, "x", citations=[{"url": "javascript:alert(1)"}])
    assert bad.json()["errors"][0]["pointer"] == "/citations/0/url"
    assert http.get(path(project)).json()["version"] == 1


def test_two_versions_are_compared(http: httpx2.Client, project: str) -> None:
    write(http, project, "a\nb\nc\n")
    write(http, project, "a\nB\nc\n")
    unified = http.get(path(project, "diff"), headers={"Accept": "text/x-diff"})
    assert unified.headers["content-type"].startswith("text/x-diff")
    assert "\n-b\n+B\n" in unified.text
    found = http.get(path(project, "diff"), params={"from": 0, "to": 1}).json()
    assert (found["from"], found["to"]) == (0, 1)
    assert found["difference"]["lines_added"] == 3
    earlier = http.get(path(project, "diff"), params={"at": 2}).json()
    assert (earlier["from"], earlier["to"]) == (0, 1)
    missing = http.get(path(project, "diff"), params={"to": 9})
    assert (missing.status_code, missing.json()["code"]) == (404, "version-not-found")


def test_bytes_that_are_no_text_are_not_compared(http: httpx2.Client, project: str) -> None:
    http.post(
        path(project, "versions"),
        json={"content_base64": "/w==", "media_type": "application/octet-stream"},
    )
    answer = http.get(path(project, "diff"))
    assert (answer.status_code, answer.json()["code"]) == (400, "not-text")


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("prd", "x"),
        ("CON", "x"),
        ("P" * 33, "x"),
        ("PRD", ".."),
        ("PRD", "x" * 91),
        ("PRD", "a\x01"),
    ],
)
def test_a_name_outside_the_grammar_is_refused(
    served: Served, http: httpx2.Client, project: str, kind: str, key: str
) -> None:
    segments = "/".join(part.replace("\x01", "%01").replace("..", "%2e%2e") for part in (kind, key))
    answer = http.post(
        f"/v1/projects/{project}/artifacts/{segments}/versions", json={"content": "x"}
    )
    assert answer.status_code in {404, 422}
    assert served.ledger.log.head(project).size == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "validation-failed"),
        ({"digest": "sha256:" + "0" * 64}, "validation-failed"),
        ({"digest": "sha256:" + "0" * 64, "size_bytes": 1}, "blob-not-found"),
        ({"digest": "md5:0", "size_bytes": 1}, "validation-failed"),
        ({"content": "x", "media_type": "text"}, "validation-failed"),
        ({"content": "a\0b"}, "nul-character"),
        ({"content_base64": "/w==", "media_type": "text/markdown"}, "validation-failed"),
        ({"content": "x", "title": "x" * 301}, "validation-failed"),
        ({"content": "x", "unknown": 1}, "validation-failed"),
    ],
)
def test_a_version_that_breaks_a_rule_is_not_written(
    http: httpx2.Client, project: str, body: dict[str, object], code: str
) -> None:
    answer = http.post(path(project, "versions"), json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    assert http.get(path(project)).json()["code"] == "artifact-not-found"


def test_a_typed_record_must_be_json(http: httpx2.Client, project: str) -> None:
    place = f"/v1/projects/{project}/artifacts/PATCHSET/x/versions"
    as_text = http.post(place, json={"content": "{}"})
    assert as_text.status_code == 422
    broken = http.post(place, json={"content": "{", "media_type": "application/json"})
    assert broken.status_code == 400
    empty = http.post(place, json={"content": "{}", "media_type": "application/json"})
    assert (empty.status_code, empty.json()["code"]) == (422, "validation-failed")
    patchset = (
        '{"schema": "deedbook/patchset/v1", "head": "c0ffee", "commits": [], "diff_manifest": []}'
    )
    good = http.post(place, json={"content": patchset, "media_type": "application/json"})
    assert good.status_code == 201


def test_content_is_uploaded_first_and_named_by_its_digest(
    http: httpx2.Client, project: str
) -> None:
    content = b"x" * (3 * 1024 * 1024)
    digest = digest_of(content)
    place = f"/v1/projects/{project}/blobs/{digest}"
    assert http.put(place, content=content).status_code == 201
    assert http.put(place, content=content).status_code == 201
    assert http.get(place).json()["code"] == "blob-not-found"  # no event names it yet
    body = {"digest": digest, "size_bytes": len(content), "media_type": "text/plain"}
    assert http.post(path(project, "versions"), json=body).status_code == 201
    assert http.get(place).content == content
    assert http.get(path(project, "versions", "1", "content")).content == content
    part = http.get(place, headers={"Range": "bytes=-5"})
    assert (part.status_code, part.content) == (206, b"xxxxx")
    wrong = http.post(path(project, "versions"), json={**body, "size_bytes": 1})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "digest-mismatch")


def test_an_upload_under_another_digest_is_refused(http: httpx2.Client, project: str) -> None:
    digest = digest_of(b"one")
    answer = http.put(f"/v1/projects/{project}/blobs/{digest}", content=b"two")
    assert (answer.status_code, answer.json()["code"]) == (422, "digest-mismatch")
    body = {"digest": digest, "size_bytes": 3, "media_type": "text/plain"}
    assert http.post(path(project, "versions"), json=body).json()["code"] == "blob-not-found"
    nonsense = http.put(f"/v1/projects/{project}/blobs/sha256:0", content=b"x")
    assert nonsense.status_code == 422


def test_a_content_whose_bytes_were_changed_is_not_handed_out(
    served: Served, http: httpx2.Client, project: str
) -> None:
    write(http, project, "# Right\n")
    served.execute("UPDATE blob SET content = '# Wrong' || chr(10)::bytea WHERE project_id = %s", project)  # fmt: skip
    answer = http.get(path(project, "versions", "1", "content"))
    assert answer.status_code == 500
    assert answer.json()["code"] == "content-damaged"
    assert "Wrong" not in answer.text


def test_a_content_that_is_gone_is_said_to_be(
    served: Served, http: httpx2.Client, project: str
) -> None:
    write(http, project, "# Here\n")
    served.execute("DELETE FROM blob WHERE project_id = %s", project)
    answer = http.get(path(project, "versions", "1", "content"))
    assert (answer.status_code, answer.json()["code"]) == (404, "blob-not-found")


def test_runs_and_the_trail_are_read_at_a_position(http: httpx2.Client, project: str) -> None:
    stream = f"/v1/projects/{project}/streams/run/r1"
    http.post(stream, json={"type": "RunCreated", "data": {"title": "A run"}})
    http.post(stream, json={"type": "RunStarted", "data": {}})
    run = http.get(f"/v1/projects/{project}/runs/r1").json()
    assert (run["title"], run["phase"]) == ("A run", "running")
    assert (
        http.get(f"/v1/projects/{project}/runs/r1", params={"at": 2}).json()["phase"] == "created"
    )
    assert [one["run_id"] for one in http.get(f"/v1/projects/{project}/runs").json()["runs"]] == [
        "r1"
    ]
    assert http.get(f"/v1/projects/{project}/runs", params={"at": 1}).json()["runs"] == []
    absent = http.get(f"/v1/projects/{project}/runs/r2")
    assert (absent.status_code, absent.json()["code"]) == (404, "run-not-found")
    illegal = http.post(stream, json={"type": "RunCreated", "data": {"title": "Again"}})
    assert (illegal.status_code, illegal.json()["code"]) == (409, "invalid-transition")
    assert illegal.json()["phase"] == "running"
    trail = http.get(f"/v1/projects/{project}/trail").json()
    assert [one["summary"] for one in trail["items"]] == [
        "opened the project “A project”",
        "run r1: created “A run”",
        "run r1: started",
    ]
    newest = http.get(
        f"/v1/projects/{project}/trail", params={"newest_first": "true", "limit": 1}
    ).json()
    assert newest["items"][0]["position"] == 3
    assert newest["next"] == 3


@pytest.mark.parametrize(
    ("kind", "media_type", "content", "status", "code"),
    [
        ("PRD", "text/markdown", b"See [this](citation:1).", 422, "citation-unresolved"),
        ("PRD", "text/markdown", b"\xff", 422, "validation-failed"),
        ("PRD", "text/plain", b"a\0b", 422, "nul-character"),
        ("PATCHSET", "application/json", b"{", 400, "malformed-json"),
    ],
)
def test_an_uploaded_content_is_held_to_the_same_rules(
    http: httpx2.Client,
    project: str,
    kind: str,
    media_type: str,
    content: bytes,
    status: int,
    code: str,
) -> None:
    digest = digest_of(content)
    assert http.put(f"/v1/projects/{project}/blobs/{digest}", content=content).is_success
    answer = http.post(
        f"/v1/projects/{project}/artifacts/{kind}/main/versions",
        json={"digest": digest, "size_bytes": len(content), "media_type": media_type},
    )
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert http.get(f"/v1/projects/{project}").json()["position"] == 1
