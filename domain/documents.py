"""Which artifact a Markdown document of a repository is: its kind, its key and its title.

The key depends on the path alone and is different for different paths, so two documents never meet
in one artifact and a document keeps its key over its history. The kind may also depend on the front
matter, which changes: decide it once, from the version at HEAD, and use it for every version.

Front matter is read line by line, flat scalars only. A YAML parser would bring anchors, tags and
aliases from untrusted text, and nothing we read needs them.
"""

import hashlib
import re
from typing import NamedTuple

from domain.artifact import IMPLEMENTATION_KINDS, MAX_TITLE_CHARACTERS
from domain.errors import Invalid
from domain.names import check_key, check_kind

MAX_FRONT_MATTER_LINES = 200
MAX_VALUE_CHARACTERS = 1_000
MAX_SCANNED_CHARACTERS = 256 * 1024


class Recognised(NamedTuple):
    """What a document is; the title is None when it states none."""

    kind: str
    key: str
    title: str | None


def is_markdown(path: str) -> bool:
    """Whether the name says Markdown: `.md` or `.markdown`, in any case."""
    return path.lower().endswith((".md", ".markdown"))


def recognise(path: str, text: str) -> Recognised:
    """The artifact that a document belongs to.

    The kind is the first that is found:

    1. front matter `kind:`, when it is a well-formed kind of document;
    2. an ADR or SPEC number: front matter `adr:`, `spec:` or `id:`, then the file name
       (`SPEC-0008….md`, or `0006-….md` in a folder of decisions or specs): `SPEC_0008`, `ADR_0006`;
    3. the file name: PRD, ARCHITECTURE_OVERVIEW, SECURITY_MODEL, ROADMAP, CODEX_PROMPTS, README …;
    4. the title: an ADR or SPEC number, or PRD;
    5. else `DOCUMENT`.

    Args:
        path: Within the repository, with slashes.
        text: The document at HEAD.
    """
    matter = front_matter(text)
    title = title_of(text)
    return Recognised(_kind(path, matter, title), key_of(path), title)


