"""A draft as it is being written, as server-sent events: rendered once in this process for all who watch.

The text comes from the database, whoever writes it, so every process shows every draft. A viewer is sent what
changed since what it was sent last, not each change: a slow one misses steps in between, and no block.
"""

import asyncio
import codecs
import hashlib
import logging
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack
from time import perf_counter
from typing import Literal
from urllib.parse import quote

import msgspec
from starlette.concurrency import run_in_threadpool

from app.drafts import draft_text, version_digest
from app.http.tail import AWAY, HEARTBEAT_SECONDS, RETRY_MILLISECONDS, place
from app.ledger import Ledger
from domain.artifact import MARKDOWN
from domain.draft import Draft
from domain.errors import DeedbookError
from projections.live_render import Block, Change, Renderer, Truncate
from projections.markdown.renderer import MarkdownRenderer
from projections.plain_render import PlainRenderer

FRAME_SECONDS = 0.05
"""Between two frames at least, and `RENDER_SHARE` times what the last one took to render."""
RENDER_SHARE = 4
MAX_FRAME_SECONDS = 2.0
POLL_SECONDS = 2.0
"""Without a hint that the draft has grown: hints get lost, and behind a pooler there are none of others."""

RENDERERS: Mapping[str, Callable[[], Renderer]] = {MARKDOWN: MarkdownRenderer}
"""By media type."""

_logger = logging.getLogger("deedbook.drafts")


def renderer_for(media_type: str) -> Renderer:
    """What shows a text of a media type, from its beginning: as it is, where nothing else is known."""
    return RENDERERS.get(media_type, PlainRenderer)()


async def watch(ledger: Ledger, project: str, draft: Draft, holder: str) -> AsyncIterator[bytes]:
    """A draft as server-sent events: every block once, then what changes, then how it ended."""
    with place(holder), ExitStack() as leaving:
        yield f"retry: {RETRY_MILLISECONDS}\n\n".encode()
        shared = _join(ledger, project, draft)
        leaving.callback(shared.leave)
        seen, count = 0, sys.maxsize  # whoever comes back may show more than there is
        while True:
            changed = shared.changed
            if shared.frame > seen:
                blocks = [one for one, frame in shared.blocks if frame > seen]
                fewer, count = len(shared.blocks) < count, len(shared.blocks)
                seen, offset, end = shared.frame, shared.offset, shared.end
                for block in blocks:
                    yield _event("block", offset, Shown(block.index, block.html, block.open))
                if fewer:
                    yield _event("truncate", offset, Kept(count))
                if end is not None:
                    yield end
                    return
                continue
            try:
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await changed.wait()
            except TimeoutError:
                yield b": still here\n\n"


async def rest(seconds: float) -> None:
    """Let text come together for the next frame."""
    await asyncio.sleep(min(seconds, MAX_FRAME_SECONDS))


class Shown(msgspec.Struct, frozen=True):
    """The data of the event `block`."""

    i: int
    html: str
    open: bool


class Kept(msgspec.Struct, frozen=True):
    """The data of the event `truncate`: how many blocks are left."""

    n: int


class Committed(msgspec.Struct, frozen=True):
    """The data of the event `commit`."""

    version: int
    sha256: str
    url: str


class Step(msgspec.Struct, frozen=True):
    """What one look at a draft gave: blocks that changed, and the event with which it ends, if it does."""

    changes: Sequence[Change]
    offset: int
    end: bytes | None
    took_seconds: float


