"""Searching over HTTP: what is found, in which order, what is never shown, and what a bad query gets."""

import socket
from contextlib import suppress
from urllib.parse import quote, urlsplit

import httpx2
import pytest

from adapters.search import local_search
from domain.search import MAX_QUERY_CHARACTERS
from tests.serving import Served

RUN = "20261126-search"


def write(http: httpx2.Client, project: str, key: str, content: str, **more: object) -> None:
    made = http.post(
        f"/v1/projects/{project}/artifacts/PRD/{key}/versions", json={"content": content, **more}
    )
    assert made.status_code == 201, made.text


def index(served: Served) -> None:
    """Have everything indexed that is due: what the follower does beside a service."""
    while served.ledger.index_jobs.catch_up():
        pass


def ask(http: httpx2.Client, project: str, query: str, **more: str | int) -> dict[str, object]:
    found = http.get(
        f"/v1/projects/{project}/search", params={"q": query, "mode": "lexical", **more}
    )
    assert found.status_code == 200, found.text
    members: dict[str, object] = found.json()
    return members


def keys(answer: dict[str, object]) -> list[str]:
    hits = answer["hits"]
    assert isinstance(hits, list)
    return [hit["key"] for hit in hits]


def test_what_was_written_is_found_with_its_passage_marked(
    served: Served, http: httpx2.Client, project: str
) -> None:
    write(
        http, project, "retries", "# Client\n\n## Retrying\n\nA failed upload is retried twice.\n"
    )
    write(http, project, "colours", "# Design\n\nThe page is blue.\n")
    index(served)
    answer = ask(http, project, "retry an upload")
    assert keys(answer) == ["retries"]
    hits = answer["hits"]
    assert isinstance(hits, list)
    [hit] = hits
    assert (hit["rank"], hit["kind"], hit["version"], hit["title"]) == (1, "PRD", 1, "Client")
    assert hit["stream"] == "artifact/PRD/retries"
    assert hit["passage"]["heading"] == ["Retrying"]
    shown = hit["passage"]["snippet"]
    marked = [shown[first:stop] for first, stop in hit["passage"]["marks"]]
    assert marked == ["Retrying", "upload", "retried"]
    assert answer["indexed_position"] == answer["position"] == 3
    assert answer["degraded"] is False
    assert answer["warnings"] == []


def test_only_the_newest_version_is_found(
    served: Served, http: httpx2.Client, project: str
) -> None:
    write(http, project, "main", "The zebra.\n")
    index(served)
    write(http, project, "main", "The giraffe.\n")
    answer = ask(http, project, "zebra")
    assert keys(answer) == []
    assert answer["warnings"] == ["index-behind"]
    assert (answer["indexed_position"], answer["position"]) == (2, 3)
    index(served)
    assert keys(ask(http, project, "zebra")) == []
    assert keys(ask(http, project, "giraffe")) == ["main"]


def test_what_was_erased_is_gone_from_the_index_in_the_same_moment(
    served: Served, http: httpx2.Client, project: str
) -> None:
    write(http, project, "main", "The word is sesame.\n")
    index(served)
    target = {"kind": "PRD", "key": "main"}
    shown = http.post(f"/v1/projects/{project}/erasures/preview", json=target).json()
    erased = http.post(
        f"/v1/projects/{project}/erasures",
        json={**target, "reason": "leaked", "confirm": shown["confirm"] or ""},
    )
    assert erased.status_code == 201, erased.text
    left = "SELECT FROM search_chunk WHERE project_id = %s"
    assert served.execute(left, project) == 0
    assert served.execute("SELECT FROM search_posting WHERE project_id = %s", project) == 0
    assert keys(ask(http, project, "sesame")) == []
    index(served)
    assert keys(ask(http, project, "sesame")) == []
    assert served.execute(left, project) == 0


def test_an_index_that_lags_never_shows_what_was_erased(
    served: Served, http: httpx2.Client, project: str
) -> None:
    """As an index outside would: its chunks are still there when the content is gone."""
    write(http, project, "main", "The word is sesame.\n")
    index(served)
    kept = "CREATE TABLE kept AS SELECT * FROM search_chunk WHERE project_id = %s"
    served.execute(kept, project)
    served.execute(
        "CREATE TABLE kept_posting AS SELECT * FROM search_posting WHERE project_id = %s", project
    )
    try:
        target = {"kind": "PRD", "key": "main"}
        shown = http.post(f"/v1/projects/{project}/erasures/preview", json=target).json()
        http.post(
            f"/v1/projects/{project}/erasures",
            json={**target, "reason": "leaked", "confirm": shown["confirm"] or ""},
        )
        served.execute("INSERT INTO search_chunk OVERRIDING SYSTEM VALUE SELECT * FROM kept")
        served.execute("INSERT INTO search_posting SELECT * FROM kept_posting")
        assert keys(ask(http, project, "sesame")) == []
    finally:
        served.execute("DROP TABLE kept, kept_posting")


