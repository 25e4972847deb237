"""As whom an embedded PostgreSQL runs: as ourselves, or, since it refuses root, as somebody else.

No account is made and no permission is widened. Where the account cannot reach the data folder or
the programs (below a home of mode 0700, or after an install with umask 077), the server keeps the
least capability that lets it: capabilities(7).
"""

import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

from domain.errors import Unavailable

UNPRIVILEGED = "nobody"

_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH, _CAP_SETPCAP = 1, 2, 8
_CAPS_TO_ACT = {"CHOWN": 0, "KILL": 5, "SETGID": 6, "SETUID": 7}
"""Without these root cannot give files away, change its account, or end what it started."""
_EXECUTE, _READ_AND_EXECUTE = 1, 5


class Account(msgspec.Struct, frozen=True):
    """An account and the capability it keeps.

    Attributes:
        uid: The user's number.
        gid: The group's number.
        capability: Number of the one capability it needs; None when it needs none.
    """

    uid: int
    gid: int
    capability: int | None = None


def account_for(folder: Path, data: Path, program: Path) -> Account | None:
    """Who is to run `program` on `data` below `folder`; None: we ourselves.

    Raises:
        Unavailable: `postgres-failed`, when there is nobody to be, or no way to the folders.
    """
    if os.geteuid() != 0:
        if data.exists() and data.stat().st_uid != os.geteuid():
            raise Unavailable(
                "postgres-failed",
                f"{data} belongs to another account (number {data.stat().st_uid}): start as the "
                "one that made it, or choose another folder with DEEDBOOK_DATA.",
            )
        return None
    _check_can_act()
    uid, gid = _owner(data) or _unprivileged()
    return Account(uid, gid, _capability(uid, gid, folder, program))


def _check_can_act() -> None:
    """A container may have taken these rights from its root; better now than half-way."""
    if sys.platform != "linux":
        return
    held = _held_capabilities()
    lacking = [name for name, number in _CAPS_TO_ACT.items() if not held >> number & 1]
    if lacking:
        raise Unavailable(
            "postgres-failed",
            "PostgreSQL refuses to run as root, and this root cannot act for another account "
            f"(it lacks {', '.join(lacking)}): start as an ordinary user, or set DATABASE_URL.",
        )


def _owner(data: Path) -> tuple[int, int] | None:
    """Data made by an ordinary account stays with it, also when root starts the server."""
    if not data.exists():
        return None
    status = data.stat()
    return (status.st_uid, status.st_gid) if status.st_uid != 0 else None


def _unprivileged() -> tuple[int, int]:
    import pwd  # noqa: PLC0415 - absent on Windows, where nobody is root

    try:
        found = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        raise Unavailable(
            "postgres-failed",
            f"PostgreSQL refuses to run as root, and there is no account `{UNPRIVILEGED}`: "
            "start as an ordinary user, or set DATABASE_URL.",
        ) from None
    return found.pw_uid, found.pw_gid


def _capability(uid: int, gid: int, folder: Path, program: Path) -> int | None:
    runs = _allows(program, uid, gid, _READ_AND_EXECUTE)
    above = (folder, *folder.parents, *program.parents)
    if runs and _traverses(above, uid, gid):
        return None
    held = _held_capabilities()
    for capability in (_CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE) if runs else (_CAP_DAC_OVERRIDE,):
        if held >> capability & 1 and held >> _CAP_SETPCAP & 1:
            return capability
    raise Unavailable(
        "postgres-failed",
        f"PostgreSQL refuses to run as root, and account number {uid} cannot reach {folder} and "
        f"{program}: start as an ordinary user, move them, or set DATABASE_URL.",
    )


def _traverses(folders: Iterable[Path], uid: int, gid: int) -> bool:
    return all(_allows(folder, uid, gid, _EXECUTE) for folder in set(folders))


def _allows(place: Path, uid: int, gid: int, bits: int) -> bool:
    status = place.stat()
    if status.st_uid == uid:
        granted = stat.S_IMODE(status.st_mode) >> 6
    elif status.st_gid == gid:
        granted = stat.S_IMODE(status.st_mode) >> 3
    else:
        granted = stat.S_IMODE(status.st_mode)
    return granted & bits == bits


def _held_capabilities() -> int:
    """The permitted set of this process as bits (proc(5)); none elsewhere than on Linux."""
    if sys.platform != "linux":
        return 0
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapPrm:"):
            return int(line.split()[1], 16)
    return 0
