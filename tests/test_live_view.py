"""Watching a draft: on any process, from any moment on, every block once, then what changes, then the end."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx2
import psycopg
import pytest

from app.http import live_view
from app.http.live_view import LiveText
from app.http.tail import MAX_STREAMS_EACH, _open
from domain.draft import Draft
from projections.live_render import Block
from projections.markdown.whole import render_markdown
from tests.draft_samples import Drafted, Viewer, code
from tests.draft_samples import opened as opened_as
from tests.ledger_samples import another_database
from tests.log_samples import eventually
from tests.serving import Served, serve

PRIVATE_KEY = (
    "-----BEGIN RSA PRIVATE KEY-----\nDEK-Info: x\n\nMIIE"
    + "Ab9z" * 30
    + "\n-----END RSA PRIVATE KEY-----\n"
)
TEXT = "# Title\n\nOne <script>\n\nTwo: Æ日😀\n"


@pytest.fixture(scope="module")
def elsewhere(served: Served) -> Iterator[Served]:
    """Another process, as it were: a ledger of its own over the same database."""
    with serve(served.database_url) as other:
        yield other


def opened(http: httpx2.Client, project: str, **given: object) -> Drafted:
    """A draft whose blocks are its text: what is told of a text does not depend on its renderer."""
    return opened_as(http, project, **{"media_type": "text/plain", **given})


@contextmanager
def watching(served: Served, draft: Drafted, last_seen: object = None) -> Iterator[Viewer]:
    headers = {} if last_seen is None else {"Last-Event-ID": str(last_seen)}
    with (
        served.client() as client,
        client.stream("GET", f"{draft.path}/stream", headers=headers) as response,
    ):
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        yield Viewer(response)


@pytest.fixture(autouse=True)
def hints(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is seen is seen because somebody was told."""
    monkeypatch.setattr(live_view, "POLL_SECONDS", 100.0)


def erase(http: httpx2.Client, project: str) -> None:
    target = {"kind": "PRD", "key": "main"}
    shown = http.post(f"/v1/projects/{project}/erasures/preview", json=target).json()
    http.post(
        f"/v1/projects/{project}/erasures",
        json={**target, "reason": "leaked", "confirm": shown["confirm"]},
    )


def nobody_watches() -> bool:
    return not live_view._shared and not +_open


def test_a_viewer_on_another_process_sees_what_is_written_and_how_it_ends(
    elsewhere: Served, http: httpx2.Client, project: str
) -> None:
    draft = opened(http, project)
    with watching(elsewhere, draft) as viewer:
        assert viewer.next() == "truncate"
        raw = TEXT.encode()
        for at in range(0, len(raw), 5):  # also within characters
            draft.write(raw[at : at + 5], at)
            viewer.until(raw[: at + 5].decode("utf-8", "ignore"))
        committed = draft.commit(TEXT)
        viewer.finish()
    assert viewer.text == TEXT
    assert "One &lt;script&gt;" in viewer.blocks[1]
    assert viewer.end == (
        "commit",
        {
            "version": 1,
            "sha256": committed.json()["digest"],
            "url": committed.headers["location"],
        },
    )
    assert not viewer.open
    assert viewer.ids == sorted(viewer.ids)
    assert viewer.ids[-1] == len(TEXT.encode()) + 1
    assert eventually(nobody_watches)


def test_a_draft_is_markdown_unless_it_says_otherwise_and_ends_as_the_version_is_rendered(
    served: Served, http: httpx2.Client, project: str
) -> None:
    draft = opened_as(http, project)
    draft.write("# Title\n\nOne <script> and **tw")
    with watching(served, draft) as viewer:
        assert viewer.next() == viewer.next() == "block"
        assert viewer.blocks[1] == "<p>One &lt;script&gt; and <strong>tw</strong></p>\n"
        assert 1 in viewer.open
        draft.write("o**\n")
        draft.commit()
        viewer.finish()
    whole = render_markdown("# Title\n\nOne <script> and **two**\n")
    assert "".join(viewer.blocks) == whole.html
    assert not viewer.open


def test_who_comes_late_gets_every_block_once_and_then_what_changes(
    served: Served, elsewhere: Served, http: httpx2.Client, project: str
) -> None:
    draft = opened(http, project)
    draft.write("One\n\nTwo\n\nThr")
    with watching(served, draft) as early:
        early.until("One\n\nTwo\n\nThr")
        with watching(served, draft) as late, watching(elsewhere, draft) as other:
            for viewer in (late, other):
                viewer.until("One\n\nTwo\n\nThr")
                assert viewer.sent == [0, 1, 2]
                assert viewer.next() == "truncate"
            draft.write("ee\n\nFour")
            for viewer in (early, late, other):
                viewer.until("One\n\nTwo\n\nThree\n\nFour")
            assert late.sent == other.sent == [0, 1, 2, 2, 3]
        draft.write("!")
        early.until("One\n\nTwo\n\nThree\n\nFour!")


