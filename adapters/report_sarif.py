"""SARIF 2.1.0 (OASIS): each run is one check.

Of the format's three hundred members those are read that say what was found, how grave it is and
where; section numbers below are the standard's. External property files are not followed.
"""

from collections.abc import Iterator, Mapping, Sequence

from adapters.report_check import (
    FindingList,
    LintCounts,
    decoded,
    from_one,
    kept_path,
    malformed,
    name_of,
    one_line,
    plain,
)
from adapters.report_sarif_model import Invocation, Location, Log, Message, Result, Rule, Run
from adapters.report_sarif_uri import path_of_uri, refuse_script
from domain.verification import Category, Check, Counts, Finding, Level

FORMAT = "SARIF"
MAX_RUNS = 100
MAX_ID_PARTS = 8
_LINTERS = frozenset({"ruff", "eslint", "pylint", "flake8", "clippy", "golangci-lint", "biome"})
_LEVELS: dict[str, Level] = {
    "error": "error",
    "warning": "warning",
    "note": "note",
    "none": "note",
}


def read_sarif(raw: bytes, roots: Sequence[str] = ()) -> list[Check]:
    """The checks in a SARIF log, one for each run.

    Raises:
        Invalid: `report-malformed`, or `path-outside-repository` for a hostile URI.
    """
    log = decoded(raw, Log, FORMAT)
    if not 0 < len(log.runs) <= MAX_RUNS:
        raise malformed(FORMAT, f"it has {len(log.runs)} runs, not 1 to {MAX_RUNS}", "/runs")
    return [_check(run, roots, f"/runs/{index}") for index, run in enumerate(log.runs)]


def _check(run: Run, roots: Sequence[str], pointer: str) -> Check:
    if run.results is None:
        raise malformed(FORMAT, "a run without results says that nothing was looked at", pointer)
    driver = run.tool.driver
    _check_artifacts(run, pointer)
    findings, lint = FindingList(FORMAT), LintCounts()
    passed, not_applicable = 0, 0
    # The first of equal ids counts.
    by_id = {rule.id: rule for rule in reversed(driver.rules)}
    for index, result in enumerate(run.results):
        place = f"{pointer}/results/{index}"
        if result.baselineState == "absent":  # 3.27.24: no longer found
            continue
        if _is_suppressed(result):
            lint.suppressed = (lint.suppressed or 0) + 1
        elif result.kind == "pass":
            passed += 1
        elif result.kind == "notApplicable":
            not_applicable += 1
        else:
            rule = _rule(run, by_id, result, place)
            level = _level(run, result, rule)
            lint.of[level] += 1
            findings.add(_finding(run, result, rule, level, roots, place))
    for finding in _notifications(run.invocations):
        lint.of[finding.level] += 1
        findings.add(finding)
    codes = [one.exitCode for one in run.invocations if one.exitCode]
    counts = lint.counts()
    return findings.check(
        name=driver.name,
        category=_category(driver.name),
        tool=driver.name,
        tool_version=driver.semanticVersion or driver.version,
        exit_code=codes[0] if codes else None,
        counts=Counts(
            errors=counts.errors,
            warnings=counts.warnings,
            notes=counts.notes,
            suppressed=counts.suppressed,
            passed=passed or None,
            skipped=not_applicable or None,
        ),
    )


def _check_artifacts(run: Run, pointer: str) -> None:
    for name, base in run.originalUriBaseIds.items():
        refuse_script(base, f"{pointer}/originalUriBaseIds/{one_line(name, 40)}")
    for index, artifact in enumerate(run.artifacts):
        refuse_script(artifact.location, f"{pointer}/artifacts/{index}/location")


def _category(tool: str) -> Category:
    """Most tools that write SARIF look for weaknesses; `--category` says otherwise."""
    return "lint" if tool.lower() in _LINTERS else "security"


def _is_suppressed(result: Result) -> bool:
    """3.27.23, 3.35.3: one of its suppressions is in force, neither under review nor rejected.

    The standard leaves open what several suppressions mean together; its tutorial says this.
    """
    states = {one.status or one.state for one in result.suppressions or ()}
    return not states.isdisjoint({None, "accepted"})


