"""How a process ends: one exception for the first signal, and nothing breaks the end off."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.ending import SIGNALS, Told, until_told

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)]
)
def test_a_signal_becomes_an_exception_and_the_exit_code(number: int, code: int) -> None:
    before = [signal.getsignal(one) for one in SIGNALS]
    closed = []

    def work() -> None:
        try:
            os.kill(os.getpid(), number)
            signal.pause()
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            closed.append(True)

    assert until_told(work) == code
    assert closed == [True]
    assert [signal.getsignal(one) for one in SIGNALS] == before


def test_work_that_ends_by_itself_ends_well() -> None:
    assert until_told(lambda: None) == 0


def test_an_error_of_the_work_is_its_own() -> None:
    before = [signal.getsignal(one) for one in SIGNALS]

    def fail() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        until_told(fail)
    assert [signal.getsignal(one) for one in SIGNALS] == before


def test_who_catches_errors_does_not_catch_the_end() -> None:
    assert not issubclass(Told, Exception)


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    code = """
import os, signal
from app.ending import until_told
def work():
    os.kill(os.getpid(), signal.SIGHUP)
    print("goes on", flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pause()
raise SystemExit(until_told(work))
"""
    said = subprocess.run(
        ["nohup", sys.executable, "-c", code],
        cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert (said.returncode, said.stdout) == (143, "goes on\n")