def test_an_identifier_alone_finds_the_thing_that_is_called_so_first(
    served: Served, http: httpx2.Client, project: str
) -> None:
    mentions = "FR-014 and again FR-014, as FR-014 says: FR-014.\n"
    write(http, project, "chatter", mentions)
    write(http, project, "FR-014", "# Drafts\n\nAn author may leave and come back.\n")
    write(http, project, "other", "# FR-015 Live view\n\nSee FR-014.\n")
    index(served)
    assert keys(ask(http, project, "FR-014"))[0] == "FR-014"
    assert keys(ask(http, project, "fr-015"))[0] == "other"
    assert keys(ask(http, project, "FR-014 FR-014 says"))[0] == "chatter"


def test_kinds_choose_among_what_was_found(
    served: Served, http: httpx2.Client, project: str
) -> None:
    write(
        http,
        project,
        "main",
        "Sesame opens.\n",
        citations=[{"title": "Sesame seeds", "url": "https://example.org/"}],
    )
    index(served)
    answer = ask(http, project, "sesame", kind="CITATION")
    hits = answer["hits"]
    assert isinstance(hits, list)
    assert [hit["kind"] for hit in hits] == ["CITATION"]
    assert keys(ask(http, project, "sesame", kind="PRD")) == ["main"]
    assert keys(ask(http, project, "sesame", kind="ADR")) == []


def record(http: httpx2.Client, project: str, kind: str, said: str = "", **data: object) -> None:
    event: dict[str, object] = {"stream": f"run/{RUN}", "type": kind, "data": data}
    if said:
        event["content"] = said
    made = http.post(f"/v1/projects/{project}/events", json={"events": [event]})
    assert made.status_code == 201, made.text


def test_runs_commits_and_transcripts_are_found(
    served: Served, http: httpx2.Client, project: str
) -> None:
    commit = "4f2a9c07d1e8b3a65f0c9d8e7b6a5948372615f0"
    record(http, project, "RunCreated", title="Teach it to swim", artifacts=[], head_commit=commit)
    record(http, project, "RunStarted")
    record(
        http,
        project,
        "TranscriptRecorded",
        "\x1b[31mThe walrus\x1b[0m was not fed.\n",
        command=["make", "feed"],
        exit_code=2,
        duration_ms=5,
        content={"media_type": "text/plain"},
    )
    index(served)
    assert keys(ask(http, project, "swim")) == [RUN]
    assert keys(ask(http, project, RUN)) == [RUN]
    assert keys(ask(http, project, commit)) == [RUN]
    assert keys(ask(http, project, commit[:8])) == [RUN]
    answer = ask(http, project, "walrus")
    hits = answer["hits"]
    assert isinstance(hits, list)
    [hit] = hits
    assert hit["kind"] == "TRANSCRIPT"
    assert hit["passage"]["snippet"] == "The walrus was not fed."


def test_a_project_is_never_searched_for_another(
    served: Served, http: httpx2.Client, project: str
) -> None:
    http.post("/v1/projects", json={"slug": f"{project}-b", "title": "Another"})
    write(http, project, "main", "quokka\n")
    write(http, f"{project}-b", "theirs", "quokka\n")
    index(served)
    assert keys(ask(http, project, "quokka")) == ["main"]
    two = served.limited("events:read", projects=(project, f"{project}-b"))
    with served.client(two) as limited:
        both = limited.get("/v1/search", params={"q": "quokka", "mode": "lexical"}).json()
    assert {hit["project"] for hit in both["hits"]} == {project, f"{project}-b"}
    one = served.limited("events:read", projects=(project,))
    with served.client(one) as limited:
        seen = limited.get("/v1/search", params={"q": "quokka", "mode": "lexical"}).json()
        assert [hit["project"] for hit in seen["hits"]] == [project]
        for path in (
            f"/v1/projects/{project}-b/search?q=quokka",
            f"/v1/search?q=a&project={project}-b",
        ):
            refused = limited.get(path)
            assert (refused.status_code, refused.json()["code"]) == (403, "project-forbidden")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "query-invalid"),
        ("   ", "query-invalid"),
        ("the and of", "query-invalid"),
        ("!?", "query-invalid"),
        ('"', "query-invalid"),
        ("x" * (MAX_QUERY_CHARACTERS + 1), "query-invalid"),
        ("a\0b", "invalid-parameter"),  # as in every parameter
        ("a\x1bb", "query-invalid"),
    ],
)
def test_a_bad_query_is_a_problem_and_no_empty_list(
    http: httpx2.Client, project: str, query: str, code: str
) -> None:
    answer = http.get(f"/v1/projects/{project}/search?q={quote(query)}&mode=lexical")
    assert answer.status_code in {400, 422}
    assert answer.json()["code"] == code
    if code == "query-invalid":
        assert answer.json()["errors"][0]["pointer"] == "/q"


