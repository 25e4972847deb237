"""The grammar of an export's paths, for those who read an archive.

It is the inverse of what `BundleFold` gives, and leaves no room for `..`, absolute paths, device
names, folders of their own, or twins.
"""

import re
from functools import lru_cache

from domain.errors import Invalid
from domain.names import check_kind, check_run_id, unescape_key
from projections import manifest as lists
from projections.bundle import EXTENSIONS, EXTENSIONS_OF_ORIGINALS
from projections.bundle_runs import OTHER_WORD, PLACE_WORDS, WORDS

_FOLDER = re.compile(r"[a-z0-9][a-z0-9-]{0,68}-(?:0|[1-9][0-9]{0,17})(?:-originals)?")
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")
_FIXED = frozenset(
    {
        lists.BAG_PATH,
        lists.BAG_INFO_PATH,
        lists.PAYLOAD_LIST_PATH,
        lists.TAG_LIST_PATH,
        lists.EVENTS_PATH,
        lists.LEAVES_PATH,
        lists.MANIFEST_PATH,
        lists.README_PATH,
        lists.TREE_PATH,
    }
)
_ENDINGS = frozenset((*EXTENSIONS.values(), "bin"))
_ENDINGS_OF_ORIGINALS = frozenset((*EXTENSIONS_OF_ORIGINALS.values(), "bin"))
_JSON = frozenset({"json"})
_WORDS = frozenset((*WORDS.values(), *PLACE_WORDS.values(), OTHER_WORD))
_SEVERAL = re.compile(r"-(?:[2-9]|[1-9][0-9]{1,3})(?=\.)")
"""The number of a second, third … content of one record."""


def check_path(path: str) -> None:
    """Refuse a path, with its top folder, that no file of an export can have.

    Raises:
        Invalid: `validation-failed`.
    """
    folder, _, inside = path.partition("/")
    _check_folder(folder)
    if inside in _FIXED:
        return
    match inside.split("/"):
        case ["data", "artifacts", kind, name]:
            _check_artifact(kind, name, _ENDINGS)
        case ["data", "originals", kind, name]:
            _check_artifact(kind, name, _ENDINGS_OF_ORIGINALS)
        case ["data", "citations", kind, name]:
            _check_artifact(kind, name, _JSON)
        case ["data", "runs", run, name]:
            check_run_id(run)
            if name != "bundle.json":
                _check_record(name)
        case _:
            raise _invalid("an export has no such file.")


@lru_cache(maxsize=16)  # an archive has one
def _check_folder(folder: str) -> None:
    if _FOLDER.fullmatch(folder) is None:
        raise _invalid("the top folder is not <project>-<position>, perhaps with -originals.")


def _check_artifact(kind: str, name: str, endings: frozenset[str]) -> None:
    check_kind(kind)
    unescape_key(_stem(name, endings))


def _check_record(name: str) -> None:
    if _stem(_SEVERAL.sub("", name, count=1), _ENDINGS) not in _WORDS:
        raise _invalid("a run has no such file.")


def _stem(name: str, endings: frozenset[str]) -> str:
    """What stands before `.v<n>.<ending>`."""
    start, _, ending = name.rpartition(".")
    stem, _, number = start.rpartition(".v")
    if ending not in endings or _NUMBER.fullmatch(number) is None:
        raise _invalid("it does not end with a version and a known ending.")
    return stem


def _invalid(sentence: str) -> Invalid:
    return Invalid("validation-failed", sentence)
