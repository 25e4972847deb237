"""Names that announce a secret, and values that only stand for one."""

import re
from functools import lru_cache

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_LAST = frozenset(
    {
        "apikey",
        "authorization",
        "cookie",
        "credential",
        "credentials",
        "passphrase",
        "passwd",
        "password",
        "secret",
        "token",
    }
)
_PAIRS = frozenset(
    {
        ("access", "key"),
        ("account", "key"),
        ("api", "key"),
        ("auth", "key"),
        ("connection", "string"),
        ("deploy", "key"),
        ("encryption", "key"),
        ("license", "key"),
        ("master", "key"),
        ("private", "key"),
        ("secret", "key"),
        ("service", "key"),
        ("shared", "key"),
        ("signing", "key"),
        ("ssh", "key"),
        ("storage", "key"),
    }
)
_JOINED = re.compile(
    r".+(?:password|passwd|passphrase|secret|token|apikey|accesskey|privatekey|secretkey)"
    r"|(?:accesskey|privatekey|secretkey|connectionstring)"
)
_NO_SECRET_TOKEN = frozenset(
    {"bos", "continuation", "csrf", "end", "eos", "next", "pad", "page", "start", "sync", "unk"}
)
_NOT_ITSELF = frozenset({"digest", "fingerprint", "hash", "hashed", "public"})
_WORKING_FOLDER = frozenset({"old"})

_PLACEHOLDER = re.compile(
    r"""
      [*xX.\u2022\u2026_#?-]*                              # ***, xxx, …
    | [<\[({].*[>\])}]                                     # <token>, [hidden], {password}
    | sha(?:1|256|384|512)[:-].*                           # a digest is none, it names one
    | \$.* | %.*                                           # ${TOKEN}, $(cat file), %s, %TOKEN%
    | .*(?:example|placeholder|redacted|changeme|change[_-]me|masked|removed|insert).*
    | (?:your|my|our|the|some|any|a|an)[_ -].*
    | (?:api[_-]?key|credentials?|demo|dummy|fake|false|foo|bar|hidden|nil|none|null|pass|passphrase
       |passwd|password|postgres|pwd|root|sample|secret|string|test|todo|token|true|undefined|user)
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)


@lru_cache(maxsize=4_096)  # the same few names come again and again
def is_secret_name(name: str) -> bool:
    """Whether a member, variable or option of this name holds a secret, word by word.

    `db_password`, `clientSecret` and `PGPASSWORD` do; `tokenizer`, `token_count` and
    `secret_scanning_enabled` do not.
    """
    words = [word.lower() for word in _WORDS.findall(name[:256])]
    if not words:
        return False
    last = words[-1]
    if not _NOT_ITSELF.isdisjoint(words):
        return False
    before = words[-2] if len(words) > 1 else ""
    if last == "token":
        return before not in _NO_SECRET_TOKEN
    if last == "pwd":
        return before != "" and before not in _WORKING_FOLDER
    return last in _LAST or (before, last) in _PAIRS or _JOINED.fullmatch(last) is not None


def is_placeholder(value: str) -> bool:
    """Whether a value stands for a secret without being one: `***`, `<redacted>`, `${VAR}`, empty."""
    text = value.strip().strip("'\"`")
    return len(text) < 512 and _PLACEHOLDER.fullmatch(text) is not None
