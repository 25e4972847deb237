"""What a raw commit object of git says (`git cat-file commit`; gitformat: headers, blank, message)."""

import codecs
import re
from datetime import UTC, datetime, timedelta

import msgspec

from domain.errors import Damaged
from domain.patchset import Signature

_IDENTITY = re.compile(rb"(.*?)[ ]?<([^<>]*)>(.*)", re.DOTALL)
_WHEN = re.compile(rb"[ \t]*(-?[0-9]{1,15})(?:[ \t]+([+-])([0-9]{2})([0-9]{2}))?[ \t]*")
# Codecs that only map characters; Python has others that do more.
_TEXT_ENCODINGS = re.compile(
    r"latin-?1|iso-?8859-?[0-9]{1,2}|(?:windows-?|cp)[0-9]{3,4}|koi8-[ru]|euc-?(?:jp|kr)|shift[-_]?jis"
    r"|big5|gbk|gb2312|gb18030|us-ascii|ascii",
    re.IGNORECASE,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CommitObject(msgspec.Struct, frozen=True, kw_only=True):
    """The statements of one commit; see `domain.patchset.Commit` for the words."""

    tree: str
    parents: tuple[str, ...]
    author: Signature
    committer: Signature
    message: str
    lossy: bool


def parse_commit(raw: bytes) -> CommitObject:
    """Read a commit object tolerantly: only its tree must be there.

    Raises:
        Damaged: `git-failed`.
    """
    head, _, message = raw.partition(b"\n\n")
    lines = head.split(b"\n")
    headers = [line.partition(b" ")[::2] for line in lines if not line.startswith(b" ")]
    first: dict[bytes, bytes] = {}
    for name, value in headers:
        first.setdefault(name, value)
    if b"tree" not in first:
        raise Damaged("git-failed", "A commit object of the repository names no tree.")
    text = _Text(first.get(b"encoding", b"").decode("ascii", "replace"))
    return CommitObject(
        tree=text.read(first[b"tree"]),
        parents=tuple(text.read(value) for name, value in headers if name == b"parent"),
        author=_signature(first.get(b"author", b""), text),
        committer=_signature(first.get(b"committer", b""), text),
        message=text.read(message),
        lossy=text.lossy,
    )


class _Text:
    """Decodes the bytes of one commit, and remembers whether all of them were text."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding.strip() if _TEXT_ENCODINGS.fullmatch(encoding.strip()) else ""
        self.lossy = False

    def read(self, raw: bytes) -> str:
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            text = self._declared(raw)
        if "\0" in text:
            self.lossy = True
            text = text.replace("\0", "\ufffd")
        return text

    def _declared(self, raw: bytes) -> str:
        if self._encoding:
            try:
                return codecs.decode(raw, self._encoding)
            except (UnicodeDecodeError, LookupError):
                pass
        self.lossy = True
        return raw.decode("utf-8", "replace")


def _signature(raw: bytes, text: _Text) -> Signature:
    found = _IDENTITY.fullmatch(raw)
    if found is None:
        return Signature(name=text.read(raw), email="")
    time, offset = _when(found[3])
    return Signature(name=text.read(found[1]), email=text.read(found[2]), time=time, offset=offset)


def _when(raw: bytes) -> tuple[str | None, str | None]:
    found = _WHEN.fullmatch(raw)
    if found is None:
        return None, None
    try:
        moment = _EPOCH + timedelta(seconds=int(found[1]))
    except OverflowError:
        return None, None
    offset = None
    if found[2] and int(found[3]) < 24 and int(found[4]) < 60:
        offset = (found[2] + found[3] + b":" + found[4]).decode("ascii")
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ").zfill(20), offset
