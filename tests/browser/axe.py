"""axe's judgement of a page: the rules of WCAG 2.2, levels A and AA, and its best practices."""

from typing import Any

from tests.browser.screen import Screen

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"]
OPTIONS = {"runOnly": TAGS, "resultTypes": ["violations"]}


def violations(screen: Screen) -> list[str]:
    """One line for each element that breaks a rule: the rule, where, and why."""
    from axe_playwright_python.sync_playwright import Axe

    found: dict[str, Any] = Axe().run(screen.page, options=OPTIONS).response
    assert found["passes"], "axe looked at nothing"
    return [
        f"{rule['id']}: {' '.join(map(str, node['target']))}: {node['html'][:200]}: "
        + "; ".join(one["message"] for one in node["any"] + node["all"] + node["none"])
        for rule in found["violations"]
        for node in rule["nodes"]
    ]