class LiveText:
    """The text of a draft, followed: each look reads what was written since, and renders it.

    Used in one thread at a time.
    """

    def __init__(self, ledger: Ledger, project: str, draft: Draft) -> None:
        self._ledger = ledger
        self._project = project
        self._draft = draft
        self._begin()

    def look(self) -> Step:
        """Read on, and render."""
        now = self._ledger.drafts.find(self._project, self._draft.id)
        if now is None or now.state == "discarded":
            return Step((), self._offset, _event("abort", self._offset + 1, {}), 0.0)
        began = perf_counter()
        if now.state == "committed":
            changes = self._finish(now)
            end = self._committed(now)
            return Step(changes, self._offset, end, perf_counter() - began)
        text = self._ledger.drafts.text(self._project, now.id, self._offset)
        began = perf_counter()
        changes = self._append(text) if text else ()
        return Step(changes, self._offset, None, perf_counter() - began)

    def _begin(self) -> None:
        self._renderer = renderer_for(self._draft.media_type)
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self._digest = hashlib.sha256()
        self._offset = 0

    def _append(self, text: bytes) -> Sequence[Change]:
        self._offset += len(text)
        self._digest.update(text)
        return self._renderer.append(self._decoder.decode(text))

    def _finish(self, committed: Draft) -> Sequence[Change]:
        """Show the version to its end: it may have more than was seen, and less, where it was redacted."""
        try:
            content = draft_text(self._ledger, self._project, committed)
        except DeedbookError:
            return ()  # erased already, or its store is away: the version's own page says so
        changes: list[Change] = []
        if hashlib.sha256(content[: self._offset]).digest() != self._digest.digest():
            self._begin()
            changes.append(Truncate(0))
        changes.extend(self._append(content[self._offset :]))
        changes.extend(self._renderer.finish())
        return changes

    def _committed(self, draft: Draft) -> bytes:
        assert draft.version is not None
        url = (
            f"/v1/projects/{self._project}/artifacts/{draft.kind}/{quote(draft.key)}/versions/"
            f"{draft.version}"
        )
        digest = version_digest(self._ledger, self._project, draft)
        # Behind the offset, so that a reader who comes back with this id is known to have seen the end.
        last = max(self._offset, draft.offset) + 1
        return _event("commit", last, Committed(draft.version, digest, url))


class _Shared:
    """One draft in this process, for all who watch it here; lives in the event loop.

    Attributes:
        blocks: Each with the frame in which it changed last.
        frame: 0 until the text was read for the first time.
        end: The last event, once there is one.
        changed: Set when there is another frame, and then replaced.
    """

    def __init__(self, ledger: Ledger, project: str, draft: Draft) -> None:
        self.blocks: list[tuple[Block, int]] = []
        self.frame = 0
        self.offset = 0
        self.end: bytes | None = None
        self.changed = asyncio.Event()
        self.viewers = 0
        self._key = (ledger, project, draft.id)
        self._ledger = ledger
        self._text = LiveText(ledger, project, draft)
        self._grown = asyncio.Event()
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(self._grown.set)

        self._end_hints = ledger.signal.on_draft(project, draft.id, wake)
        self._task = asyncio.create_task(self._follow())

    def leave(self) -> None:
        """One viewer less; the last one ends it."""
        self.viewers -= 1
        if not self.viewers:
            if _shared.get(self._key) is self:
                del _shared[self._key]
            self._end_hints()
            self._task.cancel()

    async def _follow(self) -> None:
        while self.end is None:
            self._grown.clear()
            step = await self._look()
            self._publish(step)
            await rest(max(FRAME_SECONDS, RENDER_SHARE * step.took_seconds))
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await self._grown.wait()
            except TimeoutError:
                pass  # look all the same

    async def _look(self) -> Step:
        if self._ledger.signal.stopping:
            return self._bye(b"the ledger stops")
        try:
            return await run_in_threadpool(self._text.look)
        except AWAY:
            return self._bye(b"the database is away")
        except Exception:
            _logger.exception("a draft could not be shown")
            return self._bye(b"it cannot be shown")

    def _bye(self, why: bytes) -> Step:
        return Step((), self.offset, b"event: bye\ndata: %b\n\n" % why, 0.0)

    def _publish(self, step: Step) -> None:
        if not step.changes and step.end is None and self.frame:
            self.offset = step.offset
            return
        self.frame += 1
        for change in step.changes:
            if isinstance(change, Truncate):
                del self.blocks[change.count :]
            elif change.index < len(self.blocks):
                self.blocks[change.index] = (change, self.frame)
            else:
                self.blocks.append((change, self.frame))
        self.offset, self.end = step.offset, step.end
        self.changed.set()
        self.changed = asyncio.Event()


_shared: dict[tuple[Ledger, str, str], _Shared] = {}


def _join(ledger: Ledger, project: str, draft: Draft) -> _Shared:
    """The draft as others watch it here; one that has ended is looked at anew."""
    key = (ledger, project, draft.id)
    shared = _shared.get(key)
    if shared is None or shared.end is not None:
        shared = _shared[key] = _Shared(ledger, project, draft)
    shared.viewers += 1
    return shared


_Name = Literal["block", "truncate", "commit", "abort"]


def _event(name: _Name, offset: int, data: object) -> bytes:
    return b"event: %b\nid: %d\ndata: %b\n\n" % (name.encode(), offset, msgspec.json.encode(data))