def test_who_comes_back_is_put_right_and_loses_nothing(
    served: Served, http: httpx2.Client, project: str
) -> None:
    draft = opened(http, project)
    draft.write("One\n\nTwo")
    with watching(served, draft) as viewer:
        viewer.until("One\n\nTwo")
        last = viewer.ids[-1]
    draft.write("\n\nThree")
    with watching(served, draft, last) as again:
        again.blocks = [*viewer.blocks, "<pre>\nof another life</pre>", "<pre>\n!</pre>"]
        while again.next() != "truncate":
            pass
        assert again.text == "One\n\nTwo\n\nThree"


def test_when_nothing_more_comes_a_viewer_is_told_to_stop(
    served: Served, http: httpx2.Client, project: str
) -> None:
    draft = opened(http, project)
    draft.write("Text")
    with watching(served, draft) as viewer:
        viewer.until("Text")
    draft.commit()
    with watching(served, draft, viewer.ids[-1]) as again:  # away while it was committed
        assert again.finish().end is not None
        assert again.text == "Text"
    with served.client() as client:
        over = client.get(f"{draft.path}/stream", headers={"Last-Event-ID": str(again.ids[-1])})
        assert (over.status_code, over.content) == (204, b"")
        assert client.head(f"{draft.path}/stream").status_code == 200
        ignored = client.get(f"{draft.path}/stream", headers={"Last-Event-ID": "x"})
        assert "event: commit" in ignored.text


def test_a_discarded_draft_ends_for_its_viewers(
    served: Served, elsewhere: Served, http: httpx2.Client, project: str
) -> None:
    draft = opened(http, project)
    draft.write("Text")
    with watching(elsewhere, draft) as viewer:
        viewer.until("Text")
        http.delete(draft.path)
        viewer.finish()
    assert viewer.end == ("abort", {})
    with watching(served, draft) as late:
        assert late.finish().end == ("abort", {})
        assert late.text == ""
    with served.client() as client:
        headers = {"Last-Event-ID": str(viewer.ids[-1])}
        assert client.get(f"{draft.path}/stream", headers=headers).status_code == 204


def test_a_secret_that_was_replaced_at_the_commit_is_replaced_before_the_viewers(
    served: Served, http: httpx2.Client, project: str
) -> None:
    http.patch(f"/v1/projects/{project}/policy", json={"secrets": "replace"})
    draft = opened(http, project)
    text = f"key: AKIAZ7QN3XWLM2KPRT5V\n\n{PRIVATE_KEY}"
    draft.write(text)
    with watching(served, draft) as viewer:
        viewer.until(text)
        assert len(viewer.blocks) == 3
        draft.commit()
        viewer.finish()
    assert viewer.text == draft.content()
    assert "AKIAZ7" not in viewer.text
    assert "[redacted:" in viewer.text
    assert len(viewer.blocks) == 2, "the key's own paragraphs are gone"


def test_a_draft_whose_version_was_erased_still_says_how_it_ended(
    served: Served, http: httpx2.Client, project: str
) -> None:
    draft = opened(http, project)
    draft.write("Sesame, open.")
    draft.commit()
    erase(http, project)
    with watching(served, draft) as viewer:
        viewer.finish()
    assert (viewer.text, viewer.end and viewer.end[0]) == ("", "commit")
    assert code(http.get(f"{draft.path}/content")) == (410, "content-erased")


