"""The resolved configuration and what the run was made on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nelbo.report.html import Markup, definitions, details, element, section, table
from nelbo.report.subject import Subject

__all__ = ["configuration"]

LONG = 12  # entries of a list of numbers that are shown


def configuration(subject: Subject) -> Markup:
    """Settings, model and machine; folded, for few read them and some must."""
    config = subject.config
    settings = [(name, _text(value)) for name, value in config["settings"].items()]
    versions, machine = config.get("versions", {}), config.get("machine", {})
    facts = [
        ("Versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
        ("Machine", ", ".join(f"{name}: {value}" for name, value in machine.items())),
        ("Data SHA-256", str(config["data"].get("sha256", ""))),
        ("Run", subject.folder),
    ]
    tree = json.dumps(_abridged(config.get("objective", {})), indent=2, ensure_ascii=False)
    return section(
        "configuration",
        "Configuration",
        definitions(facts),
        details("All settings, as resolved", table(("Setting", "Value"), settings)),
        details("Objective and model", element("pre", tree)),
    )


def _abridged(value: Any) -> Any:
    """The spec tree with long lists of numbers (one a column) cut."""
    if isinstance(value, Mapping):
        return {name: _abridged(each) for name, each in value.items()}
    if isinstance(value, list) and len(value) > LONG:
        return [*value[:3], f"... {len(value)} in all"]
    return value


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
