r"""Rules written for RE2, as Go spells them, turned into what Python's `re` reads.

Go lets a flag such as `(?i)` stand in the middle of a group and hold to that group's end; Python wants
it around what it is for. Patterns are for bytes, so that `\w`, `\s` and `\b` are ASCII as in RE2.
"""

import re

_GROUP_FLAGS = re.compile(r"\(\?([a-z]*(?:-[a-z]+)?)\)")
_CLASSES = {
    "[:alnum:]": "0-9A-Za-z",
    "[:alpha:]": "A-Za-z",
    "[:digit:]": "0-9",
    "[:lower:]": "a-z",
    "[:upper:]": "A-Z",
    "[:xdigit:]": "0-9A-Fa-f",
    "[:word:]": "0-9A-Za-z_",
}


def python_pattern(source: str) -> bytes:
    """An RE2 pattern as a pattern over bytes for `re`, with the same meaning."""
    out: list[str] = []
    open_flags: list[list[str]] = [[]]  # for each group: the flags turned on in it, still open
    at = 0
    while at < len(source):
        character = source[at]
        if character == "\\":
            escaped = source[at : at + 2]
            out.append("\\Z" if escaped == "\\z" else escaped)
            at += 2
        elif character == "[":
            end = _class_end(source, at)
            out.append(_class(source[at:end]))
            at = end
        elif found := _GROUP_FLAGS.match(source, at):
            out.append(f"(?{found[1]}:")
            open_flags[-1].append(found[1])
            at = found.end()
        else:
            if character == "(":
                open_flags.append([])
            elif character == ")":
                out.append(")" * len(open_flags.pop()))
            elif character == "|":
                out.append(")" * len(open_flags[-1]))
            out.append(character)
            if character == "|":
                out.extend(f"(?{flags}:" for flags in open_flags[-1])
            at += 1
    out.append(")" * len(open_flags[0]))
    return "".join(out).encode("ascii")


def trie(words: frozenset[bytes]) -> bytes:
    """A pattern that matches any of the words, the shortest where one begins another."""
    if b"" in words:
        return b""
    following: dict[bytes, set[bytes]] = {}
    for word in words:
        following.setdefault(word[:1], set()).add(word[1:])
    parts = [re.escape(first) + trie(frozenset(rest)) for first, rest in sorted(following.items())]
    return parts[0] if len(parts) == 1 else b"(?:" + b"|".join(parts) + b")"


def _class_end(source: str, at: int) -> int:
    """Where the character class that begins at `at` ends."""
    end = at + 1
    if source[end] == "^":
        end += 1
    if source[end] == "]":
        end += 1
    while source[end] != "]":
        if source.startswith("[:", end):
            end = source.index(":]", end) + 2
        else:
            end += 2 if source[end] == "\\" else 1
    return end + 1


def _class(text: str) -> str:
    for name, members in _CLASSES.items():
        text = text.replace(name, members)
    # Python warns of a bare [ inside: it may mean something one day.
    return text[0] + re.sub(r"(?<!\\)\[", r"\\[", text[1:])
