"""A command that was run, as a record: before its output leaves this machine, and if it cannot."""

import base64
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from adapters.command_run import CommandRun
from app.private_file import write_private
from app.redaction import redact_bytes, redact_members
from app.remote.client import Client
from app.remote.runs import content_of, run_event
from domain.errors import DeedbookError
from domain.events import TranscriptRecorded
from domain.log import STAGED_ABOVE_BYTES

MEDIA_TYPE = "text/plain"
MAX_ARGUMENTS = 1_000
MAX_ARGUMENT_CHARACTERS = 8_000
"""All arguments together; an event has to hold them."""

Event = dict[str, object]


class Prepared(msgspec.Struct, frozen=True):
    """A transcript that can be recorded: its data, and the output it names.

    Attributes:
        replaced: How many secrets were replaced, in the words of the command and in its output.
    """

    data: TranscriptRecorded
    output: bytes
    replaced: int


def prepare_transcript(command: Sequence[str], done: CommandRun, step: str | None) -> Prepared:
    """The transcript of a command that has ended; never fails, for the command is over.

    Secrets are replaced here, before the output leaves this machine or is saved on it.
    """
    words, hidden = _without_secrets(command)
    shown, cut = _arguments(words)
    cut = cut or len(words) < len(command)
    try:
        output, found = redact_bytes(done.output, MEDIA_TYPE)
    except DeedbookError as error:
        output, cut = f"[deedbook: the output is left out: {error.detail}]\n".encode(), True
        found = []
    return Prepared(
        TranscriptRecorded(
            command=shown,
            exit_code=done.exit_code,
            duration_ms=done.duration_ms,
            content=content_of(output, MEDIA_TYPE),
            truncated=done.truncated or cut,
            step=step,
        ),
        output,
        hidden + len(found),
    )


def transcript_event(run: str, prepared: Prepared) -> Event:
    """The transcript as an event that has its output with it."""
    return run_event(run, prepared.data, prepared.output)


def staged(client: Client, project: str, event: Mapping[str, object]) -> Event:
    """The event as it is sent: a large content is uploaded before, and named only."""
    raw = base64.b64decode(str(event.get("content_base64", "")))
    if len(raw) <= STAGED_ABOVE_BYTES:
        return dict(event)
    client.put_blob(project, raw)
    return {name: value for name, value in event.items() if name != "content_base64"}


def save_for_later(
    folders: Iterable[Path], run: str, events: Sequence[Mapping[str, object]]
) -> Path:
    """Keep events that could not be sent, as `deedbook append` takes them; for their owner only.

    They have ids: sending them twice records them once.

    Args:
        folders: The first that can be written to is taken, the last in any case.
        run: The run they are of.
        events: What was to be recorded.
    """
    content = msgspec.json.encode(list(events)) + b"\n"
    *wished, last = folders
    name = f"deedbook-{run}-{str(events[0]['id'])[-12:]}.json"
    for folder in wished:
        with contextlib.suppress(OSError):
            write_private(folder / name, content)
            return folder / name
    write_private(last / name, content)
    return last / name


def _without_secrets(command: Sequence[str]) -> tuple[list[str], int]:
    """The command's first words as text, and how many of them hid a secret."""
    texts = [word.encode("utf-8", "replace").decode() for word in command[:MAX_ARGUMENTS]]
    words, places = redact_members(texts)
    return msgspec.convert(words, list[str]), len(places)


def _arguments(words: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """The words, as many as an event holds, and whether that is not all of them."""
    shown: list[str] = []
    room = MAX_ARGUMENT_CHARACTERS
    for text in words:
        if len(text) > room:
            return (*shown, text[:room] + "…"), True
        shown.append(text)
        room -= len(text)
    return tuple(shown), False
