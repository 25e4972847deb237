"""The members of SARIF 2.1.0 that are read, by the names of the standard.

Each is held to the type that the official schema gives it; the tests hold samples to that schema.
"""

from typing import Literal

import msgspec

LevelName = Literal["none", "note", "warning", "error"]
Kind = Literal["notApplicable", "pass", "fail", "review", "open", "informational"]
BaselineState = Literal["new", "unchanged", "updated", "absent"]
SuppressionStatus = Literal["accepted", "underReview", "rejected"]


class _Part(msgspec.Struct, frozen=True):
    pass


class Message(_Part, frozen=True):
    """3.11."""

    text: str | None = None
    markdown: str | None = None
    id: str | None = None
    arguments: tuple[str, ...] = ()


class ArtifactLocation(_Part, frozen=True):
    """3.4."""

    uri: str | None = None
    uriBaseId: str | None = None  # noqa: N815 -- the standard's name
    index: int = -1


class Region(_Part, frozen=True):
    """3.30."""

    startLine: int | None = None  # noqa: N815 -- the standard's name
    startColumn: int | None = None  # noqa: N815 -- the standard's name


class PhysicalLocation(_Part, frozen=True):
    """3.29."""

    artifactLocation: ArtifactLocation | None = None  # noqa: N815 -- the standard's name
    region: Region | None = None


class Location(_Part, frozen=True):
    """3.28."""

    physicalLocation: PhysicalLocation | None = None  # noqa: N815 -- the standard's name


class ComponentReference(_Part, frozen=True):
    """3.54."""

    index: int = -1


class RuleReference(_Part, frozen=True):
    """3.52."""

    id: str | None = None
    index: int = -1
    toolComponent: ComponentReference | None = None  # noqa: N815 -- the standard's name


class Suppression(_Part, frozen=True):
    """3.35; drafts of the standard call the status `state`."""

    status: SuppressionStatus | None = None
    state: SuppressionStatus | None = None


class Result(_Part, frozen=True):
    """3.27."""

    message: Message
    ruleId: str | None = None  # noqa: N815 -- the standard's name
    ruleIndex: int = -1  # noqa: N815 -- the standard's name
    rule: RuleReference | None = None
    kind: Kind = "fail"
    level: LevelName | None = None
    locations: tuple[Location, ...] = ()
    relatedLocations: tuple[Location, ...] = ()  # noqa: N815 -- the standard's name
    suppressions: tuple[Suppression, ...] | None = None
    baselineState: BaselineState | None = None  # noqa: N815 -- the standard's name


class Configuration(_Part, frozen=True):
    """3.50."""

    level: LevelName | None = None


class Words(_Part, frozen=True):
    """3.12."""

    text: str | None = None


class Rule(_Part, frozen=True):
    """3.49."""

    id: str
    defaultConfiguration: Configuration = Configuration()  # noqa: N815 -- the standard's name
    messageStrings: dict[str, Words] = {}  # noqa: N815 -- the standard's name


class Component(_Part, frozen=True):
    """3.19."""

    name: str
    version: str | None = None
    semanticVersion: str | None = None  # noqa: N815 -- the standard's name
    rules: tuple[Rule, ...] = ()


class Tool(_Part, frozen=True):
    """3.18."""

    driver: Component
    extensions: tuple[Component, ...] = ()


class Notification(_Part, frozen=True):
    """3.58."""

    message: Message
    level: LevelName = "warning"
    descriptor: RuleReference | None = None


class Override(_Part, frozen=True):
    """3.51."""

    descriptor: RuleReference
    configuration: Configuration


class Invocation(_Part, frozen=True):
    """3.20."""

    executionSuccessful: bool | None = None  # noqa: N815 -- the standard's name
    exitCode: int | None = None  # noqa: N815 -- the standard's name
    exitCodeDescription: str | None = None  # noqa: N815 -- the standard's name
    toolExecutionNotifications: tuple[Notification, ...] = ()  # noqa: N815 -- the standard's name
    toolConfigurationNotifications: tuple[Notification, ...] = ()  # noqa: N815 -- the standard's name
    ruleConfigurationOverrides: tuple[Override, ...] = ()  # noqa: N815 -- the standard's name


class Artifact(_Part, frozen=True):
    """3.24."""

    location: ArtifactLocation | None = None


class Run(_Part, frozen=True):
    """3.14."""

    tool: Tool
    results: tuple[Result, ...] | None = None
    invocations: tuple[Invocation, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    originalUriBaseIds: dict[str, ArtifactLocation] = {}  # noqa: N815 -- the standard's name


class Log(_Part, frozen=True):
    """3.13."""

    version: Literal["2.1.0"]
    runs: tuple[Run, ...]
