"""Transcripts as a terminal would show them: colours as classes, and nothing that commands."""

import re
from pathlib import Path

import pytest

from projections import ansi
from projections.ansi import COLORS, MAX_COLUMNS, MAX_PARAMETERS, Span, line_count, terminal_lines

STYLES = Path(__file__).parent.parent / "app/web/static/deedbook.css"


def spans(text: str) -> list[tuple[str, str]]:
    """The only line of a text."""
    [line] = terminal_lines(text)
    return [(span.text, span.classes) for span in line.spans]


def seen(text: str) -> list[str]:
    """What can be read, line by line."""
    return ["".join(span.text for span in line.spans) for line in terminal_lines(text)]


def test_colours_become_classes_and_a_reset_ends_them() -> None:
    assert spans("a \x1b[31mred\x1b[0m b") == [("a ", ""), ("red", "ansi-red"), (" b", "")]
    assert spans("\x1b[1;4;92;44mx\x1b[mz") == [
        ("x", "ansi-bold ansi-underline ansi-bright-green ansi-on-blue"),
        ("z", ""),
    ]


@pytest.mark.parametrize(
    ("codes", "classes"),
    [
        ("1;2", "ansi-bold ansi-dim"),
        ("1;2;22", ""),
        ("3;23", ""),
        ("3", "ansi-italic"),
        ("4:3", "ansi-underline"),
        ("4;24", ""),
        ("4:3;4:0", ""),
        ("21", "ansi-underline"),
        ("9", "ansi-strike"),
        ("9;29", ""),
        ("31;39", ""),
        ("41;49", ""),
        ("97", "ansi-bright-white"),
        ("107", "ansi-on-bright-white"),
        ("7", "ansi-paper ansi-on-ink"),
        ("7;27", ""),
        ("7;31", "ansi-paper ansi-on-red"),
        ("7;41", "ansi-red ansi-on-ink"),
        ("7;31;42", "ansi-green ansi-on-red"),
        ("38;5;9", "ansi-bright-red"),
        ("38;5;196", "ansi-bright-red"),
        ("48;5;232", "ansi-on-black"),
        ("48;5;244", "ansi-on-bright-black"),
        ("38;2;200;0;10", "ansi-red"),
        ("38:2:200:0:10", "ansi-red"),
        ("38:2::200:0:10", "ansi-red"),
        ("38:5:4;1", "ansi-bold ansi-blue"),
        ("38;5;4;1", "ansi-bold ansi-blue"),
        ("58;5;1;1", "ansi-bold"),
        ("58;2;1;3;4;1", "ansi-bold"),
        ("38;5;256", ""),
        ("38;2;300;0;0", ""),
        ("38;5", ""),
        ("38", ""),
        ("38:2:1", ""),
        ("8", ""),
        ("5", ""),
        ("1;;31", "ansi-red"),
        ("99999999999999999999", ""),
    ],
)
def test_each_code_does_what_a_terminal_does(codes: str, classes: str) -> None:
    assert spans(f"\x1b[{codes}mx") == [("x", classes)]


def test_every_one_of_the_256_colours_and_of_all_is_one_of_the_sixteen() -> None:
    for index in range(256):
        [(_, name)] = spans(f"\x1b[38;5;{index}mx")
        assert name.removeprefix("ansi-") in COLORS
    for index, color in enumerate(COLORS):
        assert spans(f"\x1b[38;5;{index}mx") == [("x", f"ansi-{color}")]


def test_a_colour_lasts_over_the_end_of_a_line_and_onto_any_page() -> None:
    text = "one\n\x1b[32mtwo\nthree\n\x1b[0mfour\n"
    assert [line.spans for line in terminal_lines(text)][2] == (Span("three", "ansi-green"),)
    assert [line.spans for line in terminal_lines(text, first=3, most=1)] == [
        (Span("three", "ansi-green"),)
    ]
    assert [line.spans for line in terminal_lines(text, first=4)] == [(Span("four"),)]
    assert list(terminal_lines(text, first=5)) == []


def test_lines_are_counted_as_they_are_shown() -> None:
    for text in ("", "\n", "a", "a\n", "a\n\n", "a\nb", "\x0b\x0c\u2028"):
        assert line_count(text) == len(list(terminal_lines(text))), repr(text)
    assert [line_count(text) for text in ("", "a\n", "a\n\n")] == [0, 1, 2]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("10%\r20%\r30%\r\n", "30%"),
        ("100 of 100\rdone", "doneof 100"),  # nothing erased the rest
        ("100 of 100\r\x1b[Kdone", "done"),
        ("100 of 100\x1b[2K\rdone", "done"),
        ("100 of 100\x1b[1G\x1b[0Kdone", "done"),
        ("abc\b\bX", "aXc"),
        ("\b\bx", "x"),
        ("a\tb", "a\tb"),
        ("windows\r", "windows"),
    ],
)
def test_a_progress_line_is_what_it_came_to(written: str, read: str) -> None:
    assert seen(written) == [read]


def test_what_is_written_over_keeps_the_colours_of_both() -> None:
    assert spans("\x1b[31mabc\x1b[32m\rX\x1b[0m") == [("X", "ansi-green"), ("bc", "ansi-red")]


