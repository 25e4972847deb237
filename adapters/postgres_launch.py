"""Gives up root, ties itself to its parent's life, and becomes a PostgreSQL program.

Run as a script, standard library only: between fork and exec hardly anything is safe in a process
that has threads, so these steps are taken in a small program of their own.

Arguments: the parent's process id (0: outlive it), the account as `uid:gid` (`-`: stay who we are),
the number of the capability to keep (`-`: none), the program, its arguments.
"""

import ctypes
import os
import signal
import sys

CAN_START_NOTHING = 126

# Linux: prctl(2) and capabilities(7); the values are the kernel's interface.
PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_SET_SECUREBITS = 28
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
SECBIT_NO_SETUID_FIXUP = 1 << 2
CAPABILITY_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def main(arguments: list[str]) -> None:
    """Take the steps in the order in which none undoes another, and become the program."""
    parent, account, capability, program = arguments[:4]
    if account != "-":
        uid, gid = (int(part) for part in account.split(":"))
        _become(uid, gid, None if capability == "-" else int(capability))
    if parent != "0" and sys.platform == "linux":
        # A change of account clears this, so it comes last. SIGINT is a fast, clean shutdown.
        _prctl(PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != int(parent):  # it died before we asked
            sys.exit(CAN_START_NOTHING)
    os.execv(program, arguments[3:])  # noqa: S606 - that is the point, and there is no shell


def _become(uid: int, gid: int, capability: int | None) -> None:
    if capability is not None:
        _prctl(PR_SET_KEEPCAPS, 1)
        # Without this, access(2), by which PostgreSQL finds its programs, ignores capabilities.
        _prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if capability is not None:
        header, sets = _Header(CAPABILITY_VERSION_3, 0), (_Sets * 2)()
        sets[0] = _Sets(1 << capability, 1 << capability, 1 << capability)
        _check(_libc().capset(ctypes.byref(header), sets), "capset")
        _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability)


def _prctl(option: int, *values: int) -> None:
    padded = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    _check(_libc().prctl(option, *padded), f"prctl {option}")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, call: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{call}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (OSError, KeyboardInterrupt) as error:
        sys.stderr.write(f"PostgreSQL cannot be launched: {error}\n")
        sys.exit(CAN_START_NOTHING)
