"""How it goes with the witnesses of each log, as an operator wants to know it."""

from datetime import datetime

import msgspec

from adapters.postgres_connect import connect_once
from adapters.postgres_witnesses import WitnessState, states
from adapters.witness_alarms import Alarm, alarms
from domain.cosignature import format_cosigner_key
from domain.witness_policy import Policy


class WitnessRow(msgspec.Struct, frozen=True, kw_only=True):
    """One witness and one log.

    Attributes:
        cosigned: The size of the newest checkpoint that it cosigned; None: none.
        problem: What went wrong the last time; None: nothing.
    """

    witness: str
    key: str
    cosigned: int | None
    asked_at: datetime | None
    retry_at: datetime | None
    failures: int
    problem: str | None


class AlarmRow(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm that stands, or that was cleared."""

    ordinal: int
    raised_at: datetime
    kind: str
    detail: str
    note: str
    cleared_at: datetime | None
    reason: str | None


class LogRow(msgspec.Struct, frozen=True, kw_only=True):
    """One log.

    Attributes:
        checkpoint: The size of its newest checkpoint.
        stopped: Whether an alarm stands, so that it is not signed.
    """

    project: str
    checkpoint: int
    stopped: bool
    witnesses: list[WitnessRow]
    alarms: list[AlarmRow]


def witness_status(url: str, project: str | None, policy: Policy | None) -> list[LogRow]:
    """How it goes with each log that has been signed.

    Args:
        url: Of the database.
        project: None means all.
        policy: Who the witnesses are; without one there are alarms alone.

    Raises:
        Unavailable: `database-unavailable`.
    """
    names = {
        format_cosigner_key(one.key): one.name
        for one in (policy.witnesses if policy is not None else ())
    }
    with connect_once(url) as connection:
        found = states(connection, project, list(names))
        raised = alarms(connection, project, standing=False)
    sizes = {one.project: one.checkpoint for one in found}
    for alarm in raised:
        sizes.setdefault(alarm.project, alarm.size)
    return [
        LogRow(
            project=name,
            checkpoint=size,
            stopped=any(one.project == name and one.cleared_at is None for one in raised),
            witnesses=[_witness(one, names) for one in found if one.project == name],
            alarms=[_alarm(one) for one in raised if one.project == name],
        )
        for name, size in sorted(sizes.items())
    ]


def _witness(state: WitnessState, names: dict[str, str]) -> WitnessRow:
    return WitnessRow(
        witness=names[state.witness],
        key=state.witness,
        cosigned=state.cosigned,
        asked_at=state.asked_at,
        retry_at=state.retry_at,
        failures=state.failures,
        problem=state.problem,
    )


def _alarm(alarm: Alarm) -> AlarmRow:
    return AlarmRow(
        ordinal=alarm.ordinal,
        raised_at=alarm.raised_at,
        kind=alarm.kind,
        detail=alarm.sentence,
        note=alarm.note,
        cleared_at=alarm.cleared_at,
        reason=alarm.reason,
    )
