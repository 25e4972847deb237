r"""What a command wrote, as a terminal would show it: lines of spans with colours, and nothing that commands.

Colours and styles (SGR: ECMA-48 §8.3.117, colours of ISO 8613-6) become class names. A carriage return, a
backspace, "erase to the end of the line" and "go to column 1" are carried out within their line, so that a
progress bar is its last state. Every other control sequence (ECMA-48 §5.4: cursor moves, window titles,
hyperlinks, device strings) is left out. What a terminal could hide is shown: concealed text is text, and a
string that never ends, ends with its line.

The work grows with the text and with nothing else, whatever the text is.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby, islice

import msgspec

MAX_COLUMNS = 4_000
"""Of one line; what is written beyond is cut, and the line says so."""
MAX_PARAMETERS = 32
"""Of one SGR sequence; the rest do nothing, as in xterm."""
MAX_PARAMETER_CHARACTERS = 640

NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
COLORS = (*NAMES, *(f"bright-{name}" for name in NAMES))
"""The sixteen, in their order; classes are `ansi-<color>` and `ansi-on-<color>`."""

_PALETTE = (
    (0, 0, 0), (205, 0, 0), (0, 205, 0), (205, 205, 0),
    (0, 0, 238), (205, 0, 205), (0, 205, 205), (229, 229, 229),
    (127, 127, 127), (255, 0, 0), (0, 255, 0), (255, 255, 0),
    (92, 92, 255), (255, 0, 255), (0, 255, 255), (255, 255, 255),
)  # fmt: skip
"""As xterm paints them."""
_CUBE = (0, 95, 135, 175, 215, 255)

# Each alternative takes what it looks at, so that nothing is looked at twice. A string (OSC, DCS, SOS, PM, APC)
# ends at its terminator, else before the next escape or with its line, for lines come one at a time. The
# eight-bit controls begin nothing: in UTF-8 they are rather a text that was decoded wrongly, which must not
# swallow what follows.
_TOKEN = re.compile(
    r"\x1b\[(?P<parameters>[0-?]*)(?P<between>[ -/]*)(?P<final>[@-~]?)"
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"
    r"|\x1b[ -/]{0,2}[0-Z\\`-~]?"
    r"|(?P<move>[\r\b])"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
_SGR = re.compile(r"\x1b\[([0-9:;]*)m")
_NUMBER = re.compile(r"[0-9]{1,3}")
# Orders to show the text that follows in another order than it was written in (UAX #9): seen, not obeyed.
_REORDERING = re.compile("[\u202a-\u202e\u2066-\u2069]")


class Span(msgspec.Struct, frozen=True):
    """A text in one style; `classes` are separated by spaces, and empty for plain text."""

    text: str
    classes: str = ""


class ShownLine(msgspec.Struct, frozen=True):
    """One line; `cut`: it was longer than `MAX_COLUMNS`."""

    spans: tuple[Span, ...]
    cut: bool = False


class _Style(msgspec.Struct, frozen=True):
    """What SGR has set; colours are indices into `COLORS`, None is the terminal's own."""

    ink: int | None = None
    ground: int | None = None
    marks: frozenset[str] = frozenset()

    @property
    def classes(self) -> str:
        ink = None if self.ink is None else COLORS[self.ink]
        ground = None if self.ground is None else COLORS[self.ground]
        if "inverse" in self.marks:
            ink, ground = ground or "paper", ink or "ink"
        names = sorted(self.marks - {"inverse"})
        names += [ink] if ink else []
        names += [f"on-{ground}"] if ground else []
        return " ".join(f"ansi-{name}" for name in names)


_PLAIN = _Style()
_SET = {
    1: "bold",
    2: "dim",
    3: "italic",
    4: "underline",
    7: "inverse",
    9: "strike",
    21: "underline",
}
_UNSET = {
    22: {"bold", "dim"}, 23: {"italic"}, 24: {"underline"}, 27: {"inverse"}, 29: {"strike"},
}  # fmt: skip


def terminal_lines(text: str, *, first: int = 1, most: int | None = None) -> Iterator[ShownLine]:
    """Some lines of a transcript.

    Args:
        text: The whole of it: a colour lasts from line to line.
        first: The first line to show, from 1.
        most: How many; None: all that follow.
    """
    lines = text.removesuffix("\n").split("\n") if text else []
    style = _PLAIN
    for line in islice(lines, first - 1):
        for parameters in _SGR.findall(line):
            style = _after(style, parameters[:MAX_PARAMETER_CHARACTERS])
    for line in islice(lines, first - 1, None if most is None else first - 1 + most):
        shown = _Line()
        place = 0
        for found in _TOKEN.finditer(line):
            if found.start() > place:
                shown.write(line[place : found.start()], style)
            place = found.end()
            if found["move"] is not None:
                shown.move(found["move"])
            elif found["final"] is not None:
                shown.obey(found)
                if _SGR.fullmatch(found[0]):
                    style = _after(style, found["parameters"][:MAX_PARAMETER_CHARACTERS])
        shown.write(line[place:], style)
        yield shown.finish()


def line_count(text: str) -> int:
    """How many lines `terminal_lines` has for a text."""
    return text.removesuffix("\n").count("\n") + 1 if text else 0


