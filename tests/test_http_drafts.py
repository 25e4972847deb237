"""Drafts over HTTP: written at an offset, kept through lost connections, committed once, or discarded."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx2
import psycopg
import pytest

from adapters.postgres_connect import UNREACHABLE, open_pool
from adapters.postgres_drafts import PostgresDrafts
from app.http.drafts import TEXT
from domain.draft import MAX_DRAFT_BYTES, MAX_OPEN_DRAFTS
from domain.errors import Unavailable
from domain.log import Append, Receipt
from tests.cutting_proxy import cutting_proxy
from tests.draft_samples import ARTIFACT, Drafted, code, new_id, opened
from tests.log_samples import eventually
from tests.serving import Served

WAITING = """
    SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE NOT granted AND datname = current_database()
"""


def size(served: Served, project: str) -> int:
    return served.ledger.log.head(project).size


def test_a_draft_is_written_piece_by_piece_and_becomes_a_version(
    served: Served, http: httpx2.Client, project: str
) -> None:
    draft = Drafted(http, project)
    made = draft.open(title="A plan")
    assert made.status_code == 201
    assert made.headers["location"] == draft.path
    assert made.headers["upload-offset"] == "0"
    assert (made.json()["state"], made.json()["offset"]) == ("open", 0)
    assert draft.write("").headers["upload-offset"] == "0"
    first = draft.write("# A pl")
    assert (first.status_code, first.content) == (204, b"")
    assert first.headers["upload-offset"] == "6"
    draft.write("an\n\nÆther.\n")
    assert draft.offset() == 18
    assert draft.content() == "# A plan\n\nÆther.\n"
    assert size(served, project) == 1, "an unfinished draft is no part of the log"

    committed = draft.commit("# A plan\n\nÆther.\n")
    assert committed.status_code == 201
    version = http.get(committed.headers["location"])
    assert version.json()["title"] == "A plan"
    content = http.get(committed.headers["location"] + "/content")
    assert content.text == "# A plan\n\nÆther.\n"
    assert content.headers["content-type"].startswith("text/markdown")
    assert size(served, project) == 2
    assert http.get(draft.path).json()["version"] == 1
    assert draft.content() == content.text


def test_a_commit_that_is_repeated_gives_the_same_version(
    served: Served, http: httpx2.Client, project: str
) -> None:
    draft = opened(http, project)
    draft.write("One\n")
    first = draft.commit("One\n", **{"If-None-Match": "*"})
    again = draft.commit("One\n", **{"If-None-Match": "*"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == {**first.json(), "replayed": True}
    assert size(served, project) == 2
    assert code(draft.commit("Two\n")) == (422, "digest-mismatch")
    assert code(draft.write("more")) == (409, "draft-committed")
    assert code(http.delete(draft.path)) == (409, "draft-committed")
    second = opened(http, project)
    second.write("Two\n")
    assert second.commit().json()["version"] == 2


def test_a_commit_whose_answer_was_lost_is_found_in_the_log(
    served: Served, http: httpx2.Client, project: str
) -> None:
    draft = opened(http, project)
    draft.write("One\n")
    first = draft.commit().json()
    # A crash between the append and the note of it.
    served.execute(
        "UPDATE draft SET state = 'committing', version = NULL WHERE draft_id = %s", draft.id
    )
    assert code(draft.write("more", 4)) == (409, "draft-committing")
    assert code(http.delete(draft.path)) == (409, "draft-committing")
    again = draft.commit("One\n", **{"If-Match": '"0"'})
    assert (again.status_code, again.json()["version"]) == (200, first["version"])
    assert size(served, project) == 2
    assert http.get(draft.path).json()["state"] == "committed"


def test_a_commit_that_was_begun_and_never_recorded_is_made_by_its_repeat(
    served: Served, http: httpx2.Client, project: str
) -> None:
    draft = opened(http, project)
    draft.write("One\n")
    append = served.ledger.log.append

    def away(request: object) -> object:
        raise Unavailable("outcome-unknown", "Nobody knows.")

    served.ledger.log.append = away  # type: ignore[method-assign, assignment]
    try:
        assert code(draft.commit()) == (503, "outcome-unknown")
    finally:
        served.ledger.log.append = append  # type: ignore[method-assign]
    assert http.get(draft.path).json()["state"] == "committing"
    assert code(draft.write("more", 4)) == (409, "draft-committing")
    assert draft.commit().json()["version"] == 1
    assert size(served, project) == 2


def test_of_two_who_commit_differently_the_refused_one_does_not_open_what_was_recorded(
    served: Served, http: httpx2.Client, project: str
) -> None:
    draft = opened(http, project)
    draft.write("One\n")
    append = served.ledger.log.append

    def second(request: Append) -> Receipt:
        """The other one is faster."""
        served.ledger.log.append = append  # type: ignore[method-assign]
        cited = {"citations": [{"url": "https://example.com/a", "title": "A"}]}
        assert http.post(f"{draft.path}/commit", json=cited).status_code == 201
        served.execute(
            "UPDATE draft SET state = 'committing', version = NULL WHERE draft_id = %s", draft.id
        )
        return append(request)

    served.ledger.log.append = second  # type: ignore[method-assign]
    assert code(draft.commit()) == (409, "event-id-conflict")
    assert code(draft.write("more", 4)) == (409, "draft-committing")
    assert draft.commit().json()["version"] == 1
    assert size(served, project) == 2


def test_what_a_commit_refuses_leaves_the_draft_open_and_whole(
    served: Served, http: httpx2.Client, project: str
) -> None:
    draft = opened(http, project)
    draft.write("As [said](citation:1)\n")
    assert code(draft.commit("Something else")) == (422, "digest-mismatch")
    assert code(draft.commit()) == (422, "citation-unresolved")
    assert draft.write("and more\n").status_code == 204
    cited = {"citations": [{"url": "https://example.com/a", "title": "A"}]}
    stale = http.post(f"{draft.path}/commit", json=cited, headers={"If-Match": '"3"'})
    assert code(stale) == (412, "version-conflict")
    assert http.post(f"{draft.path}/commit", json=cited).status_code == 201
    assert draft.content() == "As [said](citation:1)\nand more\n"
    assert size(served, project) == 2


def test_a_secret_in_a_draft_does_not_get_into_the_log(
    served: Served, http: httpx2.Client, project: str
) -> None:
    draft = opened(http, project)
    draft.write("key: AKIA")
    draft.write("Z7QN3XWLM2KPRT5V\n")
    assert code(draft.commit()) == (422, "secret-detected")
    assert size(served, project) == 1
    http.patch(f"/v1/projects/{project}/policy", json={"secrets": "replace"})
    made = draft.commit("key: AKIAZ7QN3XWLM2KPRT5V\n")
    assert made.status_code == 201
    assert made.json()["redactions"][0]["pointer"] == "/content"
    assert "AKIAZ7" not in draft.content()


def test_an_answer_that_was_lost_is_asked_for_and_writing_goes_on_at_the_right_byte(
    served: Served, http: httpx2.Client, project: str
) -> None:
    draft = opened(http, project)
    parts = urlsplit(served.url)
    head = (
        f"PATCH {draft.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {served.token}\r\n"
        "Content-Type: text/plain\r\nUpload-Offset: {}\r\nContent-Length: 9\r\n\r\n"
    )
    with socket.create_connection((str(parts.hostname), parts.port or 0), 10) as connection:
        connection.sendall(head.format(0).encode() + b"Half")  # and the line drops
    assert draft.offset() == 0, "nothing of a piece that did not come whole is written"
    with socket.create_connection((str(parts.hostname), parts.port or 0), 10) as connection:
        connection.sendall(head.format(0).encode() + b"Half and ")
        connection.recv(1)  # written, and nobody reads the answer
    at = draft.offset()
    assert at == 9
    draft.write(b"Half and half"[at:], at)
    assert draft.content() == "Half and half"


def test_a_piece_that_is_written_though_its_answer_was_lost_is_there(
    served: Served, http: httpx2.Client, project: str
) -> None:
    draft = opened(http, project)
    with (
        cutting_proxy(served.database_url) as proxy,
        open_pool(proxy.url, max_size=1, pooled=False) as pool,
    ):
        store = PostgresDrafts(pool)
        assert store.find(project, draft.id) is not None
        cut = proxy.cut(b"COMMIT", "answer-lost")
        with pytest.raises(UNREACHABLE):
            store.append(project, draft.id, 0, b"Persisted")
        assert cut.delivered.is_set()
    assert draft.offset() == 9
    assert code(draft.write("Persisted", 0)) == (409, "offset-mismatch")
    assert draft.content() == "Persisted"


def test_of_two_who_write_at_the_same_offset_one_is_refused_and_told_where_it_ends(
    served: Served, http: httpx2.Client, project: str
) -> None:
    draft = opened(http, project)
    start = threading.Barrier(4)

    def write(text: str) -> httpx2.Response:
        with served.client() as client:
            start.wait(10)
            return draft.through(client).write(text, 0)

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(write, ["aaaa", "bbbb", "cccc", "dddd"]))
    [won] = [one for one in answers if one.status_code == 204]
    assert won.headers["upload-offset"] == "4"
    lost = [one for one in answers if one.status_code != 204]
    assert [code(one) for one in lost] == [(409, "offset-mismatch")] * 3
    assert {one.json()["current_offset"] for one in lost} == {4}
    assert len(set(draft.content())) == 1


def test_who_writes_waits_for_who_is_writing_and_then_looks_again(
    served: Served, http: httpx2.Client, project: str
) -> None:
    draft = opened(http, project)
    with (
        psycopg.connect(served.database_url) as other,
        ThreadPoolExecutor(1) as thread,
    ):
        other.execute("UPDATE draft SET size_bytes = 4 WHERE draft_id = %s", (draft.id,))
        writing = thread.submit(draft.write, "mine", 0)
        eventually(lambda: served.execute(WAITING) > 0)
        other.commit()
        assert code(writing.result(30)) == (409, "offset-mismatch")


def test_an_artifact_has_one_open_draft_and_a_repeat_gets_its_own(
    http: httpx2.Client, project: str
) -> None:
    own = new_id()
    draft = opened(http, project, id=own)
    draft.write("text")
    again = Drafted(http, project).open(id=own)
    assert (again.status_code, again.json()["id"], again.json()["offset"]) == (200, own, 4)
    other = Drafted(http, project).open()
    assert code(other) == (409, "draft-open")
    assert (other.json()["draft"], other.json()["current_offset"]) == (own, 4)
    assert Drafted(http, project, "PRD/other").open().status_code == 201
    assert http.delete(draft.path).status_code == 204
    assert code(Drafted(http, project).open(id=own)) == (410, "draft-discarded")
    assert Drafted(http, project).open().status_code == 201


def test_who_opens_a_draft_while_the_open_one_is_closed_may_repeat_it(
    served: Served, http: httpx2.Client, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(http, project)
    monkeypatch.setattr(served.ledger.drafts, "listed", lambda *_: [])
    refused = Drafted(http, project).open()
    assert code(refused) == (409, "draft-open")
    assert "repeat" in refused.json()["detail"]


def test_a_draft_that_is_cleared_away_meanwhile_is_not_found(
    served: Served, http: httpx2.Client, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = opened(http, project)
    known = served.ledger.drafts.find(project, draft.id)
    served.execute("DELETE FROM draft WHERE draft_id = %s", draft.id)
    monkeypatch.setattr(served.ledger.drafts, "find", lambda *_: known)
    assert code(draft.write("x", 0)) == (404, "draft-not-found")


def test_of_many_who_open_a_draft_at_once_one_does(served: Served, project: str) -> None:
    start = threading.Barrier(4)

    def open_one(_: int) -> int:
        with served.client() as client:
            start.wait(10)
            return Drafted(client, project).open().status_code

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(open_one, range(4))) == [201, 409, 409, 409]


def test_a_discarded_draft_is_gone_with_its_text(
    served: Served, http: httpx2.Client, project: str
) -> None:
    draft = opened(http, project)
    draft.write("Never mind")
    assert http.delete(draft.path).status_code == 204
    assert http.delete(draft.path).status_code == 204
    assert code(draft.write("more", 10)) == (410, "draft-discarded")
    assert code(draft.commit()) == (410, "draft-discarded")
    assert code(http.get(draft.path)) == (410, "draft-discarded")
    assert code(http.get(f"{draft.path}/content")) == (410, "draft-discarded")
    assert served.execute("SELECT FROM draft_text WHERE project_id = %s", project) == 0
    assert size(served, project) == 1


def test_a_committed_draft_keeps_no_copy_of_its_text(
    served: Served, http: httpx2.Client, project: str
) -> None:
    draft = opened(http, project)
    draft.write("Once")
    draft.commit()
    assert served.execute("SELECT FROM draft_text WHERE project_id = %s", project) == 0


def test_drafts_are_listed_by_artifact_and_by_project(http: httpx2.Client, project: str) -> None:
    done = opened(http, project)
    done.commit()
    draft = opened(http, project, media_type="text/plain", title="Second")
    draft.write("abc")
    [newest, oldest] = http.get(draft.drafts).json()["drafts"]
    assert (newest["id"], newest["state"], newest["offset"]) == (draft.id, "open", 3)
    assert (newest["title"], newest["media_type"], newest["actor"]) == (
        "Second", "text/plain", "token:admin",
    )  # fmt: skip
    assert (oldest["state"], oldest["version"]) == ("committed", 1)
    listed = http.get(f"/v1/projects/{project}/drafts").json()["drafts"]
    assert [one["id"] for one in listed] == [draft.id]
    assert http.get("/v1/projects/absent/drafts").status_code == 404


def test_a_character_may_come_in_two_pieces_but_not_be_left_half(
    http: httpx2.Client, project: str
) -> None:
    draft = opened(http, project)
    draft.write("日".encode()[:2])
    half = draft.commit()
    assert code(half) == (422, "validation-failed")
    assert "at offset 0" in half.json()["detail"]
    draft.write("日".encode()[2:])
    assert draft.commit("日").status_code == 201


@pytest.mark.parametrize(
    ("piece", "refusal", "place"),
    [
        (b"a\0b", (422, "nul-character"), "offset 3"),
        (b"a\xffb", (422, "validation-failed"), "offset 3"),
        (b"\xed\xa0\x80", (422, "validation-failed"), "offset 2"),
        (b"x" * (MAX_DRAFT_BYTES - 1), (413, "body-too-large"), str(MAX_DRAFT_BYTES)),
        (b"x" * (MAX_DRAFT_BYTES + 1), (413, "body-too-large"), str(MAX_DRAFT_BYTES)),
    ],
    ids=["NUL", "not UTF-8", "half a surrogate pair", "too long", "a body too large"],
)
def test_what_is_no_text_is_refused_at_once_with_its_place(
    http: httpx2.Client, project: str, piece: bytes, refusal: tuple[int, str], place: str
) -> None:
    draft = opened(http, project)
    draft.write("ok")
    refused = draft.write(piece)
    assert code(refused) == refusal
    assert place in refused.json()["detail"]
    assert draft.content() == "ok"


def test_a_whole_text_can_come_in_one_request_of_unknown_length(
    http: httpx2.Client, project: str
) -> None:
    draft = opened(http, project)
    text = "Zeile – eins\n" * 1_000
    pieces = (text.encode()[at : at + 7] for at in range(0, len(text.encode()), 7))
    sent = http.patch(draft.path, content=pieces, headers={"Upload-Offset": "0"})
    assert sent.status_code == 204
    assert draft.content() == text
    assert TEXT.max_bytes == MAX_DRAFT_BYTES


@pytest.mark.parametrize("given", [None, "", "x", "-1", "01", "+1", "1.0", "²", "1" * 19])
def test_an_offset_is_a_number_and_is_always_said(
    http: httpx2.Client, project: str, given: str | None
) -> None:
    draft = opened(http, project)
    headers = [] if given is None else [(b"Upload-Offset", given.encode())]
    answer = http.patch(draft.path, content=b"x", headers=headers)
    assert code(answer) == (400, "invalid-parameter")


@pytest.mark.parametrize(
    ("artifact", "given"),
    [
        ("prd/main", {}),
        (ARTIFACT, {"media_type": "Text/Markdown"}),
        (ARTIFACT, {"title": "x" * 301}),
        (ARTIFACT, {"id": "1"}),
        (ARTIFACT, {"text": "no"}),
    ],
)
def test_a_draft_that_could_never_be_a_version_is_not_opened(
    http: httpx2.Client, project: str, artifact: str, given: dict[str, object]
) -> None:
    refused = Drafted(http, project, artifact).open(**given)
    assert code(refused) == (422, "validation-failed")
    assert http.get(f"/v1/projects/{project}/drafts").json() == {"drafts": []}


def test_a_draft_is_found_under_its_own_artifact_only(http: httpx2.Client, project: str) -> None:
    draft = opened(http, project)
    elsewhere = draft.path.replace("/main/", "/other/")
    for path in (elsewhere, f"{draft.drafts}/{new_id()}", f"{draft.drafts}/x"):
        assert code(http.get(path)) == (404, "draft-not-found")
        assert code(http.delete(path)) == (404, "draft-not-found")
        assert code(http.get(f"{path}/stream")) == (404, "draft-not-found")
        written = http.patch(path, content=b"x", headers={"Upload-Offset": "0"})
        assert code(written) == (404, "draft-not-found")
        assert code(http.post(f"{path}/commit", json={})) == (404, "draft-not-found")


def test_a_draft_that_nobody_goes_on_with_makes_room_after_a_week(
    served: Served, http: httpx2.Client, project: str
) -> None:
    draft = opened(http, project)
    draft.write("Some day")
    old = "UPDATE draft SET changed_at = now() - interval '8 days' WHERE draft_id = %s"
    served.execute(old, draft.id)
    newer = opened(http, project)
    assert code(http.get(draft.path)) == (410, "draft-discarded")
    assert served.execute("SELECT FROM draft_text WHERE project_id = %s", project) == 0
    served.execute(old, draft.id)
    http.delete(newer.path)
    opened(http, project)
    assert code(http.get(draft.path)) == (404, "draft-not-found")


def test_a_project_has_no_more_than_a_hundred_open_drafts(
    served: Served, http: httpx2.Client, project: str
) -> None:
    made = served.execute(
        """
        INSERT INTO draft (project_id, draft_id, kind, key, media_type, actor, state, event_id)
        SELECT %s, gen_random_uuid(), 'PRD', n::text, 'text/plain', 'x', 'open', gen_random_uuid()
        FROM generate_series(1, %s) n
        """,
        project,
        MAX_OPEN_DRAFTS,
    )
    assert made == MAX_OPEN_DRAFTS
    assert code(Drafted(http, project).open()) == (409, "too-many-drafts")
    http.delete(
        f"/v1/projects/{project}/artifacts/PRD/1/drafts/"
        + http.get(f"/v1/projects/{project}/artifacts/PRD/1/drafts").json()["drafts"][0]["id"]
    )
    assert Drafted(http, project).open().status_code == 201


@pytest.mark.parametrize("another", [False, True], ids=["its own version", "the same bytes"])
def test_erasing_a_content_of_an_artifact_takes_its_open_draft_away(
    served: Served, http: httpx2.Client, project: str, another: bool
) -> None:
    for key in ("main", "copy"):
        versions = f"/v1/projects/{project}/artifacts/PRD/{key}/versions"
        assert http.post(versions, json={"content": "The word is sesame.\n"}).status_code == 201
    draft = opened(http, project)
    draft.write("The word is sesame.\nAnd more.")
    kept = Drafted(http, project, "PRD/other")
    kept.open()
    kept.write("Of another artifact")
    target = {"kind": "PRD", "key": "copy" if another else "main"}
    shown = http.post(f"/v1/projects/{project}/erasures/preview", json=target).json()
    erased = http.post(
        f"/v1/projects/{project}/erasures",
        json={**target, "reason": "leaked", "confirm": shown["confirm"]},
    )
    assert erased.status_code == 201, erased.text
    assert code(http.get(draft.path)) == (410, "draft-discarded")
    assert code(draft.write("more", 29)) == (410, "draft-discarded")
    assert served.execute("SELECT FROM draft_text WHERE draft_id = %s", draft.id) == 0
    assert kept.content() == "Of another artifact"
    refused = Drafted(http, project)
    refused.open()
    refused.write("The word is sesame.\n")
    assert code(refused.commit()) == (410, "content-erased")
