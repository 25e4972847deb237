"""Erasing over HTTP: who may, what is shown, what must be sent back, and what every read says then."""

import httpx2
import pytest

from domain.digest import digest_of
from tests.serving import Served

SECRET = "# Notes\n\nThe word is sesame.\n"
DIGEST = digest_of(SECRET.encode())
PRD = {"kind": "PRD", "key": "main"}


def path(project: str, *rest: str) -> str:
    return "/".join((f"/v1/projects/{project}", *rest))


def write(http: httpx2.Client, project: str, content: str = SECRET, key: str = "main") -> None:
    made = http.post(
        path(project, "artifacts", "PRD", key, "versions"),
        json={"content": content, "title": "The title"},
    )
    assert made.status_code == 201, made.text


def preview(http: httpx2.Client, project: str, **target: object) -> dict[str, object]:
    shown = http.post(path(project, "erasures", "preview"), json=target or PRD)
    assert shown.status_code == 200, shown.text
    members: dict[str, object] = shown.json()
    return members


def erase(
    http: httpx2.Client, project: str, confirm: object = None, **target: object
) -> httpx2.Response:
    if confirm is None:
        confirm = preview(http, project, **target)["confirm"] or ""
    body = {**(target or PRD), "reason": "leaked", "confirm": confirm}
    return http.post(path(project, "erasures"), json=body)


def test_a_preview_tells_everything_and_changes_nothing(http: httpx2.Client, project: str) -> None:
    write(http, project)
    write(http, project, key="copy")
    shown = preview(http, project, **PRD, version=1)
    assert shown["stream"] == "artifact/PRD/main"
    assert shown["contents"] == [
        {
            "what": "artifact",
            "stream": "artifact/PRD/main",
            "version": 1,
            "position": 2,
            "digest": DIGEST,
            "size_bytes": len(SECRET),
            "media_type": "text/markdown",
            "title": "The title",
        }
    ]
    also = shown["also"]
    assert isinstance(also, list)
    assert [one["stream"] for one in also] == ["artifact/PRD/copy"]
    assert (shown["size_bytes"], shown["first_position"]) == (len(SECRET), 4)
    said = " ".join([*shown["remains"], *shown["not_reached"]])  # type: ignore[misc]
    for word in (
        "titles",
        "citations",
        "handed out",
        "Backups",
        "Other projects",
        "guess",
        "never",
    ):
        assert word in said
    assert http.get(path(project, "blobs", DIGEST)).text == SECRET
    assert http.get(path(project)).json()["position"] == 3


def test_an_erasure_needs_its_preview_and_answers_once(http: httpx2.Client, project: str) -> None:
    write(http, project)
    for body in (
        {**PRD, "reason": "leaked"},
        {**PRD, "confirm": "x"},
        {"reason": "leaked", "confirm": "x"},
        {**PRD, "run": "r1", "reason": "leaked", "confirm": "x"},
        {"kind": "PRD", "reason": "leaked", "confirm": "x"},
        {**PRD, "version": 0, "reason": "leaked", "confirm": "x"},
        {**PRD, "reason": "", "confirm": "x"},
        {**PRD, "reason": "leaked", "confirm": "x", "force": True},
    ):
        refused = http.post(path(project, "erasures"), json=body)
        assert (refused.status_code, refused.json()["code"]) == (422, "validation-failed"), body
    refused = erase(http, project, "sha256:" + "0" * 64)
    assert (refused.status_code, refused.json()["code"]) == (409, "erasure-changed")
    assert http.get(path(project, "blobs", DIGEST)).status_code == 200

    confirm = preview(http, project)["confirm"]
    done = erase(http, project, confirm)
    assert done.status_code == 201
    assert done.headers["deedbook-position"] == "3"
    made = done.json()
    assert made["erasures"] == [
        {
            "position": 3,
            "time": made["erasures"][0]["time"],
            "actor": "token:admin",
            "stream": "artifact/PRD/main",
            "version": 1,
            "digest": DIGEST,
            "reason": "leaked",
        }
    ]
    again = erase(http, project, confirm)
    assert again.status_code == 200
    assert again.json() == {**made, "replayed": True}
    listed = http.get(path(project, "erasures")).json()
    assert listed == {"erasures": made["erasures"], "next": None, "position": 3}
    assert http.get(path(project, "erasures"), params={"at": 2}).json()["erasures"] == []


def test_the_list_of_erasures_comes_in_pages(http: httpx2.Client, project: str) -> None:
    for number in range(3):
        write(http, project, f"{SECRET}{number}")
    erase(http, project)
    versions: list[int] = []
    after: int | None = 0
    while after is not None:
        page = http.get(path(project, "erasures"), params={"limit": 1, "after": after}).json()
        versions += [one["version"] for one in page["erasures"]]
        after = page["next"]
    assert versions == [1, 2, 3]


