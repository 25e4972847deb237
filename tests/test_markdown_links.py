"""Where Markdown links to: found as CommonMark reads it, and not in code, comments or escapes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.markdown_links import destinations


def found(markdown: str) -> list[str]:
    return [target for target, _ in destinations(markdown)]


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("[a](x)", ["x"]),
        ("![a](x)", ["x"]),
        ("[a]( x )", ["x"]),
        ("[a](\nx\n)", ["x"]),
        ("[a](<x>)", ["x"]),
        ("[a](<>)", [""]),
        ("[a](<x y>)", ["x y"]),
        ('[a](x "title")', ["x"]),
        ("[a](x 'ti\\'tle')", ["x"]),
        ("[a](x (title))", ["x"]),
        ("[a [b] c](x)", ["x"]),
        ("[![b](y)](x)", ["y", "x"]),
        ("[a](x)[b](y)", ["x", "y"]),
        ("[a\nb](x)", ["x"]),
        ("[](x)", ["x"]),
        ("a] (x) [b](y)", ["y"]),
        ("<https://example.com/a>", ["https://example.com/a"]),
        ("<citation:1>", ["citation:1"]),
        ("[a]: x", ["x"]),
        ("[a]:\n  <x> 'title'", ["x"]),
        ("text\n[a]: x", ["x"]),
        ("> [a]: x", ["x"]),
        ("# [a](x)", ["x"]),
        ("- [a](x)\n- [b](y)", ["x", "y"]),
        ("> [a](x)\n>\n> [b](y)", ["x", "y"]),
        ("| [a](x) | [b](y) |", ["x", "y"]),
        ("- item\n\n    [a](x)", ["x"]),
        ("text\n    [a](x)", ["x"]),
        ("* [a](x)", ["x"]),
        ("12) [a](x)", ["x"]),
    ],
)
def test_links_are_found(markdown: str, expected: list[str]) -> None:
    assert found(markdown) == expected


@pytest.mark.parametrize(
    "markdown",
    [
        "[a] (x)",
        "a](x)",
        "\\[a](x)",
        "[a\\](x)",
        "[a](x y)",
        "[a](x",
        "[a](<x\ny>)",
        "[a](x 'open)",
        "`[a](x)`",
        "`` ` [a](x) ``",
        "`a\n[a](x)`",
        "```\n[a](x)\n```",
        "``` md\n[a](x)\n``",
        "~~~\n[a](x)\n```\n[b](y)\n~~~",
        "````\n```\n[a](x)\n````",
        "> ```\n> [a](x)\n> ```",
        "- ```\n  [a](x)\n  ```",
        "    [a](x)",
        "\t[a](x)",
        " \t[a](x)",
        "text\n\n    [a](x)\n\n    [b](y)",
        "```\nx\n```\n    [a](x)",
        "<!-- [a](x) -->",
        "<!--\n[a](x)\n\n[b](y)\n-->",
        "a <!-- [a](x)\n[b](y) --> b",
        "<!-- a -->\n    [a](x)",
        "<not a link:x>",
        "<a:x>",
        "[a]: ",
        "[]: x",
        "",
    ],
)
def test_what_only_looks_like_a_link_is_not(markdown: str) -> None:
    assert found(markdown) == []


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("` [a](x)", ["x"]),
        ("`` [a](x) `", ["x"]),
        ("\\`[a](x)`", ["x"]),
        ("`a` [a](x) `b`", ["x"]),
        ("`a\n\n`[a](x)", ["x"]),
        ("```\ncode\n```\n[a](x)", ["x"]),
        ("~~~ ~~~\ncode\n~~~\n[a](x)", ["x"]),
        ("``` a`b\n[a](x)", ["x"]),
        ("    ```\n\n[a](x)", ["x"]),
        ("text\n    ```\n[a](x)", ["x"]),
        ("    <!--\n\n[a](x)", ["x"]),
        ("<!-- a -->\n[a](x)", ["x"]),
        ("a <!-- b [a](x)", ["x"]),
        ("a <!-- b --> [a](x) <!-- c --> [b](y)", ["x", "y"]),
        ("- item\n\ntext\n\n    [code](x)\n\n[b](y)", ["y"]),
        ("\\\\[a](x)", ["x"]),
        ("\\\n[a](x)", ["x"]),
        ("[a](\\x) [b](y)", ["y"]),
        ("text\\", []),
    ],
)
def test_code_and_comments_end_where_they_end(markdown: str, expected: list[str]) -> None:
    assert found(markdown) == expected


def test_lines_are_counted_from_the_first() -> None:
    text = "[a](1)\n\n```\n[no](0)\n```\n[b](6)\r\n[c](7) [d](7)\r\n[e]: 8\n\n<!--\n\n-->\n[f](13)"
    assert list(destinations(text)) == [
        ("1", 1),
        ("6", 6),
        ("7", 7),
        ("7", 7),
        ("8", 8),
        ("13", 13),
    ]


PIECES = st.sampled_from(
    [
        *("[", "]", "(", ")", "`", "``", "```", "~~~", "<", ">", "\\", "\n", " ", "    ", "!", '"'),
        *("<!--", "-->", "a", "x:y", "- ", "1. ", "[a](citation:1)", ": "),
    ]
)


@given(st.lists(PIECES, max_size=30).map("".join))
def test_any_text_is_read_and_lines_are_in_it(markdown: str) -> None:
    lines = [line for _, line in destinations(markdown)]
    assert lines == sorted(lines)
    assert all(1 <= line <= markdown.count("\n") + 1 for line in lines)


@given(st.lists(PIECES, max_size=12).map("".join))
def test_a_link_behind_a_blank_line_and_no_open_block_is_found(before: str) -> None:
    """What is closed before it cannot hide it."""
    if "`" in before or "~" in before or "<!--" in before:
        return
    assert found(before + "\n\ntext\n\n[a](citation:2)")[-1] == "citation:2"


@pytest.mark.parametrize(
    "piece",
    ["[", "]", "`", "(", "<", "<!--", "[a](", "[a]: ", "\\", "> ", "- ", "[x]" * 9, '[a](b "'],
)
def test_a_repeated_piece_is_read_through(piece: str) -> None:
    assert found(piece * 20_000 + "\n\n[a](x)")[-1:] in (["x"], [])