@pytest.mark.parametrize(
    "query",
    [
        "' OR 1=1 --",
        'artifactKind = "PRD" OR projectId GLOB "*"',
        "x') UNION SELECT * FROM api_token --",
        "zebra%",
        "zebra\\",
        "zebra'",
    ],
)
def test_what_looks_like_a_filter_is_words(
    served: Served, http: httpx2.Client, project: str, query: str
) -> None:
    write(http, project, "main", "The zebra.\n")
    index(served)
    answer = ask(http, project, query)
    assert keys(answer) == (["main"] if "zebra" in query else [])


def test_ten_megabytes_of_query_are_refused_before_they_are_read(
    served: Served, project: str
) -> None:
    address = urlsplit(served.url)
    assert address.hostname is not None
    with socket.create_connection((address.hostname, address.port or 0), timeout=20) as connection:
        connection.sendall(f"GET /v1/projects/{project}/search?q=".encode())
        with suppress(ConnectionError):  # it is closed while more is on its way
            for _ in range(160):
                connection.sendall(b"a" * 65_536)
        with suppress(ConnectionError):
            assert connection.recv(64).split(b"\r\n")[0].endswith(b"400 Bad Request")


def test_what_is_not_asked_rightly_is_said(http: httpx2.Client, project: str) -> None:
    path = f"/v1/projects/{project}/search"
    for params, code in (
        ({"q": "a", "mode": "magic"}, "invalid-parameter"),
        ({"q": "zebra", "limit": "0"}, "query-invalid"),
        ({"q": "zebra", "limit": "51"}, "query-invalid"),
        ({"q": "zebra", "at": "9"}, "position-in-the-future"),
        ({"q": "zebra", "colour": "red"}, "invalid-parameter"),
    ):
        assert http.get(path, params=params).json()["code"] == code, params
    nowhere = http.get("/v1/projects/nowhere/search", params={"q": "zebra"})
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "project-not-found")


def test_the_past_cannot_be_searched_and_the_present_can(
    served: Served, http: httpx2.Client, project: str
) -> None:
    write(http, project, "main", "The zebra.\n")
    index(served)
    assert keys(ask(http, project, "zebra", at=2)) == ["main"]
    past = http.get(f"/v1/projects/{project}/search", params={"q": "zebra", "at": 1})
    assert (past.status_code, past.json()["code"]) == (422, "search-past-position")


def test_without_a_model_an_answer_says_that_it_was_by_words(
    served: Served, http: httpx2.Client, project: str
) -> None:
    write(http, project, "main", "The zebra.\n")
    index(served)
    hybrid = ask(http, project, "zebra", mode="hybrid")
    assert keys(hybrid) == ["main"]
    assert (hybrid["mode"], hybrid["degraded"]) == ("lexical", True)
    assert hybrid["warnings"] == ["embedder-missing"]
    refused = http.get(f"/v1/projects/{project}/search", params={"q": "zebra", "mode": "semantic"})
    assert (refused.status_code, refused.json()["code"]) == (422, "semantic-unavailable")


def test_the_state_of_the_index_is_shown_and_worked_at(
    served: Served, http: httpx2.Client, project: str
) -> None:
    write(http, project, "main", "The zebra.\n")
    path = f"/v1/projects/{project}/search"
    before = http.get(f"{path}/status").json()["backends"][0]
    assert (before["position"], before["indexed_position"], before["chunks"]) == (2, 0, 0)
    index(served)
    after = http.get(f"{path}/status").json()
    [local] = after["backends"]
    assert (local["backend"], local["indexed_position"]) == ("local", 2)
    assert (local["chunks"], local["sources"], local["pending"]) == (1, 1, 0)
    assert after["semantic"] is False
    assert after["reasons"]
    assert http.post(f"{path}/reindex").json() == {"sources": 1}
    assert http.get(f"{path}/status").json()["backends"][0]["pending"] == 1
    assert keys(ask(http, project, "zebra")) == ["main"]  # what is there can be found meanwhile
    index(served)
    assert http.get(f"{path}/status").json()["backends"][0]["pending"] == 0