@pytest.mark.parametrize(
    "hostile",
    [
        "\x1b[2J\x1b[H",
        "\x1b[5A\x1b[1B\x1b[3C\x1b[2D\x1b[10;20H\x1b[s\x1b[u",
        "\x1b[?25l\x1b[?1049h\x1b[?2004l",
        "\x1b[>4;2m\x1b[?31m\x1b[0 m\x1b[31$m",
        "\x1b]0;a title\x07",
        "\x1b]0;a title\x1b\\",
        "\x1b]8;;https://evil.example\x1b\\\x1b]8;;\x07",
        "\x1b]52;c;cm0gLXJmIC8=\x07",
        "\x1bP1$r0m\x1b\\\x1bXsos\x1b\\\x1b^pm\x1b\\\x1b_apc\x1b\\",
        "\x1b(B\x1b)0\x1b7\x1b8\x1bM\x1bc\x1b=\x1b>\x1b#8",
        "\x00\x01\x05\x07\x0b\x0c\x0e\x0f\x7f\x80\x9b\x9d",
        "\x1b[6n\x1b[c\x1b[21t",
    ],
)
def test_what_commands_a_terminal_is_left_out(hostile: str) -> None:
    assert spans(f"before{hostile}after") == [("beforeafter", "")]


@pytest.mark.parametrize(
    ("hostile", "read"),
    [
        ("a\x1b", ["a"]),
        ("a\x1b[", ["a"]),
        ("a\x1b[31", ["a"]),
        ("a\x1b[31\nb", ["a", "b"]),
        ("a\x1b]0;never ends\nb", ["a", "b"]),
        ("a\x1b]0;never ends", ["a"]),
        ("a\x1bPq\x1b[31mb", ["ab"]),
        ("\x1b[8mhidden\x1b[28m", ["hidden"]),
        ("\x1b[\x1b[31mx", ["x"]),
    ],
)
def test_a_sequence_without_an_end_hides_no_other_line(hostile: str, read: list[str]) -> None:
    assert seen(hostile) == read


def test_text_that_would_be_shown_in_another_order_is_marked() -> None:
    assert seen("pass\u202edeliaf\u2066x") == ["pass\ufffddeliaf\ufffdx"]
    assert seen("שלום") == ["שלום"]


def test_markup_is_text_like_any_other() -> None:
    assert spans("<script>alert(1)</script>&amp;") == [("<script>alert(1)</script>&amp;", "")]


def test_classes_are_ours_whatever_a_sequence_says() -> None:
    text = "".join(f"\x1b[{code}mx" for code in range(1_000)) + '\x1b["onload=x;31mx\x1b[<script>mx'
    ours = re.compile(r"(ansi-[a-z-]+( ansi-[a-z-]+)*)?")
    for line in terminal_lines(text):
        assert all(ours.fullmatch(span.classes) for span in line.spans)


def test_a_line_has_a_width_and_says_when_it_is_cut() -> None:
    [whole] = terminal_lines("x" * MAX_COLUMNS)
    [cut] = terminal_lines("x" * MAX_COLUMNS + "\x1b[31my")
    assert (whole.cut, cut.cut) == (False, True)
    assert cut.spans == whole.spans
    [wiped] = terminal_lines("x" * (MAX_COLUMNS + 1) + "\r\x1b[Kshort")
    assert (wiped.spans, wiped.cut) == ((Span("short"),), False)


def test_more_parameters_than_a_sequence_has_do_nothing() -> None:
    assert spans("\x1b[" + "0;" * MAX_PARAMETERS + "31mx") == [("x", "")]
    assert spans("\x1b[" + "0;" * (MAX_PARAMETERS - 1) + "31mx") == [("x", "ansi-red")]


@pytest.mark.parametrize(
    "unit",
    ["\x1b[m", "\x1b", "\x1b[", "\x1b]", "\x1b]x\x07", "x\r", "x\b", "\x1b[1;", "\x1bP\x1b\\", "xy\r\x1b[K",
     "\x1b[2Kx", "\x1b[38;2;1;2;3mx"],
)  # fmt: skip
def test_the_work_grows_with_the_text_and_no_faster(
    unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in characters that are looked at or written, not in seconds."""
    done = 0
    token, write = ansi._TOKEN, ansi._Line.write

    class Counting:
        @staticmethod
        def finditer(text: str) -> object:
            nonlocal done
            for found in token.finditer(text):
                done += max(1, len(found[0]))
                yield found

    def counted(line: ansi._Line, text: str, style: ansi._Style) -> None:
        nonlocal done
        done += len(text)
        write(line, text, style)

    monkeypatch.setattr(ansi, "_TOKEN", Counting)
    monkeypatch.setattr(ansi._Line, "write", counted)
    for times in (500, 2_000):
        done = 0
        text = unit * times
        list(terminal_lines(text))
        assert done <= len(text)


def test_the_style_sheet_knows_every_class() -> None:
    sheet = STYLES.read_text("utf-8")
    marks = ("bold", "dim", "italic", "underline", "strike", "paper", "on-ink")
    for name in (*COLORS, *(f"on-{color}" for color in COLORS), *marks):
        assert re.search(rf"\.ansi-{name}\b(?!-)", sheet), name


def luminance(color: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """From 1 to 21 (WCAG 2.2)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_every_colour_can_be_read_on_the_ground_of_a_transcript(scheme: int) -> None:
    sheet = STYLES.read_text("utf-8")
    pairs = {
        name: (light, dark)[scheme]
        for name, light, dark in re.findall(
            r"--([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", sheet
        )
    }

    def value(rule: str) -> str:
        known = re.fullmatch(r"light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", rule)
        return known[1 + scheme] if known else pairs[rule[6:-1]]

    for color in COLORS:
        [rule] = re.findall(rf"\.ansi-{color} \{{ color: ([^;]+);", sheet)
        for ground in ("sunk", "accent-wash"):
            assert contrast(value(rule), pairs[ground]) >= 4.5, (color, ground)
        [(ground_rule, ink)] = re.findall(
            rf"\.ansi-on-{color}[ ,][^{{]*\{{ background: ([^;]+); color: ([^;]+);", sheet
        )
        assert contrast(value(ground_rule), value(ink)) >= 4.5, f"on {color}"
