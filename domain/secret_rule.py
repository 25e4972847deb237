"""A rule that knows one kind of secret by its shape, and a set of such rules read from a document.

The document is a gitleaks configuration: for each rule a pattern, keywords of which one must stand
there before the pattern is tried, the least entropy of a match, and what is allowed all the same. A
rule is compiled when its keyword is first met: reading the set costs little, and most are never met.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Literal

import msgspec

from domain.secret_syntax import python_pattern, trie

_LEFT_OUT = frozenset(
    {
        "curl-auth-header",  # `domain.secret_shapes` knows headers, whichever program sends them
        "curl-auth-user",  # likewise --user and its like
        "freemius-secret-key",  # any 29 characters after `secret_key`: only of use in .php files
        "hashicorp-tf-password",  # any quoted word beside `password`: only of use in .tf files
        "kubernetes-secret-yaml",  # any base64 in YAML that also says `kind: Secret`
        "nuget-config-password",  # any attribute called Password: only of use in nuget.config
        "pkcs12-file",  # goes by the file's name
        "private-key",  # `domain.secret_shapes` finds its end without searching back
        "sidekiq-sensitive-url",  # a URL with a password, as any other
    }
)
_LONG_NAME = 20  # a name so long is itself a run, whatever value follows
_NAME_BEFORE = r"[\w.-]{0,50}?"
_NAME = re.compile(r"^(?:\(\?i\))?(?:\(\?i:)?\(\?:(.*?)\)\(\?:\[ \\t")
# The value's end as gitleaks has it, and ours: also before a comma, a bracket that closes, a full stop.
_END = r"""(?:[\x60'"\s;]|\\[nr]|$)"""
_OUR_END = r"(?![\w+/=(-]|\.\w)"
_TAG = 4  # a keyword so short is a token's own prefix
_HEXADECIMAL = re.compile(rb"[0-9a-f]+")
_ENDLESS = re.compile(r"[]\w)](?:[+*]|\{\d+,\})")
_COMMON = frozenset({b"live_", b"test_", b"live_pub", b"test_pub", b"_pub"})


class Allowance(msgspec.Struct, frozen=True):
    """What a rule may match without it being a secret: patterns for its target, and words in it."""

    target: Literal["secret", "match", "line"]
    patterns: tuple[str, ...]
    words: frozenset[bytes]


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of secret.

    Attributes:
        description: What it is, in plain words.
        group: Of the pattern, that is the secret; 0 for the first that took part.
        entropy: In bits a character; a match at or below it is none.
        named: It goes by a name before the value, and the pattern begins with that name.
    """

    id: str
    description: str
    pattern: str
    group: int
    entropy: float
    keywords: frozenset[bytes]
    named: bool
    allowances: tuple[Allowance, ...]

    @property
    def compiled(self) -> re.Pattern[bytes]:
        """The pattern, for bytes."""
        return compiled(self.pattern)


class RuleSet(msgspec.Struct, frozen=True):
    """Rules by the keywords that lead to them; what finds these is for text in lower case.

    Attributes:
        tokens: Finds a keyword that is a part of the secret itself.
        plain: Finds those that are letters and digits only, which takes a fraction of the time.
        hexadecimal: Those that can stand in hexadecimal digits.
        endless: Those of them with a rule whose token may be of any length.
        by_token: The rules to try at what these found.
        names: Finds a name that stands before a secret; `by_name` likewise.
    """

    rules: tuple[Rule, ...]
    tokens: re.Pattern[bytes]
    plain: re.Pattern[bytes]
    hexadecimal: tuple[bytes, ...]
    endless: tuple[bytes, ...]
    by_token: dict[bytes, tuple[Rule, ...]]
    names: re.Pattern[bytes]
    by_name: dict[bytes, tuple[Rule, ...]]


@lru_cache(maxsize=1_024)
def compiled(pattern: str) -> re.Pattern[bytes]:
    """A pattern of a rule, compiled once."""
    return re.compile(python_pattern(pattern))


def read_rule_set(document: Mapping[str, object], further: tuple[Rule, ...] = ()) -> RuleSet:
    """The rules of a gitleaks configuration, and further ones."""
    given = msgspec.convert(document, _Document)
    everywhere = given.allowlist.allowance()
    rules = (
        *further,
        *(one.rule(everywhere) for one in given.rules if one.id not in _LEFT_OUT),
    )
    tokens: dict[bytes, list[Rule]] = {}
    names: dict[bytes, list[Rule]] = {}
    for rule in rules:
        beside = _beside(rule)
        for word in beside:
            names.setdefault(word, []).append(rule)
        for word in rule.keywords - (_COMMON if rule.named else frozenset()):
            if word not in beside or len(word) >= _LONG_NAME:
                tokens.setdefault(word, []).append(rule)
    by_token, by_name = _index(tokens), _index(names)
    plain = frozenset(word for word in by_token if word.isalnum())
    hexadecimal = tuple(sorted(word for word in plain if _HEXADECIMAL.fullmatch(word)))
    return RuleSet(
        rules=rules,
        tokens=re.compile(trie(frozenset(by_token))),
        plain=re.compile(trie(plain)),
        hexadecimal=hexadecimal,
        endless=tuple(
            word
            for word in hexadecimal
            if any(_ENDLESS.search(rule.pattern) for rule in by_token[word])
        ),
        by_token=by_token,
        names=re.compile(trie(frozenset(by_name))),
        by_name=by_name,
    )


def _beside(rule: Rule) -> frozenset[bytes]:
    """The keywords that stand before the secret, not in it."""
    if not rule.named:
        lower = rule.pattern.lower()
        return frozenset(
            word
            for word in rule.keywords
            if len(word) > _TAG and word.isalpha() and word.decode() not in lower
        )
    found = _NAME.match(rule.pattern)
    assert found is not None, rule.id
    names = found[1].lower()
    words = {
        word for word in rule.keywords if word.decode() in names or _is_one_of(names, word.decode())
    }
    if not words and rule.keywords <= _COMMON:
        words = {names.encode()}
    return frozenset(words)


def _is_one_of(names: str, word: str) -> bool:
    return re.match(f"(?i:{names})", word) is not None


def _index(found: dict[bytes, list[Rule]]) -> dict[bytes, tuple[Rule, ...]]:
    """The rules by keyword; a keyword that begins another stands for that one too."""
    shortest = {word for word in found if not any(word[:n] in found for n in range(1, len(word)))}
    return {
        short: tuple(
            {
                rule.id: rule
                for word, rules in sorted(found.items())
                if word.startswith(short)
                for rule in rules
            }.values()
        )
        for short in shortest
    }


class _Allowlist(msgspec.Struct, frozen=True, rename={"target": "regexTarget"}):
    target: Literal["secret", "match", "line"] = "secret"
    paths: tuple[str, ...] = ()
    regexes: tuple[str, ...] = ()
    stopwords: tuple[str, ...] = ()
    condition: Literal["OR", "AND"] = "OR"

    def allowance(self) -> Allowance:
        return Allowance(
            self.target, self.regexes, frozenset(word.lower().encode() for word in self.stopwords)
        )


class _Rule(msgspec.Struct, frozen=True, rename={"group": "secretGroup"}):
    id: str
    description: str
    regex: str = ""
    group: int = 0
    entropy: float = 0.0
    keywords: tuple[str, ...] = ()
    allowlists: tuple[_Allowlist, ...] = ()

    def rule(self, everywhere: Allowance) -> Rule:
        named = _NAME_BEFORE in self.regex
        return Rule(
            id=self.id,
            description=self.description,
            pattern=self.regex.replace(_NAME_BEFORE, "").replace(_END, _OUR_END),
            group=self.group,
            entropy=self.entropy,
            keywords=frozenset(word.lower().encode() for word in self.keywords),
            named=named,
            allowances=(everywhere, *self._allowances()),
        )

    def _allowances(self) -> Iterator[Allowance]:
        for one in self.allowlists:
            # One that also asks for a path says nothing of text without one.
            if (one.regexes or one.stopwords) and not (one.paths and one.condition == "AND"):
                yield one.allowance()


class _Document(msgspec.Struct, frozen=True):
    rules: tuple[_Rule, ...]
    allowlist: _Allowlist