def test_reconciling_mends_what_was_changed_by_hand(
    served: Served, http: httpx2.Client, project: str
) -> None:
    write(http, project, "one", "The zebra.\n")
    write(http, project, "two", "The zebra crossing.\n")
    index(served)
    served.execute("SELECT search_forget(%s, ARRAY['artifact/PRD/one'])", project)
    served.execute(
        "UPDATE search_chunk SET source = 'artifact/PRD/ghost' WHERE project_id = %s", project
    )
    path = f"/v1/projects/{project}/search"
    found = http.post(f"{path}/reconcile").json()
    assert (found["missing"], found["stale"]) == (2, 1)
    index(served)
    assert sorted(keys(ask(http, project, "zebra"))) == ["one", "two"]
    again = http.post(f"{path}/reconcile").json()
    assert (again["sources"], again["missing"], again["stale"]) == (2, 0, 0)


def test_only_an_administrator_works_at_the_index(served: Served, project: str) -> None:
    with served.client(served.limited("events:read", projects=(project,))) as reader:
        assert reader.get(f"/v1/projects/{project}/search/status").status_code == 200
        for what in ("reindex", "retry", "reconcile"):
            refused = reader.post(f"/v1/projects/{project}/search/{what}")
            assert refused.json()["code"] == "insufficient-scope", what


def write_animals(served: Served, http: httpx2.Client, project: str) -> None:
    for number in range(12):
        rare = " The zebra." if number % 4 == 0 else ""
        text = f"Page {number} {'upload ' * (number + 1)}and {'queue ' * (12 - number)}.{rare}\n"
        write(http, project, f"n{number}", text)
    index(served)


def test_in_a_large_index_rare_terms_lead_and_frequent_ones_rank_what_they_led_to(
    served: Served, http: httpx2.Client, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_animals(served, http, project)
    exact = keys(ask(http, project, "zebra upload", limit=20))
    assert exact[0] == "n8"
    assert len(exact) == 12
    monkeypatch.setattr(local_search, "EXACT_CHUNKS", 0)
    assert keys(ask(http, project, "zebra upload", limit=20)) == exact
    monkeypatch.setattr(local_search, "RARE_POSTINGS", 5)
    monkeypatch.setattr(local_search, "ENOUGH_POSTINGS", 1)
    led = keys(ask(http, project, "zebra upload", limit=20))
    assert led == [key for key in exact if key in {"n0", "n4", "n8"}]
    assert keys(ask(http, project, "upload", limit=20)) == keys(
        ask(http, project, "upload upload", limit=20)
    )


def test_in_a_large_index_a_term_more_leads_where_the_rare_ones_stand_in_too_few(
    served: Served, http: httpx2.Client, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_animals(served, http, project)
    exact = keys(ask(http, project, "zebra upload queue", limit=20))
    monkeypatch.setattr(local_search, "EXACT_CHUNKS", 0)
    monkeypatch.setattr(local_search, "RARE_POSTINGS", 1)
    monkeypatch.setattr(local_search, "ENOUGH_POSTINGS", 4)
    assert keys(ask(http, project, "zebra upload queue", limit=20)) == exact
    monkeypatch.setattr(local_search, "LED_CHUNKS", 2)
    assert len(keys(ask(http, project, "zebra upload queue", limit=20))) == 2


def test_the_numbers_for_monitoring_name_no_project(
    served: Served, http: httpx2.Client, project: str
) -> None:
    write(http, project, "main", "The zebra.\n")
    index(served)
    ask(http, project, "zebra")
    ask(http, project, "zebra", mode="hybrid")
    answer = http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert 'search_query_seconds_count{backend="postgres",mode="lexical"}' in answer.text
    assert 'search_degraded_total{reason="embedder-missing"}' in answer.text
    # The ledger is that of other tests too, which may have left something that cannot be indexed.
    assert 'search_index_lag_positions{backend="local"} ' in answer.text
    assert 'search_index_lag_seconds{backend="local"} ' in answer.text
    assert project not in answer.text
    with served.client("") as nobody:
        assert nobody.get("/metrics").status_code == 401