def key_of(path: str) -> str:
    """The key of the document at a path: injective, at most 90 bytes escaped.

    `docs/specs/SPEC-0008.md` is `docs.specs.SPEC-0008`; a dot inside a name is `._`. A path that
    this cannot spell gets a readable end and the start of its SHA-256, after `.__`.
    """
    if path.endswith(".md") and all(_PIECE.fullmatch(p) for p in re.split(r"[./]", path[:-3])):
        key = path[:-3].replace(".", "._").replace("/", ".")
        try:
            check_key(key)
        except Invalid:
            pass
        else:
            return key
    readable = re.sub(r"[^a-z0-9/]+", "-", path.lower().rpartition(".")[0]).replace("/", ".")
    tail = re.sub(r"-*\.-*", ".", readable)[-40:].strip("-.")
    digest = hashlib.sha256(path.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"{tail or 'document'}.__{digest}"


def title_of(text: str) -> str | None:
    """The title that a document states: front matter `title:`, else its first `# heading`."""
    stated = _plain(front_matter(text).get("title", ""))
    if stated:
        return stated
    fence = ""
    for line in _lines(text):
        opened = _FENCE.match(line)
        if opened and not fence:
            fence = opened[1]
        elif opened and opened[1].startswith(fence) and not line[opened.end() :].strip():
            fence = ""
        elif not fence and (heading := _HEADING.fullmatch(line)):
            title = _plain(re.sub(r"(?:^|[ \t])#+$", "", heading[1].rstrip(" \t")))
            if title:
                return title
    return None


def front_matter(text: str) -> dict[str, str]:
    """The flat `name: value` lines between `---` and `---` at the very start; names in lower case.

    Lists, nested values and block scalars are passed over. The first of equal names counts. Without
    a closing line there is no front matter.
    """
    lines = _lines(text)
    if not lines or lines[0].rstrip() != "---":
        return {}
    found: dict[str, str] = {}
    for line in lines[1:MAX_FRONT_MATTER_LINES]:
        if line.rstrip() in {"---", "..."}:
            return found
        matched = _SCALAR.match(line)
        if matched is None:
            continue
        value = _scalar(line[matched.end() :].strip()[:MAX_VALUE_CHARACTERS])
        if value:
            found.setdefault(matched[1].lower(), value)
    return {}


_PIECE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_SCALAR = re.compile(r"([A-Za-z][A-Za-z0-9_-]{0,63})[ \t]*:(?:[ \t]|$)")
_HEADING = re.compile(r" {0,3}#[ \t]+(.*)")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_NUMBERED = re.compile(r"(adr|spec)[-_ ]?([0-9]{1,8})(?![0-9])", re.IGNORECASE)
_LEADING_NUMBER = re.compile(r"([0-9]{3,8})(?![0-9])")
_FOLDERS = {
    "adr": "ADR",
    "adrs": "ADR",
    "decisions": "ADR",
    "spec": "SPEC",
    "specs": "SPEC",
    "specifications": "SPEC",
}
_NAMES = {
    "prd": "PRD",
    "product_requirements": "PRD",
    "product_requirements_document": "PRD",
    "architecture": "ARCHITECTURE_OVERVIEW",
    "architecture_overview": "ARCHITECTURE_OVERVIEW",
    "security_model": "SECURITY_MODEL",
    "threat_model": "SECURITY_MODEL",
    "roadmap": "ROADMAP",
    "codex_prompts": "CODEX_PROMPTS",
    "prompts": "CODEX_PROMPTS",
    "readme": "README",
    "changelog": "CHANGELOG",
    "changes": "CHANGELOG",
    "history": "CHANGELOG",
    "contributing": "CONTRIBUTING",
    "code_of_conduct": "CODE_OF_CONDUCT",
    "license": "LICENSE",
    "licence": "LICENSE",
    "security": "SECURITY",
}


def _kind(path: str, matter: dict[str, str], title: str | None) -> str:
    stated = matter.get("kind", "")
    if stated not in IMPLEMENTATION_KINDS:  # those are typed JSON, which Markdown cannot be
        try:
            check_kind(stated)
        except Invalid:
            pass
        else:
            return stated
    return (
        _numbered_in_matter(matter)
        or _numbered_in_name(path)
        or _named(path)
        or _titled(title or "")
        or "DOCUMENT"
    )


def _numbered_in_matter(matter: dict[str, str]) -> str | None:
    for name in ("adr", "spec", "id"):
        value = matter.get(name, "")
        if found := _NUMBERED.fullmatch(value):
            return _numbered(found[1], found[2])
        if name != "id" and re.fullmatch(r"[0-9]{1,8}", value):
            return _numbered(name, value)
    return None


def _numbered_in_name(path: str) -> str | None:
    *folders, name = path.split("/")
    if found := _NUMBERED.match(name):
        return _numbered(found[1], found[2])
    subject = _FOLDERS.get(folders[-1].lower()) if folders else None
    found = _LEADING_NUMBER.match(name)
    return _numbered(subject, found[1]) if subject and found else None


def _named(path: str) -> str | None:
    """The kind that a name such as `Architecture-Overview.md` or `README.de.md` means."""
    *folders, name = path.lower().split("/")
    stem = re.sub(r"[- ]", "_", name.partition(".")[0])
    if stem.startswith("prd_"):
        return "PRD"
    if stem == "overview" and folders and folders[-1] == "architecture":
        return "ARCHITECTURE_OVERVIEW"
    if stem == "security" and folders and folders[-1] != ".github":
        # At the top or in .github it is GitHub's page on how to report a weakness.
        return "SECURITY_MODEL"
    return _NAMES.get(stem)


def _titled(title: str) -> str | None:
    if found := _NUMBERED.match(title):
        return _numbered(found[1], found[2])
    if re.match(r"prd\b|product requirements\b", title, re.IGNORECASE):
        return "PRD"
    return None


def _numbered(subject: str, digits: str) -> str:
    """`ADR_0006` for ADR-6 and ADR-0006 alike."""
    return f"{subject.upper()}_{(digits.lstrip('0') or '0').zfill(4)}"


def _lines(text: str) -> list[str]:
    start = text[:MAX_SCANNED_CHARACTERS].removeprefix("\ufeff")
    return re.split(r"\r\n|\n|\r", start)


def _scalar(value: str) -> str:
    """A plain or quoted YAML scalar on one line; empty for anything else."""
    if value[:1] in {'"', "'"}:
        end = value.find(value[0], 1)
        return value[1:end] if end > 0 and "\\" not in value[1:end] else ""
    if value[:1] in set("[]{}|>&*!%@`#?"):
        return ""
    return re.split(r"[ \t]#", value, maxsplit=1)[0].rstrip()


def _plain(text: str) -> str:
    """Text for one line: no control or other unprintable characters, bounded length."""
    shown = "".join(c if c.isprintable() else " " for c in text[: 4 * MAX_TITLE_CHARACTERS])
    joined = " ".join(shown.split())
    if len(joined) > MAX_TITLE_CHARACTERS:
        joined = joined[: MAX_TITLE_CHARACTERS - 1].rstrip() + "…"
    return joined
