"""A command that is run and watched: its output, its end, and the signals it is sent."""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from adapters import command_run
from adapters.command_run import TIMED_OUT, KeptOutput, run_command
from domain.errors import Invalid, NotFound

LIMIT = 60.0
ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _nobody_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs these tests may sit at one, which would be asked for Ctrl-C."""
    monkeypatch.setattr(command_run, "_at_terminal", lambda: False)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def nothing(_piece: bytes) -> None:
    pass


def test_output_and_errors_are_kept_in_the_order_in_which_they_came() -> None:
    done = run_command(
        ["sh", "-c", "echo one; echo two >&2; echo three; exit 3"], nothing, limit_seconds=LIMIT
    )
    assert (done.output, done.exit_code) == (b"one\ntwo\nthree\n", 3)
    assert (done.truncated, done.interrupted, done.timed_out) == (False, False, False)
    assert done.duration_ms >= 0


def test_output_is_passed_on_while_the_command_runs(tmp_path: Path) -> None:
    """The command goes on only when it is told that its first line has been seen."""
    told = tmp_path / "told"
    os.mkfifo(told)
    seen: list[bytes] = []

    def show(piece: bytes) -> None:
        seen.append(piece)
        if len(seen) == 1:
            told.write_text("last\n")

    done = run_command(
        ["sh", "-c", 'echo first; read word < "$0"; echo $word', str(told)],
        show,
        limit_seconds=LIMIT,
    )
    assert seen[0] == b"first\n"
    assert done.output == b"first\nlast\n"


def test_a_command_that_is_not_there_or_is_no_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="There is no command no-such-command"):
        run_command(["no-such-command"], nothing, limit_seconds=LIMIT)
    (tmp_path / "text").write_text("x")
    with pytest.raises(Invalid, match="cannot be started"):
        run_command([str(tmp_path / "text")], nothing, limit_seconds=LIMIT)
    with pytest.raises(Invalid, match="cannot be started"):
        run_command(["a\0b"], nothing, limit_seconds=LIMIT)


def test_a_command_that_a_signal_ended_has_its_number() -> None:
    done = run_command(["sh", "-c", "kill -9 $$"], nothing, limit_seconds=LIMIT)
    assert done.exit_code == 128 + signal.SIGKILL


def test_a_command_that_takes_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_run, "STOP_SECONDS", 0.2)
    monkeypatch.setattr(command_run, "POLL_SECONDS", 0.05)
    done = run_command(["sh", "-c", "echo begun; sleep 600"], nothing, limit_seconds=0.3)
    assert (done.exit_code, done.timed_out, done.output) == (TIMED_OUT, True, b"begun\n")
    stubborn = "trap '' TERM; echo begun; exec >/dev/null 2>&1; while :; do sleep 0.1; done"
    done = run_command(["sh", "-c", stubborn], nothing, limit_seconds=0.3)
    assert (done.exit_code, done.timed_out, done.output) == (TIMED_OUT, True, b"begun\n")


def test_what_the_command_left_behind_does_not_hold_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_run, "LINGER_SECONDS", 0.2)
    began = time.monotonic()
    done = run_command(["sh", "-c", "sleep 30 & echo done $!"], nothing, limit_seconds=LIMIT)
    os.kill(int(done.output.split()[1]), signal.SIGKILL)
    assert done.exit_code == 0
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_goes_to_the_command_and_the_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    code = (
        "import os, signal, sys\n"
        f"signal.signal({int(number)}, lambda *_: (os.write(1, b'caught\\n'), sys.exit(7)))\n"
        "os.write(1, b'ready\\n')\n"
        "while True: signal.pause()"
    )

    def show(piece: bytes) -> None:
        if b"ready" in piece:
            os.kill(os.getpid(), number)

    done = run_command(python(code), show, limit_seconds=LIMIT)
    assert (done.output, done.exit_code, done.interrupted) == (b"ready\ncaught\n", 7, True)
    assert signal.getsignal(number) is before


def test_at_a_terminal_an_interrupt_is_left_to_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_run, "_at_terminal", lambda: True)
    told = tmp_path / "told"
    os.mkfifo(told)

    def show(piece: bytes) -> None:
        if b"ready" in piece:
            os.kill(os.getpid(), signal.SIGINT)
            told.write_text("go\n")

    code = "trap 'echo caught' INT; echo ready; read word < \"$0\"; echo $word"
    done = run_command(["sh", "-c", code, str(told)], show, limit_seconds=LIMIT)
    assert (done.output, done.interrupted) == (b"ready\ngo\n", True)


def test_at_a_terminal_a_typed_interrupt_reaches_the_command() -> None:
    """The terminal itself sends it to both of us; a second one would stop many programs half-way."""
    inner = (
        "import select, signal\n"
        "came = []\n"
        "signal.signal(signal.SIGINT, lambda *_: came.append(1))\n"
        "print('ready', flush=True)\n"
        "while not came: select.select([], [], [], 0.05)\n"
        "select.select([], [], [], 0.3)\n"
        "raise SystemExit(len(came))"
    )
    outer = (
        "import fcntl, os, sys, termios\n"
        "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "from adapters.command_run import run_command\n"
        f"words = [sys.executable, '-c', {inner!r}]\n"
        "done = run_command(words, lambda piece: os.write(1, piece), limit_seconds=30.0)\n"
        "print('code', done.exit_code, done.interrupted, 'end')"
    )
    controller, terminal = os.openpty()
    with subprocess.Popen(
        python(outer), stdin=terminal, stdout=terminal, stderr=terminal,
        start_new_session=True, cwd=ROOT,
    ) as process:  # fmt: skip
        os.close(terminal)
        said = b""
        interrupted = False
        while b"end" not in said and select.select([controller], [], [], 30)[0]:
            said += os.read(controller, 4096)
            if b"ready" in said and not interrupted:
                interrupted = True
                os.write(controller, b"\x03")
        os.close(controller)
        process.kill()
    assert b"code 1 True end" in said


def test_in_another_thread_a_command_runs_without_handlers() -> None:
    found = []
    thread = threading.Thread(
        target=lambda: found.append(run_command(["echo", "x"], nothing, limit_seconds=LIMIT))
    )
    thread.start()
    thread.join(30)
    assert found[0].output == b"x\n"


@pytest.mark.parametrize("size", [0, 1, 9_999, 20_000, 20_001, 123_457])
@pytest.mark.parametrize("piece_size", [1_000, 7_777, 200_000])
def test_of_a_long_output_the_beginning_and_the_end_are_kept(size: int, piece_size: int) -> None:
    whole = b"".join(b"%09d\n" % number for number in range(size // 10 + 1))[:size]
    kept = KeptOutput(10_000, 10_000)
    for start in range(0, size, piece_size):
        kept.add(whole[start : start + piece_size])
    found = kept.joined()
    if size <= 20_000:
        assert (found, kept.left_out) == (whole, 0)
        return
    assert kept.left_out == size - 20_000
    head, note, tail = found.partition(b"\n[deedbook: ")
    missing, _, rest = tail.partition(b" bytes are left out here]\n\n")
    assert note
    assert whole.startswith(head)
    assert whole.endswith(rest)
    assert len(head) + int(missing.replace(b",", b"")) + len(rest) == size
    assert head.endswith(b"\n")
    assert rest[:9].isdigit()


def test_bytes_without_lines_are_kept_too() -> None:
    kept = KeptOutput(10_000, 10_000)
    kept.add(b"\xff" * 50_000)
    found = kept.joined()
    assert found.startswith(b"\xff" * 10_000)
    assert found.endswith(b"\xff" * 10_000)
    assert b"30,000 bytes" in found
