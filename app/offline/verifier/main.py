"""The command line of the verifier's one file: the options, states and exit codes of `deedbook verify`.

It is a command line of its own, because `click` cannot be packed; what it does is the same code.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

from app.error_text import other_problem, problem, sentence
from app.exit_codes import INTERRUPTED, NOT_VERIFIED, OK, UNEXPECTED, USAGE, exit_code_of
from app.offline.verify_given import Given, holds, keep_fork, verify_given
from app.offline.verify_report_text import report_json, report_text, said_beside
from app.printable import printable
from app.progress import Progress
from app.version import VERSION
from domain.errors import DeedbookError

COLORS = {"red": 31, "green": 32, "yellow": 33}
"""As terminals number them (ECMA-48)."""

HELP = """\
It replays the events, makes every file again, compares every byte, and checks the seal against
keys that you keep. Results:
  VERIFIED             genuine and complete, vouched for from outside      exit 0
  VERIFIED-UNANCHORED  genuine, and nothing outside the ledger vouches     exit 0
                       (with a warning; exit 3 with --require-anchor)
  INCOMPLETE           nothing contradicts, and something was not given:   exit 3
                       no seal, no keys, no proof that leads to the pin
  FAILED               it was changed, is another one, or is no export     exit 3
Wrong usage or input: exit 2. No such file: exit 5."""

OPTIONS = (
    ("--trust", "TRUST.json", "The ledger's public keys, as you keep them."),
    ("--sidecar", "FILE", "Its seal; default: FILE.zip.sigstore.json, if that is there."),
    (
        "--pin",
        "PIN",
        "A root known from elsewhere: ROOT@SIZE, or a file with that or a checkpoint.",
    ),
    ("--consistency", "FILE", "The proof that leads to a pin of a log that has grown since."),
    ("--witness-policy", "FILE", "Which witnesses must have cosigned the pin (C2SP tlog-policy)."),
    ("--head", "SHA", "The commit that it must be sealed for."),
    ("--since", "OLD.zip", "An older export: fail unless its log is the beginning of this one's."),
    ("--evidence", "FILE", "Where proof of two histories is kept, if --since finds them."),
)
READ = frozenset({"--trust", "--sidecar", "--consistency", "--witness-policy", "--since"})
"""The options that name a file to read."""


def main(arguments: Sequence[str]) -> int:
    """Run one command line; answers the exit code and lets no exception out."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal may know ASCII alone
    as_text = not any(one == "--json" or one.startswith("--output") for one in arguments)
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except _UsageError as error:
        _fail(f"{error} (usage)", other_problem("usage", str(error)), as_text=as_text)
        return USAGE
    except DeedbookError as error:
        _fail(sentence(error), problem(error), as_text=as_text)
        return exit_code_of(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except Exception as error:  # noqa: BLE001 -- the outermost edge of the process
        said = f"{type(error).__name__}: {error}"
        _fail(f"{printable(said)} (unexpected)", other_problem("unexpected", said), as_text=as_text)
        return UNEXPECTED
    return code


def command_line() -> argparse.ArgumentParser:
    """The options; a test holds them to those of `deedbook verify`."""
    parser = _Parser(
        prog="deedbook-verify",
        description="Check an export: offline, without a ledger, and without extracting anything.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("file", type=Path, metavar="FILE.zip")
    for name, metavar, text in OPTIONS:
        parser.add_argument(name, metavar=metavar, help=text, type=_file if name in READ else str)
    parser.set_defaults(evidence="equivocation.json")
    parser.add_argument(
        "--require-anchor",
        action="store_true",
        help="Fail unless something outside the ledger (a pin, witnesses) vouches for it.",
    )
    parser.add_argument(
        "--output",
        choices=("table", "json", "ndjson"),
        default="table",
        help="How results are printed.",
    )
    parser.add_argument(
        "--json",
        action="store_const",
        const="json",
        dest="output",
        help="The same as --output json.",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="No progress and no remarks.")
    parser.add_argument("--no-color", action="store_true", help="No colours (also NO_COLOR).")
    parser.add_argument("--version", action="version", version=f"deedbook-verify {VERSION}")
    return parser


class _UsageError(Exception):
    pass


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _UsageError(message)


def _file(name: str) -> Path:
    file = Path(name)
    if not file.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {printable(name)}")
    return file


def _run(arguments: Sequence[str]) -> int:
    try:
        options = command_line().parse_args(arguments)
    except SystemExit:  # after --help and --version
        return OK
    given = Given(
        file=options.file,
        trust=options.trust,
        sidecar=options.sidecar,
        pin=options.pin,
        consistency=options.consistency,
        witness_policy=options.witness_policy,
        head=options.head,
        since=options.since,
        evidence=Path(options.evidence),
        require_anchor=options.require_anchor,
    )
    with Progress("verify", in_bytes=True, hidden=options.quiet) as progress:
        verified = verify_given(given, progress)
    report = verified.report
    as_text = options.output == "table"
    # A convention of terminals (no-color.org), not a setting of ours.
    plain = options.no_color or bool(os.environ.get("NO_COLOR"))  # noqa: TID251 -- see above

    def paint(text: str, color: str) -> str:
        if plain or not sys.stdout.isatty():
            return text
        return f"\x1b[{COLORS[color]}m{text}\x1b[0m"

    if as_text:
        sys.stdout.write(report_text(report, given, paint) + "\n")
    else:
        sys.stdout.write(report_json(report, on_one_line=options.output == "ndjson") + "\n")
    kept = keep_fork(verified, given)
    if kept is not None:
        sys.stderr.write(f"warning: {printable(kept)}\n")
    for kind, text in said_beside(verified, given, as_text=as_text):
        if kind != "remark":
            sys.stderr.write(f"{kind}: {printable(text)}\n")
        elif not options.quiet:
            sys.stderr.write(f"{printable(text)}\n")
    return OK if holds(report, given) else NOT_VERIFIED


def _fail(said: str, problem: dict[str, object], *, as_text: bool) -> None:
    line = f"error: {said}" if as_text else msgspec.json.encode(problem).decode()
    sys.stderr.write(line + "\n")
