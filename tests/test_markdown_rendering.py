"""What a page shows of Markdown beyond CommonMark: front matter, tables, tasks, code, formulas, citations, headings."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from projections.markdown import renderer as limits
from projections.markdown.front_matter import MAX_CHARACTERS
from projections.markdown.headings import Heading
from projections.markdown.highlight import LANGUAGES, MAX_CODE_CHARACTERS, highlight
from projections.markdown.whole import render_markdown
from tests.markdown_samples import DOCUMENTS, REL


def html(text: str) -> str:
    return render_markdown(text).html.replace(REL, "")


def test_front_matter_is_a_card_and_its_values_are_given() -> None:
    whole = render_markdown('---\ntitle: "A <plan>"\ntags:\n  - a\n  - b\nempty:\n---\n\nText\n')
    assert whole.html == (
        '<dl class="front-matter">\n<dt>title</dt>\n<dd>A &lt;plan&gt;</dd>\n'
        "<dt>tags</dt>\n<dd><pre><code>  - a\n  - b</code></pre></dd>\n"
        "<dt>empty</dt>\n<dd></dd>\n</dl>\n<p>Text</p>\n"
    )
    assert whole.front_matter == (("title", "A <plan>"), ("tags", "  - a\n  - b"), ("empty", ""))


@pytest.mark.parametrize(
    "text",
    [
        "---\n\nkey: value\n---\n",
        "---\nkey: value\n",
        "---\nNo key here.\n---\n",
        "--- \nkey: " + "x" * MAX_CHARACTERS + "\n---\n",
        "\n---\nkey: value\n---\n",
        "----\nkey: value\n----\n",
    ],
)
def test_other_lines_at_the_start_are_markdown(text: str) -> None:
    assert "front-matter" not in html(text)
    assert "<hr>" in html(text)


def test_front_matter_that_is_no_list_of_keys_is_shown_as_it_is_written() -> None:
    whole = render_markdown("---\na: 1\n!odd <line>\n---\n")
    assert whole.html == (
        '<pre class="front-matter"><code>---\na: 1\n!odd &lt;line&gt;\n---\n</code></pre>\n'
    )
    assert whole.front_matter == ()


def test_a_table_scrolls_in_an_element_of_its_own_and_is_aligned_by_classes() -> None:
    shown = html("| a | b | c | d |\n|:--|:-:|--:|---|\n| 1 | *2* | `3` | [4](/x) |\n")
    assert shown.startswith(
        '<div class="table-scroll" tabindex="0" role="region" aria-label="Table">\n'
    )
    assert '<th class="ta-left">a</th>\n<th class="ta-center">b</th>' in shown
    assert '<td class="ta-right"><code>3</code></td>\n<td><a href="/x">4</a></td>' in shown
    assert "style" not in shown


def test_an_image_is_its_words_and_loads_nothing() -> None:
    html = render_markdown(
        "![a *map*](https://x.example/m.png 'M') ![](http://x.example/) ![near](m.png)\n\n"
        "[![badge](https://x.example/b.svg)](https://x.example/ci)\n"
    ).html
    assert "<img" not in html
    assert 'class="image" href="https://x.example/m.png"' in html.replace(" rel=", " x=")
    assert ">a map</a>" in html
    assert ">image</a>" in html
    assert '<span class="image">near</span>' in html
    assert '<span class="image">badge</span></a>' in html


def test_tasks_have_boxes_that_are_characters() -> None:
    assert html("- [ ] a\n- [X] *b*\n- c\n") == (
        '<ul>\n<li class="task"><span class="task-box">☐</span> a</li>\n'
        '<li class="task"><span class="task-box">☑</span> <em>b</em></li>\n<li>c</li>\n</ul>\n'
    )


def test_code_of_a_known_language_is_marked_and_other_code_is_not() -> None:
    assert html("```python\nif x: # <y>\n```\n") == (
        '<pre class="highlight"><code class="language-python"><span class="k">if</span> '
        '<span class="n">x</span><span class="p">:</span> <span class="c1"># &lt;y&gt;</span>\n'
        "</code></pre>\n"
    )
    mermaid = "graph LR\n  a --&gt; b\n"
    assert html("```mermaid title\ngraph LR\n  a --> b\n```\n") == (
        f'<pre><code class="language-mermaid">{mermaid}</code></pre>\n'
    )
    assert html("```\nx\n```\n") == "<pre><code>x\n</code></pre>\n"
    assert html('```"><b>\nx\n```\n') == "<pre><code>x\n</code></pre>\n"
    assert "highlight" not in html(
        "```python\n" + "x = 1\n" * (MAX_CODE_CHARACTERS // 6 + 1) + "```\n"
    )


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_language_is_known_and_loses_nothing(language: str) -> None:
    marked = highlight("\n  x = 1 <a>\n\n", language)
    assert marked is not None
    assert "<a>" not in marked


def test_formulas_are_mathml_and_those_that_cannot_be_read_are_code() -> None:
    assert html("$a^2$") == (
        '<p><math xmlns="http://www.w3.org/1998/Math/MathML" display="inline"><mrow><msup><mi>a</mi>'
        "<mn>2</mn></msup></mrow></math></p>\n"
    )
    for text in ("$$\n\\frac{a}{b}\n$$\n", "$$\\frac{a}{b}$$\n", "> $$\n> \\frac{a}{b}$$\n"):
        assert '<div class="math"><math' in html(text)
        assert "<mfrac>" in html(text)
    assert "<mtable" in html("\\begin{alignat}{2}\na &= b \\\\\nc &= d\n\\end{alignat}\n")
    assert html("$\\frac{$") == "<p><code>\\frac{</code></p>\n"
    assert html("$" + "{" * 1500 + "$").startswith("<p><code>{{")
    assert html("$" + "x" * 2001 + "$").startswith("<p><code>xx")
    assert html("$x$ " * 201).endswith(" <code>x</code></p>\n")
    assert html("It costs $5, or $ 6, or 7$.\n") == "<p>It costs $5, or $ 6, or 7$.</p>\n"


def test_a_formula_without_an_end_goes_as_far_as_a_blank_line() -> None:
    assert html("$$\n# a\n\n# b\n$$ x\n") == (
        '<pre class="math"><code># a</code></pre>\n<h1 id="h-b">b</h1>\n<p>$$ x</p>\n'
    )
    assert html("- $$\n# a\n$$\n").startswith('<ul>\n<li>\n<pre class="math"><code></code></pre>')


def test_citations_lead_to_the_list_and_are_given() -> None:
    whole = render_markdown(
        "[@smith-2020], [see](citation:2), <citation:2>, [](CITATION:3), [r], [@scope/x](/y) `[@no]` \\[@no]\n\n"
        "[r]: citation:1\n",
        known=["smith-2020", "2", "3"],
    )
    assert whole.html.replace(REL, "").startswith(
        '<p><a class="cite" data-cite="smith-2020" href="#c-smith-2020">[smith-2020]</a>, '
        '<a class="cite" data-cite="2" href="#c-2">see</a>, <a class="cite" data-cite="2" href="#c-2">[2]</a>, '
        '<a class="cite" data-cite="3" href="#c-3">[3]</a>, '
        '<a class="cite" data-cite="1" href="#c-1" data-unresolved="true">r</a>, '
        '<a href="/y">@scope/x</a> <code>[@no]</code> [@no]</p>\n'
    )
    assert whole.citations == ("smith-2020", "2", "3", "1")
    assert "data-unresolved" not in html("[@whatever]")


def test_headings_have_ids_of_their_own_and_are_given() -> None:
    whole = render_markdown(
        "# Goals, and *more*\n\nGoals\n=====\n\n> ## Goals\n\n# Goals 2\n\n# [Goals](/x)\n\n# ???\n\n# Æther `x` [a][b]\n\n[b]: /y\n"
    )
    assert [(one.level, one.text, one.id) for one in whole.headings] == [
        (1, "Goals, and more", "h-goals-and-more"),
        (1, "Goals", "h-goals"),
        (2, "Goals", "h-goals-2"),
        (1, "Goals 2", "h-goals-2-2"),
        (1, "Goals", "h-goals-3"),
        (1, "???", "h-section"),
        (1, "Æther x a", "h-æther-x-a"),
    ]
    for one in whole.headings:
        assert whole.html.count(f'id="{one.id}"') == 1
    assert isinstance(whole.headings[0], Heading)


def test_no_two_headings_have_the_same_id() -> None:
    headings = render_markdown("# A 2\n\n# A\n\n# A\n\n# A 3\n\n# A\n").headings
    assert [one.id for one in headings] == ["h-a-2", "h-a", "h-a-3", "h-a-3-2", "h-a-4"]


def test_code_far_down_is_not_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "```js\nlet x\n```\n\n"
    assert html(code * 3).count("highlight") == 3
    monkeypatch.setattr(limits, "MAX_MARKED_CHARACTERS", len(code) + 1)
    assert html(code * 3).count("highlight") == 2


def test_many_threads_render_the_same() -> None:
    with ThreadPoolExecutor(4) as pool:
        for name, text in DOCUMENTS.items():
            results = list(pool.map(render_markdown, [text] * 8))
            assert all(one == results[0] for one in results), name