class _Line:
    """The cells of one line of a terminal, and where its cursor is; never beyond the end."""

    def __init__(self) -> None:
        self._characters: list[str] = []
        self._styles: list[_Style] = []
        self._cursor = 0
        self._cut = False

    def write(self, text: str, style: _Style) -> None:
        fits = text[: MAX_COLUMNS - self._cursor]
        self._cut = self._cut or len(fits) < len(text)
        end = self._cursor + len(fits)
        self._characters[self._cursor : end] = fits
        self._styles[self._cursor : end] = [style] * len(fits)
        self._cursor = end

    def move(self, control: str) -> None:
        self._cursor = 0 if control == "\r" else max(0, self._cursor - 1)

    def obey(self, sequence: re.Match[str]) -> None:
        """Carry out EL (§8.3.41), of which a cursor that is never beyond the end leaves two, and CHA 1."""
        parameters, final = sequence["parameters"], sequence["final"]
        if sequence["between"]:
            return
        if final == "K" and parameters in {"", "0"}:
            del self._characters[self._cursor :], self._styles[self._cursor :]
            self._cut = False
        elif final == "K" and parameters == "2":
            self._characters.clear()
            self._styles.clear()
            self._cursor, self._cut = 0, False
        elif final == "G" and parameters in {"", "0", "1"}:
            self._cursor = 0

    def finish(self) -> ShownLine:
        spans, place = [], 0
        for style, cells in groupby(self._styles):
            end = place + sum(1 for _ in cells)
            text = "".join(self._characters[place:end])
            spans.append(Span(_REORDERING.sub("\ufffd", text), style.classes))
            place = end
        return ShownLine(tuple(spans), self._cut)


@lru_cache(maxsize=1_024)  # a transcript repeats its few
def _after(style: _Style, text: str) -> _Style:
    parameters = text.split(";")[:MAX_PARAMETERS]
    place = 0
    while place < len(parameters):
        parameter, colon, rest = parameters[place].partition(":")
        code = _number(parameter)
        place += 1
        if code in {38, 48, 58}:
            if colon:
                color = _color([_number(one) for one in rest.split(":")], named_space=True)
            else:
                given = [_number(one) for one in parameters[place : place + 4]]
                place += {5: 2, 2: 4}.get(given[0] if given else -1, 0)
                color = _color(given, named_space=False)
            if (
                color is not None and code != 58
            ):  # 58 is the colour of underlines, which is not shown
                style = _colored(style, code, color)
        else:
            style = _simple(style, code, rest)
    return style


def _simple(style: _Style, code: int, detail: str) -> _Style:
    """The style after a parameter of one number."""
    if code == 0:
        return _PLAIN
    if code in _UNSET or (code == 4 and detail == "0"):
        off = _UNSET.get(code, {"underline"})
        return msgspec.structs.replace(style, marks=style.marks - off)
    if code in _SET:
        return msgspec.structs.replace(style, marks=style.marks | {_SET[code]})
    for start, base, offset in ((30, 38, 0), (40, 48, 0), (90, 38, 8), (100, 48, 8)):
        if start <= code < start + 8:
            return _colored(style, base, code - start + offset)
    if code in {39, 49}:
        return _colored(style, code - 1, None)
    return style


def _colored(style: _Style, code: int, color: int | None) -> _Style:
    if code == 38:
        return msgspec.structs.replace(style, ink=color)
    return msgspec.structs.replace(style, ground=color)


def _number(text: str) -> int:
    """A parameter; an empty one is 0, and one that is too long to mean anything -1."""
    if text == "":
        return 0
    return int(text) if _NUMBER.fullmatch(text) else -1


def _color(given: list[int], *, named_space: bool) -> int | None:
    """The colour in what follows 38 or 48; None where it is none.

    Args:
        given: `5, index` or `2, red, green, blue`.
        named_space: `2, space, red, green, blue` is meant where there are five (ISO 8613-6 §4.2.7).
    """
    if len(given) >= 2 and given[0] == 5 and 0 <= given[1] <= 255:
        return _nearest_of_256(given[1])
    if given[:1] != [2]:
        return None
    parts = given[2:5] if named_space and len(given) >= 5 else given[1:4]
    if len(parts) < 3 or not all(0 <= part <= 255 for part in parts):
        return None
    return _nearest(parts[0] // 16, parts[1] // 16, parts[2] // 16)


def _nearest_of_256(index: int) -> int:
    if index < 16:
        return index
    if index >= 232:
        gray = 8 + 10 * (index - 232)
        return _nearest(gray // 16, gray // 16, gray // 16)
    index -= 16
    return _nearest(_CUBE[index // 36] // 16, _CUBE[index // 6 % 6] // 16, _CUBE[index % 6] // 16)


@lru_cache(maxsize=4_096)  # all there are: each part is a sixteenth of its range
def _nearest(red: int, green: int, blue: int) -> int:
    """The one of the sixteen that is least away from a colour."""
    color = (16 * red + 8, 16 * green + 8, 16 * blue + 8)
    return min(
        range(16),
        key=lambda index: sum(
            (one - other) ** 2 for one, other in zip(_PALETTE[index], color, strict=True)
        ),
    )
