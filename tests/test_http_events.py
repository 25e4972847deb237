"""Events over HTTP: append, page, replay, follow; and everything that is refused at the door."""

import hashlib
import json
import threading
from collections.abc import Iterator

import httpx2
import pytest

from tests.serving import Served

DOCUMENT = {
    "stream": "artifact/PRD/main",
    "type": "ArtifactWritten",
    "data": {"media_type": "text/markdown"},
    "content": "# One\n",
}
NDJSON = {"Accept": "application/x-ndjson"}
SSE = {"Accept": "text/event-stream"}


def path(project: str, *rest: str) -> str:
    return "/".join((f"/v1/projects/{project}/events", *rest))


def append(http: httpx2.Client, project: str, *events: object, **more: object) -> httpx2.Response:
    return http.post(path(project), json={"events": events, **more})


def size(http: httpx2.Client, project: str) -> int:
    return int(http.head(path(project)).headers["deedbook-position"])


def test_an_append_answers_where_its_events_stand(http: httpx2.Client, project: str) -> None:
    answer = append(http, project, DOCUMENT, {**DOCUMENT, "content": "# Two\n"})
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/projects/{project}/events/2"
    found = answer.json()
    assert (found["first_position"], found["last_position"]) == (2, 3)
    assert [(one["stream"], one["version"]) for one in found["events"]] == [
        ("artifact/PRD/main", 1),
        ("artifact/PRD/main", 2),
    ]
    stored = http.get(path(project, "2"))
    leaf = hashlib.sha256(b"\0" + stored.content).hexdigest()
    assert found["events"][0]["leaf_hash"] == f"sha256:{leaf}"
    assert stored.headers["etag"] == f'"sha256:{leaf}"'
    same = http.get(path(project, "2"), headers={"If-None-Match": stored.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")


def test_one_event_goes_to_a_stream_at_a_version(http: httpx2.Client, project: str) -> None:
    stream = f"/v1/projects/{project}/streams/artifact/PRD/main"
    event = {key: value for key, value in DOCUMENT.items() if key != "stream"}
    first = http.post(stream, json=event, headers={"If-None-Match": "*"})
    assert first.status_code == 201
    again = http.post(stream, json=event, headers={"If-None-Match": "*"})
    assert (again.status_code, again.json()["code"]) == (412, "version-conflict")
    second = http.post(stream, json=event, headers={"If-Match": '"1"'})
    assert second.json()["events"][0]["version"] == 2
    read = http.get(stream)
    assert read.headers["etag"] == '"2"'
    assert [one["version"] for one in read.json()["events"]] == [1, 2]
    earlier = http.get(stream, params={"at": 2}).json()
    assert earlier["version"] == 1
    page = http.get(stream, params={"limit": 1}).json()
    assert page["next"] == 1
    assert http.get(stream, params={"after": 1}).json()["events"][0]["version"] == 2


def test_a_batch_can_be_ndjson(http: httpx2.Client, project: str) -> None:
    lines = b"\n".join(json.dumps({**DOCUMENT, "content": f"{n}"}).encode() for n in range(3))
    answer = http.post(
        path(project), content=lines, headers={"Content-Type": "application/x-ndjson"}
    )
    assert answer.json()["last_position"] == 4
    broken = http.post(
        path(project), content=lines + b"\n{", headers={"Content-Type": "application/x-ndjson"}
    )
    assert broken.status_code == 400
    assert broken.json()["errors"][0]["pointer"] == "/events/3"
    assert size(http, project) == 4


def test_a_retry_gets_its_first_answer_even_when_its_version_is_past(
    http: httpx2.Client, project: str
) -> None:
    body = {
        "events": [DOCUMENT],
        "preconditions": [{"stream": "artifact/PRD/main", "version": 0}],
    }
    key = {"Idempotency-Key": "k1"}
    first = http.post(path(project), json=body, headers=key)
    second = http.post(path(project), json=body, headers=key)
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json() == {**first.json(), "replayed": True}
    other = http.post(path(project), json={"events": [DOCUMENT]}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    assert size(http, project) == 2


def test_an_idempotency_key_is_its_callers_own(
    served: Served, http: httpx2.Client, project: str
) -> None:
    key = {"Idempotency-Key": "shared"}
    body = {"events": [DOCUMENT]}
    first = http.post(path(project), json=body, headers=key).json()
    with served.client(served.limited("events:append")) as other:
        second = other.post(path(project), json=body, headers=key).json()
    assert second["first_position"] == first["first_position"] + 1


def test_the_same_id_with_the_same_content_is_recorded_once(
    http: httpx2.Client, project: str
) -> None:
    event = {**DOCUMENT, "id": "019a9f60-7c00-7000-8a00-000000000001"}
    assert append(http, project, event).status_code == 201
    assert append(http, project, event).status_code == 200
    other = append(http, project, {**event, "content": "# Other\n"})
    assert (other.status_code, other.json()["code"]) == (409, "event-id-conflict")
    assert size(http, project) == 2


BATCH = '{"events":[%s]}'
EVENT = '{"stream":"artifact/PRD/main","type":"ArtifactWritten","data":%s,"content":"x"}'
GOOD = '{"media_type":"text/markdown"}'


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"", 400, "malformed-json"),
        (b"{", 400, "malformed-json"),
        (b"\xff", 400, "malformed-json"),
        (b"[" * 100_000, 400, "json-too-deep"),
        (b'{"events":' * 70 + b"1" + b"}" * 70, 400, "json-too-deep"),
        (b'{"events":[],"events":[]}', 400, "malformed-json"),
        (b'{"events":[]}', 413, "batch-too-large"),
        (b'{"events":[],"more":1}', 422, "validation-failed"),
        (b'{"events":{}}', 422, "validation-failed"),
        ((BATCH % (EVENT % '{"media_type":"text/markdown","x":1.5}')).encode(), 422, "float-not-allowed"),
        ((BATCH % (EVENT % '{"media_type":"text/markdown","x":1}')).encode(), 422, "validation-failed"),
        ((BATCH % (EVENT % '{"media_type":"a\\u0000b"}')).encode(), 422, "nul-character"),
        ((BATCH % (EVENT % '{"media_type":"text/markdown","title":"\\ud800"}')).encode(), 422, "validation-failed"),
        ((BATCH % (EVENT % '{"media_type":"text/markdown","title":"a","title":"b"}')).encode(), 400, "malformed-json"),
        ((BATCH % (EVENT % '{"media_type":"TEXT"}')).encode(), 422, "validation-failed"),
        ((BATCH % (EVENT % '{"media_type":"text/markdown","size_bytes":9}')).encode(), 422, "digest-mismatch"),
        ((BATCH % ("," .join([EVENT % GOOD] * 1001))).encode(), 413, "batch-too-large"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_or_breaks_a_rule_records_nothing(
    http: httpx2.Client, project: str, raw: bytes, status: int, code: str
) -> None:
    answer = http.post(path(project), content=raw, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.json()["type"] == f"urn:deedbook:error:{code}"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert size(http, project) == 1


@pytest.mark.parametrize(
    "stream",
    [
        "",
        "artifact",
        "artifact/PRD",
        "artifact/PRD/",
        "artifact/prd/main",
        "artifact/CON/main",
        "artifact/PRD/..",
        "artifact/PRD/a/b",
        "artifact/PRD/\u0000",
        "artifact/PRD/" + "x" * 91,
        "run/UPPER",
        "run/" + "r" * 37,
        "erasures",
        "nothing",
        "../x",
    ],
)
def test_a_stream_outside_the_grammar_records_nothing(
    http: httpx2.Client, project: str, stream: str
) -> None:
    answer = append(http, project, {**DOCUMENT, "stream": stream})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"].startswith(("/events/0", "/stream"))
    assert size(http, project) == 1


def test_keys_that_differ_only_in_case_are_two_artifacts(http: httpx2.Client, project: str) -> None:
    for key in ("Readme", "README"):
        assert (
            append(http, project, {**DOCUMENT, "stream": f"artifact/PRD/{key}"}).json()["events"][
                0
            ]["version"]
            == 1
        )
    export = http.get(f"/v1/projects/{project}/exports/3/manifest").json()
    paths = [one["path"] for one in export["files"] if "/artifacts/" in one["path"]]
    assert len({one.lower() for one in paths}) == 2


def test_a_stale_version_names_the_current_one_and_spoils_no_neighbour(
    http: httpx2.Client, project: str
) -> None:
    append(http, project, DOCUMENT)
    stale = append(
        http,
        project,
        DOCUMENT,
        preconditions=[{"stream": "artifact/PRD/main", "version": 0}],
    )
    assert stale.status_code == 412
    assert stale.json()["current_version"] == 1
    assert stale.json()["stream"] == "artifact/PRD/main"
    contradiction = append(
        http,
        project,
        DOCUMENT,
        preconditions=[
            {"stream": "artifact/PRD/main", "version": 0},
            {"stream": "artifact/PRD/main", "version": 1},
        ],
    )
    assert contradiction.status_code == 422
    assert size(http, project) == 2


def test_content_that_was_never_uploaded_is_missed(http: httpx2.Client, project: str) -> None:
    event = {
        "stream": "artifact/PRD/main",
        "type": "ArtifactWritten",
        "data": {"media_type": "text/plain", "digest": "sha256:" + "0" * 64, "size_bytes": 3},
    }
    answer = append(http, project, event)
    assert (answer.status_code, answer.json()["code"]) == (422, "blob-not-found")
    assert size(http, project) == 1


@pytest.mark.parametrize(
    "content", [{"content": "a", "content_base64": "YQ=="}, {"content_base64": "?"}]
)
def test_content_given_wrongly_is_pointed_at(
    http: httpx2.Client, project: str, content: dict[str, str]
) -> None:
    event = {name: value for name, value in DOCUMENT.items() if name != "content"}
    answer = append(http, project, {**event, **content})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"].startswith("/events/0/content")


def test_a_project_that_is_not_there_is_said_to_be_missing(http: httpx2.Client) -> None:
    for answer in (
        append(http, "absent", DOCUMENT),
        http.get(path("absent")),
        http.head(path("absent")),
        http.get(path("absent"), headers=NDJSON),
        http.get(path("absent"), headers=SSE),
        http.get(path("absent", "1")),
    ):
        assert answer.status_code == 404
    assert append(http, "absent", DOCUMENT).json()["code"] == "project-not-found"


@pytest.mark.parametrize("position", ["0", "-1", "x", "01", "9" * 30, "1.0"])
def test_a_position_that_is_none_is_refused(
    http: httpx2.Client, project: str, position: str
) -> None:
    answer = http.get(path(project, position))
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-parameter")
    beyond = http.get(path(project, "7"))
    assert (beyond.status_code, beyond.json()["code"]) == (404, "position-not-found")


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "x"},
        {"limit": "-1"},
        {"order": "sideways"},
        {"unknown": "1"},
        {"after": "9" * 30},
        {"until_time": "yesterday"},
        {"until_time": "2026-01-01T00:00:00"},
        [("after", "1"), ("after", "2")],
        {"stream": "a\0b"},
    ],
)
def test_a_wrong_parameter_is_named(http: httpx2.Client, project: str, query: object) -> None:
    answer = http.get(path(project), params=query)  # type: ignore[arg-type]  # both forms are taken
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-parameter")


@pytest.fixture
def filled(http: httpx2.Client, project: str) -> str:
    """Positions 2 … 11: documents of two artifacts in turn."""
    for number in range(5):
        assert append(
            http,
            project,
            {**DOCUMENT, "content": f"{number}"},
            {**DOCUMENT, "stream": "artifact/PRD/other", "content": f"{number}!"},
        ).is_success
    return project


def positions(events: list[dict[str, int]]) -> list[int]:
    return [one["position"] for one in events]


def test_pages_lead_through_the_whole_log(http: httpx2.Client, filled: str) -> None:
    found: list[int] = []
    after: int | None = 0
    while after is not None:
        page = http.get(path(filled), params={"after": after, "limit": 4}).json()
        found += positions(page["events"])
        after = page["next"]
    assert found == list(range(1, 12))
    newest = http.get(path(filled), params={"order": "desc", "limit": 3}).json()
    assert positions(newest["events"]) == [11, 10, 9]
    older = http.get(
        path(filled), params={"order": "desc", "limit": 3, "after": newest["next"]}
    ).json()
    assert positions(older["events"]) == [8, 7, 6]


def test_a_page_takes_filters(http: httpx2.Client, filled: str) -> None:
    of_stream = http.get(path(filled), params={"stream": "artifact/PRD/other"}).json()
    assert positions(of_stream["events"]) == [3, 5, 7, 9, 11]
    of_type = http.get(path(filled), params={"type": "ProjectCreated"}).json()
    assert positions(of_type["events"]) == [1]
    of_nobody = http.get(path(filled), params={"actor": "nobody"}).json()
    assert of_nobody["events"] == []
    before = http.get(path(filled), params={"until_time": "2000-01-01T00:00:00Z"}).json()
    assert before["events"] == []
    at = http.get(path(filled), params={"at": 4}).json()
    assert positions(at["events"]) == [1, 2, 3, 4]


def test_a_replay_is_the_stored_bytes_and_says_that_it_is_whole(
    served: Served, http: httpx2.Client, filled: str
) -> None:
    answer = http.get(path(filled), headers=NDJSON)
    *lines, end, rest = answer.content.split(b"\n")
    assert rest == b""
    assert json.loads(end) == {"end": True, "position": 11}
    assert lines == [entry.line for entry in served.ledger.log.read(filled, 0, 11)]
    part = http.get(path(filled), params={"after": 3, "until": 5}, headers=NDJSON)
    assert part.content.split(b"\n")[:-2] == lines[3:5]
    some = http.get(
        path(filled), params={"order": "desc", "limit": 2}, headers=NDJSON
    ).content.split(b"\n")[:-2]
    assert some == [lines[10], lines[9]]
    filtered = http.get(path(filled), params={"stream": "artifact/PRD/main"}, headers=NDJSON)
    assert filtered.content.split(b"\n")[:-2] == lines[1:11:2]


def test_a_replay_of_nothing_has_only_its_end(http: httpx2.Client, project: str) -> None:
    answer = http.get(path(project), params={"after": 1}, headers=NDJSON)
    assert answer.content == b'{"end":true,"position":1}\n'


class Followed:
    """Server-sent events, read one at a time."""

    def __init__(self, response: httpx2.Response) -> None:
        self._lines: Iterator[str] = response.iter_lines()

    def next(self) -> dict[str, str]:
        """The fields of the next event that has data."""
        fields: dict[str, str] = {}
        for line in self._lines:
            if not line and "data" in fields:
                return fields
            name, _, value = line.partition(": ")
            if name:
                fields[name] = value
        return fields


def test_following_catches_up_and_goes_on_without_a_gap(http: httpx2.Client, filled: str) -> None:
    with http.stream("GET", path(filled), headers=SSE) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        followed = Followed(response)
        seen = [int(followed.next()["id"]) for _ in range(11)]
        append(http, filled, DOCUMENT)
        last = followed.next()
    assert [*seen, int(last["id"])] == list(range(1, 13))
    assert json.loads(last["data"])["position"] == 12


def test_following_goes_on_after_the_last_event_seen(http: httpx2.Client, filled: str) -> None:
    with http.stream("GET", path(filled), headers={**SSE, "Last-Event-ID": "9"}) as response:
        assert Followed(response).next()["id"] == "10"
    with http.stream("GET", path(filled), params={"after": 10}, headers=SSE) as response:
        assert Followed(response).next()["id"] == "11"


def test_following_can_be_for_one_stream(http: httpx2.Client, filled: str) -> None:
    query = {"stream": "artifact/PRD/other", "after": "9"}
    with http.stream("GET", path(filled), params=query, headers=SSE) as response:
        followed = Followed(response)
        assert followed.next()["id"] == "11"
        append(http, filled, DOCUMENT, {**DOCUMENT, "stream": "artifact/PRD/other"})
        assert followed.next()["id"] == "13"


def test_many_followers_hold_neither_a_connection_nor_a_thread(
    served: Served, http: httpx2.Client, project: str
) -> None:
    started = threading.Barrier(51)
    seen: list[int] = []

    def follow() -> None:
        with (
            served.client() as client,
            client.stream("GET", path(project), params={"after": 1}, headers=SSE) as response,
        ):
            started.wait(30)
            seen.append(int(Followed(response).next()["id"]))

    threads = [threading.Thread(target=follow) for _ in range(50)]
    for thread in threads:
        thread.start()
    started.wait(30)
    assert append(http, project, DOCUMENT).status_code == 201
    for thread in threads:
        thread.join(30)
    assert seen == [2] * 50