def test_every_read_of_an_erased_version_says_so(http: httpx2.Client, project: str) -> None:
    write(http, project)
    put = http.put(
        path(project, "blobs", digest_of(b"%PDF")),
        content=b"%PDF",
        headers={"Content-Type": "application/octet-stream"},
    )
    assert put.status_code == 201
    original = {"digest": digest_of(b"%PDF"), "size_bytes": 4, "media_type": "application/pdf"}
    written = http.post(
        path(project, "artifacts", "PRD", "main", "versions"),
        json={"content": "# Two\n", "original": original},
    )
    assert written.status_code == 201
    version = path(project, "artifacts", "PRD", "main", "versions", "1")
    tag = http.get(version).headers["etag"]
    content_tag = http.get(f"{version}/content").headers["etag"]
    position = http.get(path(project)).json()["position"]
    export_tag = http.get(path(project, "exports", f"{position}.zip")).headers["etag"]

    assert erase(http, project).status_code == 201

    for gone in (
        f"{version}/content",
        path(project, "artifacts", "PRD", "main", "versions", "2", "original"),
        path(project, "artifacts", "PRD", "main", "diff"),
        path(project, "blobs", DIGEST),
        path(project, "exports", f"{position}.zip"),
        path(project, "exports", f"{position}.zip?originals=true"),
        path(project, "exports", str(position), "manifest"),
    ):
        for headers in ({}, {"If-None-Match": content_tag}, {"If-None-Match": export_tag}):
            answer = http.get(gone, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (410, "content-erased"), gone
        assert http.head(gone).status_code == 410
    # What a caller has kept of the version is not called unchanged: it was not erased then.
    for described in (version, path(project, "artifacts", "PRD", "main")):
        answer = http.get(described, headers={"If-None-Match": tag})
        assert answer.status_code == 200
        assert answer.json()["erased_position"] > position
    listed = http.get(path(project, "artifacts")).json()["artifacts"]
    assert [one["erased_position"] is not None for one in listed] == [True]
    history = http.get(path(project, "artifacts", "PRD", "main", "versions")).json()["versions"]
    assert all(one["erased_position"] for one in history)
    assert http.get(f"{version}/citations").json() == {"citations": []}
    trail = http.get(path(project, "trail"), params={"stream": "erasures"}).json()
    assert "erased artifact/PRD/main version 1: leaked" in str(trail)
    put = http.put(
        path(project, "blobs", DIGEST),
        content=SECRET.encode(),
        headers={"Content-Type": "application/octet-stream"},
    )
    assert (put.status_code, put.json()["code"]) == (410, "content-erased")
    now = http.get(path(project)).json()["position"]
    zipped = http.get(path(project, "exports", f"{now}.zip"))
    assert zipped.status_code == 200
    assert b"sesame" not in zipped.content
    manifest = http.get(path(project, "exports", str(now), "manifest")).json()
    assert [(one["key"], one["version"]) for one in manifest["erased"]] == [("main", 2)]


def test_a_runs_record_is_erased_by_its_version(http: httpx2.Client, project: str) -> None:
    for kind, data, content in (
        ("RunCreated", {"title": "A run"}, None),
        ("RunStarted", {}, None),
        (
            "TranscriptRecorded",
            {
                "command": ["env"],
                "exit_code": 0,
                "duration_ms": 1,
                "content": {"media_type": "text/plain"},
            },
            SECRET,
        ),
    ):
        event = {"type": kind, "data": data} | ({"content": content} if content else {})
        made = http.post(path(project, "streams", "run", "r1"), json=event)
        assert made.status_code == 201, made.text
    refused = http.post(path(project, "erasures", "preview"), json={"run": "r1", "version": 1})
    assert (refused.status_code, refused.json()["code"]) == (422, "nothing-to-erase")
    erased = erase(http, project, run="r1", version=3).json()["erasures"]
    assert [(one["stream"], one["version"]) for one in erased] == [("run/r1", 3)]
    shown = http.get(path(project, "runs", "r1", "timeline")).json()
    [content] = [one for item in shown["items"] for one in item["contents"]]
    assert (content["held"], content["erased"]) == (False, True)
    gates = http.get(path(project, "runs", "r1", "gates")).json()["gates"]
    [held] = [one for one in gates if one["name"] == "contents"]
    assert (held["holds"], held["detail"]) == (True, "0 contents are held, 1 were erased.")


@pytest.mark.parametrize("scope", ["events:read", "events:append", "artifacts:write"])
def test_only_an_administrator_of_the_project_may(
    served: Served, http: httpx2.Client, project: str, scope: str
) -> None:
    """T15: no erasing without authority."""
    write(http, project)
    confirm = preview(http, project)["confirm"]
    with served.client(served.limited(scope)) as client:
        for answer in (
            client.post(path(project, "erasures", "preview"), json=PRD),
            erase(client, project, confirm),
        ):
            assert (answer.status_code, answer.json()["code"]) == (403, "insufficient-scope")
    with served.client(served.limited("admin", projects=("another",))) as client:
        answer = erase(client, project, confirm)
        assert (answer.status_code, answer.json()["code"]) == (403, "project-forbidden")
    with served.client(served.limited("admin", projects=(project,))) as client:
        assert erase(client, project, confirm).status_code == 201
    event = {
        "type": "RecordErased",
        "data": {"record": "run/r1", "record_version": 1, "digest": DIGEST, "reason": "x"},
    }
    forged = http.post(path(project, "streams", "erasures"), json=event)
    assert (forged.status_code, forged.json()["code"]) == (422, "validation-failed")


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ({"kind": "PRD", "key": "absent"}, 404, "artifact-not-found"),
        ({"kind": "PRD", "key": "main", "version": 9}, 404, "version-not-found"),
        ({"run": "absent"}, 404, "run-not-found"),
        ({"kind": "prd", "key": "main"}, 422, "validation-failed"),
        ({"run": "../x"}, 422, "validation-failed"),
    ],
)
def test_what_is_not_there_is_a_problem(
    http: httpx2.Client, project: str, target: dict[str, object], status: int, code: str
) -> None:
    write(http, project)
    answer = http.post(path(project, "erasures", "preview"), json=target)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