def test_many_viewers_cost_one_rendering(
    served: Served, http: httpx2.Client, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[object] = []
    look = LiveText.__init__

    def counted(self: LiveText, *given: object) -> None:
        begun.append(self)
        look(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(LiveText, "__init__", counted)
    draft = opened(http, project)
    draft.write("Before\n\n")
    started = threading.Barrier(21)

    def view(_: int) -> str:
        with watching(served, draft) as viewer:
            viewer.until("Before\n\n")
            started.wait(30)
            return viewer.finish().text

    with ThreadPoolExecutor(20) as threads:
        viewers = [threads.submit(view, number) for number in range(20)]
        started.wait(30)
        assert len(begun) == 1
        draft.write("After")
        draft.commit()
        assert {one.result(30) for one in viewers} == {"Before\n\nAfter"}
    assert eventually(nobody_watches)


def test_frames_are_few_however_fast_the_text_comes(
    served: Served, http: httpx2.Client, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a frame that lasts, all that is written meanwhile comes in the next one."""
    pauses: list[float] = []
    gate = threading.Event()

    async def until_released(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.to_thread(gate.wait, 30)

    draft = opened(http, project)
    monkeypatch.setattr(live_view, "rest", until_released)
    try:
        with watching(served, draft) as viewer:
            assert viewer.next() == "truncate"
            for letter in "abcdefgh":
                draft.write(letter)
            gate.set()
            viewer.until("abcdefgh")
            assert viewer.sent == [0]
    finally:
        gate.set()
    assert min(pauses) >= live_view.FRAME_SECONDS


class SlowRenderer:
    """Takes as long as the clock says."""

    def append(self, text: str) -> list[Block]:
        return [Block(0, text, open=True)]

    def finish(self) -> list[Block]:
        return []

    def snapshot(self) -> list[Block]:
        return []


def test_a_renderer_is_chosen_by_media_type_and_given_time_to_breathe(
    served: Served, http: httpx2.Client, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_view, "RENDERERS", {"text/x-slow": SlowRenderer})
    times = iter(range(1_000))
    monkeypatch.setattr(live_view, "perf_counter", lambda: next(times) / 10)
    pauses: list[float] = []

    async def remember(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr(live_view, "rest", remember)
    draft = opened(http, project, media_type="text/x-slow")
    draft.write("<i>")
    with watching(served, draft) as viewer:
        assert viewer.next() == "block"
        assert viewer.blocks == ["<i>"]
        assert eventually(lambda: bool(pauses))
    assert pauses[0] == pytest.approx(0.4)  # four times the tenth of a second that it took


def test_a_hint_that_was_lost_costs_a_little_time_and_no_text(
    served: Served, http: httpx2.Client, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_view, "POLL_SECONDS", 0.05)
    draft = opened(http, project)
    with watching(served, draft) as viewer:
        assert viewer.next() == "truncate"
        served.ledger.drafts.append(project, draft.id, 0, b"Nobody was told")
        viewer.until("Nobody was told")


def test_viewers_of_a_draft_that_an_erasure_takes_away_see_its_end(
    served: Served, http: httpx2.Client, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_view, "POLL_SECONDS", 0.05)
    versions = f"/v1/projects/{project}/artifacts/PRD/main/versions"
    http.post(versions, json={"content": "Sesame"})
    draft = opened(http, project)
    draft.write("Sesame, open")
    with watching(served, draft) as viewer:
        viewer.until("Sesame, open")
        erase(http, project)
        assert viewer.finish().end == ("abort", {})


def test_a_hint_names_the_draft_and_its_offset_and_never_text(
    served: Served, http: httpx2.Client, project: str
) -> None:
    draft = opened(http, project)
    with psycopg.connect(served.database_url, autocommit=True) as connection:
        connection.execute("LISTEN deedbook_commit")
        draft.write("sesame")
        payloads: list[str] = []
        for notice in connection.notifies(timeout=20):
            payloads.append(notice.payload)
            if draft.id in notice.payload:
                break
    assert f"{project}:{draft.id}=6" in payloads[-1].split()
    assert "sesame" not in "".join(payloads)
    assert served.ledger.signal.known(project) == 1, "a project's own size is another matter"


def test_a_viewer_who_only_waits_is_sent_a_sign_of_life(
    served: Served, http: httpx2.Client, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_view, "HEARTBEAT_SECONDS", 0.01)
    draft = opened(http, project)
    with (
        served.client() as client,
        client.stream("GET", f"{draft.path}/stream") as response,
    ):
        lines = response.iter_lines()
        while next(lines) != ": still here":
            pass


def test_the_end_of_the_ledger_is_told_to_viewers(
    postgres_server: str, template_database: str
) -> None:
    with (
        another_database(postgres_server, template_database) as url,
        serve(url) as ending,
        ending.client() as client,
    ):
        client.post("/v1/projects", json={"slug": "alpha", "title": "A"})
        draft = opened(client, "alpha")
        draft.write("Text")
        with watching(ending, draft) as viewer:
            viewer.until("Text")
            ending.ledger.signal.stop_waiting()
            assert viewer.finish().end == ("bye", "the ledger stops")


@pytest.mark.parametrize("state", ["gone", "broken", "away"])
def test_what_cannot_be_shown_ends_with_a_word(
    served: Served,
    http: httpx2.Client,
    project: str,
    monkeypatch: pytest.MonkeyPatch,
    state: str,
) -> None:
    def broken(*_: object) -> Draft | None:
        if state == "gone":
            return None
        raise {"broken": ValueError, "away": psycopg.OperationalError}[state]

    draft = opened(http, project)
    with watching(served, draft) as viewer:
        assert viewer.next() == "truncate"
        find: Callable[[str, str], Draft | None] = served.ledger.drafts.find
        monkeypatch.setattr(served.ledger.drafts, "find", broken)
        served.ledger.signal.drafted(project, draft.id, 0)
        viewer.finish()
        monkeypatch.setattr(served.ledger.drafts, "find", find)
    assert (
        viewer.end
        == {
            "gone": ("abort", {}),
            "broken": ("bye", "it cannot be shown"),
            "away": ("bye", "the database is away"),
        }[state]
    )


def test_a_token_has_so_many_streams_and_no_more(
    served: Served, http: httpx2.Client, project: str
) -> None:
    draft = opened(http, project)
    secret = served.limited("events:read")
    token = served.ledger.tokens.find(secret)
    _open[token.id] += MAX_STREAMS_EACH
    try:
        with served.client(secret) as client:
            refused = client.get(f"{draft.path}/stream")
        assert (refused.status_code, json.loads(refused.text)["code"]) == (429, "rate-limited")
    finally:
        del _open[token.id]
