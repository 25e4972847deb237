"""Projects and tokens over HTTP."""

import httpx2
import pytest

from tests.serving import Served


def test_a_project_is_opened_read_and_listed(http: httpx2.Client, project: str) -> None:
    read = http.get(f"/v1/projects/{project}")
    assert read.status_code == 200
    assert read.headers["etag"] == '"1"'
    assert read.headers["deedbook-position"] == "1"
    found = read.json()
    assert found["origin"] == f"{project}.ledger.example"
    assert (found["position"], found["version"]) == (1, 1)
    event = http.get(f"/v1/projects/{project}/events/1")
    assert found["root"] == event.headers["etag"].strip('"')  # a tree of one leaf
    slugs: list[str] = []
    after = ""
    while True:
        page = http.get("/v1/projects", params={"after": after, "limit": 2}).json()
        slugs += [one["slug"] for one in page["projects"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert project in slugs
    assert slugs == sorted(set(slugs))


def test_the_same_slug_cannot_be_opened_twice(http: httpx2.Client, project: str) -> None:
    again = http.post("/v1/projects", json={"slug": project, "title": "Again"})
    assert again.status_code == 409
    assert again.json()["code"] == "project-exists"


def test_a_repeat_with_the_same_key_gets_the_first_answer(http: httpx2.Client) -> None:
    body = {"slug": "repeated", "title": "Once"}
    key = {"Idempotency-Key": "a-key"}
    first = http.post("/v1/projects", json=body, headers=key)
    second = http.post("/v1/projects", json=body, headers=key)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()


@pytest.mark.parametrize(
    "body",
    [
        {"slug": "UPPER", "title": "x"},
        {"slug": "-a", "title": "x"},
        {"slug": "a" * 33, "title": "x"},
        {"slug": "..", "title": "x"},
        {"slug": "ok", "title": ""},
        {"slug": "ok", "title": "x" * 301},
        {"slug": "ok"},
        {"slug": "ok", "title": "x", "more": 1},
        {"slug": "ok", "title": 5},
        [],
    ],
)
def test_a_project_that_breaks_a_rule_is_not_opened(http: httpx2.Client, body: object) -> None:
    answer = http.post("/v1/projects", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "validation-failed"
    assert http.get("/v1/projects/ok").status_code == 404


def test_a_change_needs_the_version_it_names(http: httpx2.Client, project: str) -> None:
    path = f"/v1/projects/{project}"
    changed = http.patch(path, json={"title": "New"}, headers={"If-Match": '"1"'})
    assert changed.status_code == 200
    assert changed.json()["title"] == "New"
    assert changed.headers["etag"] == '"2"'
    stale = http.patch(path, json={"title": "Newer"}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    assert stale.json()["code"] == "version-conflict"
    assert stale.json()["current_version"] == 2
    assert stale.headers["etag"] == '"2"'
    assert http.get(path, params={"at": 1}).json()["title"] == "A project"
    assert http.get(path).json()["title"] == "New"


@pytest.mark.parametrize("tag", ['W/"1"', "1", '"x"', '"01"', '"1", "2"'])
def test_an_if_match_that_names_no_version_changes_nothing(
    http: httpx2.Client, project: str, tag: str
) -> None:
    answer = http.patch(f"/v1/projects/{project}", json={"title": "New"}, headers={"If-Match": tag})
    assert answer.json()["code"] in {"precondition-failed", "invalid-parameter"}
    assert http.get(f"/v1/projects/{project}").json()["position"] == 1


def test_a_position_to_come_is_said_to_be_so(http: httpx2.Client, project: str) -> None:
    answer = http.get(f"/v1/projects/{project}", params={"at": 2})
    assert answer.status_code == 404
    assert answer.json()["code"] == "position-in-the-future"
    assert answer.json()["position"] == 1


def test_a_token_sees_only_its_projects(served: Served, http: httpx2.Client, project: str) -> None:
    other = "other-" + project
    assert http.post("/v1/projects", json={"slug": other, "title": "x"}).status_code == 201
    secret = served.limited("events:read", projects=(project,))
    with served.client(secret) as limited:
        assert [one["slug"] for one in limited.get("/v1/projects").json()["projects"]] == [project]
        assert limited.get(f"/v1/projects/{project}").status_code == 200
        refused = limited.get(f"/v1/projects/{other}")
        assert (refused.status_code, refused.json()["code"]) == (403, "project-forbidden")
        not_to_write = limited.post(f"/v1/projects/{project}/events", json={"events": []})
        assert not_to_write.status_code == 403
        assert not_to_write.json()["code"] == "insufficient-scope"
        assert not_to_write.json()["scope"] == "events:append"
        assert limited.get("/v1/tokens").status_code == 403


def test_a_token_is_made_used_listed_and_revoked(served: Served, http: httpx2.Client) -> None:
    made = http.post("/v1/tokens", json={"name": "ci", "scopes": ["events:read"]})
    assert made.status_code == 201
    secret = made.json()["token"]
    with served.client(secret) as client:
        own = client.get("/v1/tokens/self")
        assert own.json()["name"] == "ci"
        assert own.json()["scopes"] == ["events:read"]
        assert secret not in own.text
        listed = http.get("/v1/tokens", params={"limit": 1000})
        assert secret not in listed.text
        assert made.json()["id"] in {one["id"] for one in listed.json()["tokens"]}
        assert http.delete(f"/v1/tokens/{made.json()['id']}").status_code == 204
        ended = client.get("/v1/tokens/self")
        assert (ended.status_code, ended.json()["code"]) == (401, "unauthenticated")
        assert ended.headers["www-authenticate"].startswith("Bearer")
    assert http.delete("/v1/tokens/none").status_code == 404


def test_a_token_cannot_make_one_that_sees_more(
    served: Served, http: httpx2.Client, project: str
) -> None:
    secret = served.limited("admin", projects=(project,))
    with served.client(secret) as limited:
        made = limited.post("/v1/tokens", json={"name": "wide"})
        assert made.json()["projects"] == [project]
        wide = limited.post("/v1/tokens", json={"name": "wide", "projects": ["another"]})
        assert (wide.status_code, wide.json()["code"]) == (403, "project-forbidden")
        outside = limited.post("/v1/projects", json={"slug": "outside", "title": "x"})
        assert outside.status_code == 403
        assert limited.get("/v1/tokens").json()["code"] == "project-forbidden"
        assert limited.delete("/v1/tokens/any").json()["code"] == "project-forbidden"


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["all"]},
        {"name": "x", "projects": []},
        {"name": "x", "projects": ["UPPER"]},
        {"name": "x", "expires_in_days": 0},
    ],
)
def test_a_token_that_breaks_a_rule_is_not_made(http: httpx2.Client, body: object) -> None:
    before = len(http.get("/v1/tokens", params={"limit": 1000}).json()["tokens"])
    assert http.post("/v1/tokens", json=body).status_code == 422
    assert len(http.get("/v1/tokens", params={"limit": 1000}).json()["tokens"]) == before
