"""What `doctor` looks at: settings, database, migrations, every row, and the service."""

from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from app.cli.choices import Choices
from domain.errors import DeedbookError


class Examined(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    result: Literal["good", "odd", "wrong"]
    subject: str
    detail: str


def examine_all(choices: Choices, project: str | None, *, verify: bool) -> list[Examined]:
    """Look at everything; what fails is a result, and does not keep the rest from being looked at."""
    return [
        *_guarded("connection", lambda: _connection(choices)),
        *_guarded("database", lambda: _database(choices, project, verify=verify)),
        *_guarded("service", lambda: _service(choices)),
    ]


def _guarded(subject: str, look: Callable[[], Iterator[Examined]]) -> list[Examined]:
    from adapters.postgres_connect import UNREACHABLE

    found: list[Examined] = []
    try:
        found.extend(look())
    except DeedbookError as error:
        found.append(Examined("wrong", subject, f"{error.detail} ({error.code})"))
    except UNREACHABLE as error:
        reason = str(error).partition("\n")[0]
        found.append(Examined("wrong", subject, f"Postgres cannot be reached: {reason}"))
    return found


def _connection(choices: Choices) -> Iterator[Examined]:
    from app.remote.connection import connection_file

    settings = choices.settings()
    file = connection_file(settings.data_folder)
    if not file.exists():
        yield Examined("good", "connection", f"no {file}; flags and variables are used")
    elif file.stat().st_mode & 0o077:
        yield Examined("wrong", "connection", f"{file} can be read by others: chmod 600 {file}")
    else:
        connection = choices.connection()
        yield Examined("good", "connection", f"{connection.url}, project {connection.project}")


def _database(choices: Choices, project: str | None, *, verify: bool) -> Iterator[Examined]:
    from adapters.doctor import examine
    from adapters.migrate import pending
    from app.bootstrap import admin_url, open_contents
    from app.progress import Progress

    settings = choices.settings()
    with admin_url(settings) as url:
        where = "embedded" if settings.embedded else "of DATABASE_URL"
        waiting = pending(url)
        yield Examined("good", "database", f"the one {where} answers")
        if waiting:
            names = ", ".join(waiting)
            yield Examined("wrong", "migrations", f"not applied: {names}; run deedbook migrate")
            return
        yield Examined("good", "migrations", "up to date")
        yield _signing_key(settings.log_key, url)
        yield _seal_key(settings.seal_key, url)
        yield from _alarms(url)
        yield from _guarded("witnesses", lambda: _witnesses(settings.deedbook_witness_policy, url))
        if not verify:
            yield Examined("good", "contents", "not examined; --verify examines every row")
            return
        with (
            open_contents(settings) as outside,
            Progress("verify", hidden=choices.quiet) as progress,
        ):
            wrong = 0
            for finding in examine(url, project=project, progress=progress, outside=outside):
                wrong += 1
                yield Examined("wrong", finding.place, finding.detail)
        if not wrong:
            yield Examined(
                "good", "contents", "every event, content, hash and view is as it must be"
            )


def _signing_key(uri: str, url: str) -> Examined:
    from adapters.ed25519_key import open_key
    from adapters.key_file import key_file
    from adapters.postgres_keys import origins_and_keys

    subject = "signing key"
    _, keys = origins_and_keys(url, None)
    try:
        own = open_key(key_file(uri)).public_key
    except DeedbookError as error:
        if error.code != "signing-key-absent":
            return Examined("wrong", subject, f"{error.detail} ({error.code})")
        if not keys:
            return Examined("good", subject, "none yet; the first service makes it")
        detail = f"{error.detail} Services here sign no checkpoints, and hand out those of others."
        return Examined("odd", subject, detail)
    if keys and own != keys[-1]:
        return Examined(
            "wrong", subject, f"the one at {uri} is not the ledger's: no service starts"
        )
    return Examined("good", subject, f"{uri} signs this ledger's checkpoints")


def _seal_key(uri: str, url: str) -> Examined:
    from adapters.key_file import key_file
    from adapters.p256_key import open_seal_key
    from adapters.postgres_connect import connect_once
    from adapters.postgres_keys import read_current

    subject = "seal key"
    with connect_once(url) as connection:
        current = read_current(connection, "seal")
    try:
        own = open_seal_key(key_file(uri)).spki
    except DeedbookError as error:
        if error.code != "signing-key-absent":
            return Examined("wrong", subject, f"{error.detail} ({error.code})")
        if current is None:
            return Examined("good", subject, "none yet; the first service makes it")
        return Examined("odd", subject, f"{error.detail} Services here seal nothing.")
    if current not in {None, own}:
        return Examined(
            "wrong", subject, f"the one at {uri} is not the ledger's: no service starts"
        )
    return Examined("good", subject, f"{uri} seals this ledger's exports")


def _alarms(url: str) -> Iterator[Examined]:
    """Whether a witness contradicts a log."""
    from app.witness_status import witness_status

    for log in witness_status(url, None, None):
        for alarm in log.alarms:
            if alarm.cleared_at is None:
                subject = f"witnesses of {log.project or 'the seal log'}"
                yield Examined("wrong", subject, f"{alarm.detail}; nothing of it is signed")


def _witnesses(file: str | None, url: str) -> Iterator[Examined]:
    """Whether witnesses cosign."""
    from app.witness_setting import read_policy
    from app.witness_status import witness_status

    policy = read_policy(file)
    if policy is None:
        return
    rows = [row for log in witness_status(url, None, policy) for row in log.witnesses]
    failing = sum(row.problem is not None for row in rows)
    if failing:
        detail = f"{failing} of {len(rows)} did not cosign; see deedbook witness status"
        yield Examined("odd", "witnesses", detail)
    else:
        yield Examined("good", "witnesses", f"those of {file} refuse nothing")


def _service(choices: Choices) -> Iterator[Examined]:
    connection = choices.connection()
    try:
        with choices.client() as client:
            ready = client.get("/readyz", dict[str, object])
    except DeedbookError as error:
        if error.code != "server-unreachable":
            raise
        yield Examined("odd", "service", f"does not run at {connection.url}")
        return
    yield Examined("good", "service", f"{connection.url} is {ready.get('status', 'ready')}")
