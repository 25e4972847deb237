"""Step 3 of a verification, for one event after another: canonical, in its stream's order, in time."""

import re

import msgspec

from domain import canonical
from domain.errors import Damaged, DeedbookError
from domain.events import (
    ARTIFACT_EVENTS,
    ERASURE_EVENTS,
    MAX_ACTOR_CHARACTERS,
    PROJECT_EVENTS,
    RUN_EVENTS,
    EventData,
    Recorded,
    parse,
)
from domain.names import parse_stream
from domain.times import parse_time
from projections.bundle import BundleFold
from projections.verify_report import Findings, shown

_LONG_NUMBER = re.compile(rb":-?[0-9]{16}")
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Order:
    """Step 3 for one event after another: canonical, in its stream's order, time never falling."""

    def __init__(self, findings: Findings, fold: BundleFold) -> None:
        self._findings = findings
        self._fold = fold
        self._versions: dict[str, int] = {}
        self._time = ""

    def read(self, line: bytes, place: str) -> Recorded | None:
        """The event in a line."""
        try:
            recorded = parse(line)
            # What the door refuses and the structs let through; no event has numbers in a list.
            if b"\\u0000" in line or _LONG_NUMBER.search(line):
                canonical.check(msgspec.json.decode(line))
        except DeedbookError as error:
            self._findings.fail("events", f"{place}: {error.detail}")
            return None
        return recorded

    def take(self, recorded: Recorded, place: str) -> None:
        """Check an event's place and hand it to the fold."""
        findings = self._findings
        version = self._versions.get(recorded.stream, 0)
        try:
            if version == 0:
                self._check_stream(recorded)
            elif not isinstance(recorded.data, _events_of(recorded.stream)):
                raise Damaged("event-malformed", f"a {recorded.type} is not for this stream")
            self._fold.event(recorded)
        except DeedbookError as error:
            findings.fail("events", f"{place}: {error.detail}")
        if recorded.version != version + 1:
            findings.fail(
                "events",
                f"{place}: version {recorded.version} of {shown(recorded.stream)} follows {version}",
            )
        self._versions[recorded.stream] = recorded.version
        if recorded.time != self._time:
            self._check_time(recorded.time, place)
        self._time = recorded.time
        if _ID.fullmatch(recorded.id) is None:
            findings.fail("events", f"{place}: id {shown(recorded.id)} is not a UUID")
        if not 1 <= len(recorded.actor) <= MAX_ACTOR_CHARACTERS:
            findings.fail("events", f"{place}: the actor is empty or too long")

    def _check_time(self, time: str, place: str) -> None:
        try:
            parse_time(time)
        except DeedbookError as error:
            self._findings.fail("events", f"{place}: {error.detail}")
        if time < self._time:
            self._findings.fail("events", f"{place}: time {shown(time)} falls")

    def _check_stream(self, recorded: Recorded) -> None:
        if not isinstance(recorded.data, ARTIFACT_EVENTS):  # the fold reads the name of those
            parse_stream(recorded.stream)
        if not isinstance(recorded.data, _events_of(recorded.stream)):
            raise Damaged("event-malformed", f"a {recorded.type} is not for this stream")


def _events_of(stream: str) -> tuple[type[EventData], ...]:
    match stream.partition("/")[0]:
        case "artifact":
            return ARTIFACT_EVENTS
        case "run":
            return RUN_EVENTS
        case "erasures":
            return ERASURE_EVENTS
        case _:
            return PROJECT_EVENTS