def _rule(run: Run, by_id: Mapping[str, Rule], result: Result, place: str) -> Rule | None:
    """The rule of a result (3.27.5 to 3.27.7): by index, in the component named, else by id.

    An id may go on below that of its rule (3.27.5): `CA2101/1` is a case of `CA2101`.
    """
    reference = result.rule
    component = run.tool.driver
    index = result.ruleIndex
    rule_id = result.ruleId
    if reference is not None:
        index = reference.index if reference.index >= 0 else index
        rule_id = reference.id or rule_id
        named = reference.toolComponent
        if named is not None and named.index >= 0:
            if named.index >= len(run.tool.extensions):
                raise malformed(FORMAT, "it names a tool component that it does not have", place)
            component = run.tool.extensions[named.index]
    if index >= 0:
        if index < len(component.rules):
            return component.rules[index]
        if component.rules:
            raise malformed(FORMAT, "it names a rule that it does not have", f"{place}/ruleIndex")
    for _ in range(MAX_ID_PARTS):
        if not rule_id or rule_id in by_id:
            break
        rule_id = rule_id.rpartition("/")[0]
    return by_id.get(rule_id) if rule_id else None


def _level(run: Run, result: Result, rule: Rule | None) -> Level:
    """3.27.10: the result's own level; none for what is no failure; else its rule's, else warning."""
    if result.level is not None:
        return _LEVELS[result.level]
    if result.kind != "fail":
        return "note"
    if rule is None:
        return "warning"
    for invocation in run.invocations if len(run.invocations) == 1 else ():
        for override in invocation.ruleConfigurationOverrides:
            if override.descriptor.id == rule.id and override.configuration.level is not None:
                return _LEVELS[override.configuration.level]
    return _LEVELS[rule.defaultConfiguration.level or "warning"]


def _finding(
    run: Run, result: Result, rule: Rule | None, level: Level, roots: Sequence[str], place: str
) -> Finding:
    paths = [
        _path(run, location, roots, f"{place}/locations/{index}")
        for index, location in enumerate(result.locations)
    ]
    for index, related in enumerate(result.relatedLocations):
        if related.physicalLocation is not None:
            at = f"{place}/relatedLocations/{index}/physicalLocation/artifactLocation"
            refuse_script(related.physicalLocation.artifactLocation, at)
    physical = result.locations[0].physicalLocation if result.locations else None
    region = physical.region if physical is not None else None
    path = paths[0] if paths else None
    return Finding(
        level=level,
        message=_text(result.message, rule),
        rule=name_of(result.ruleId or (rule.id if rule is not None else None)),
        path=path,
        line=from_one(region.startLine) if region is not None and path else None,
        column=from_one(region.startColumn) if region is not None and path else None,
    )


def _path(run: Run, location: Location, roots: Sequence[str], place: str) -> str | None:
    """The path of a location (3.4): its URI, or that of the artifact it points to, on its base."""
    physical = location.physicalLocation
    artifact = physical.artifactLocation if physical is not None else None
    if artifact is None:
        return None
    place += "/physicalLocation/artifactLocation"
    if artifact.uri is None and artifact.index >= 0:
        if artifact.index >= len(run.artifacts):
            raise malformed(FORMAT, "it names an artifact that it does not have", place)
        artifact = run.artifacts[artifact.index].location
        if artifact is None:
            return None
    path = path_of_uri(artifact, run.originalUriBaseIds, roots, f"{place}/uri")
    return kept_path(path, roots, f"{place}/uri")


def _text(message: Message, rule: Rule | None) -> str:
    """The words of a message (3.11): its own, or those of its rule with the arguments put in."""
    if message.text is not None:
        return plain(message.text)
    if message.id is not None and rule is not None and message.id in rule.messageStrings:
        text = rule.messageStrings[message.id].text or ""
        for index, argument in enumerate(message.arguments[:20]):
            text = text[:10_000].replace(f"{{{index}}}", argument[:1_000])
        return plain(text)
    return plain(message.markdown or "")


def _notifications(invocations: Sequence[Invocation]) -> Iterator[Finding]:
    """What the tool says of its own failing (3.20.14, 3.20.21): each counts as an error."""
    for invocation in invocations:
        said = False
        for notification in (
            *invocation.toolExecutionNotifications,
            *invocation.toolConfigurationNotifications,
        ):
            if notification.level == "error":
                said = True
                rule = notification.descriptor.id if notification.descriptor is not None else None
                text = _text(notification.message, None)
                yield Finding(level="error", message=text, rule=name_of(rule))
        if invocation.executionSuccessful is False and not said and not invocation.exitCode:
            reason = one_line(invocation.exitCodeDescription or "it did not say why")
            yield Finding(level="error", message=f"The tool did not complete: {reason}")
