"""Reads sections of settings from layers: default < file < environment < flag, the later wins.

A section is a frozen dataclass that lives beside what it configures; its fields are the settings,
their annotations the types, their metadata `doc`, `min`, `max` and `secret`. This file discovers
them, so a new field of a section is a new setting and nothing else need be touched.

Invariants
 1. Every value carries where it came from, and every refusal names it: `edge.toml:7`, `FLEEK_EDGE_…`, `--x`.
 2. A section, key or variable that no section knows is refused with the nearest known name.
 3. No file is opened and no environment read here: both are passed in.
"""

import dataclasses
import difflib
import re
import tomllib
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from node.values import convert
from runtime.errors import EdgeError, UsageError

ENVIRONMENT_PREFIX: Final = "FLEEK_EDGE_"
DEFAULT: Final = "default"
_MASK: Final = "********"
_HEADER: Final = re.compile(r"\s*\[\s*([A-Za-z0-9_-]+)\s*\]")
_KEY: Final = re.compile(r"""\s*["']?([A-Za-z0-9_-]+)["']?\s*(?:\.\s*["']?([A-Za-z0-9_-]+)["']?\s*)?=""")
# Kubernetes puts these into every container beside a service named fleek-edge (docker links too).
_FOREIGN: Final = re.compile(r"FLEEK_EDGE_(SERVICE_(HOST|PORT.*)|PORT(_.*)?)")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as it stands: its value, and where that was written."""

    section: str
    key: str
    value: Any
    given_by: str
    doc: str
    secret: bool

    @property
    def name(self) -> str:
        """The name in messages and listings: `section.key`."""
        return f"{self.section}.{self.key}"

    @property
    def shown(self) -> Any:
        """The value for people and logs: secrets are masked, paths and enums are text."""
        if self.secret and self.value:
            return _MASK
        value = getattr(self.value, "value", self.value)
        if isinstance(value, tuple):
            return [str(item) for item in value]
        return str(value) if isinstance(value, Path) else value


@dataclass(frozen=True, slots=True)
class Given:
    """One value of one layer before it is typed."""

    section: str
    key: str
    value: object
    where: str


class Layers:
    """The values given for a set of sections, in rising precedence."""

    def __init__(self, sections: Mapping[str, type]) -> None:
        self._sections = sections
        self._fields = {name: _settings_of(section) for name, section in sections.items()}
        self._given: dict[tuple[str, str], Given] = {}

    def file(self, text: str, name: str, folder: Path) -> None:
        """Lay TOML `text` on top; `name` is the file's in messages, relative paths start at `folder`."""
        try:
            tables = tomllib.loads(text)
        except tomllib.TOMLDecodeError as fault:
            line = re.search(r"at line (\d+)", str(fault))
            number = int(line[1]) if line else len(text.splitlines())  # tomllib says "at end of document"
            raise UsageError(f"the file is not valid TOML: {fault}", where=f"{name}:{number}") from None
        lines = _lines(text)
        for section, table in tables.items():
            where = f"{name}:{lines.get((section, ''), 1)}"
            if section not in self._sections:
                raise unknown("section", section, self._sections, where)
            if not isinstance(table, dict):
                raise UsageError(f"{section} must be a section: [{section}]", where=where)
            for key, value in table.items():
                spot = f"{name}:{lines[(section, key)]}" if (section, key) in lines else where
                self._lay(section, key, self._from_folder(section, key, value, folder), spot)

    def environment(
        self, environ: Mapping[str, str], aliases: Mapping[str, str], ignored: Iterable[str]
    ) -> None:
        """Lay `FLEEK_EDGE_<SECTION>_<KEY>` variables on top; `aliases` map other names to `section.key`."""
        names = {
            f"{ENVIRONMENT_PREFIX}{section}_{key}".upper(): f"{section}.{key}"
            for section, fields in self._fields.items()
            for key in fields
        }
        seen: dict[str, str] = {}
        for variable in sorted(environ):
            if not variable.startswith(ENVIRONMENT_PREFIX) or variable in ignored:
                continue
            if _FOREIGN.fullmatch(variable):
                continue
            name = names.get(variable) or aliases.get(variable)
            if name is None:
                known = [*names, *aliases, *ignored]
                raise unknown("variable", variable, known, f"environment {variable}")
            section, _, key = name.partition(".")
            earlier = seen.setdefault(name, variable)
            if environ[earlier] != environ[variable]:
                where = f"environment {earlier}, {variable}"
                raise UsageError(
                    f"two variables set {name} to different values", where=where, hint="unset one"
                )
            self._lay(section, key, environ[variable], f"environment {variable}")

    def flags(self, section: str, flags: Mapping[str, object]) -> None:
        """Lay command-line values for `section` on top; None means that the flag was not given."""
        for key, value in flags.items():
            if value is not None:
                self._lay(section, key, value, f"--{key.replace('_', '-')}")

    def fallback(self, section: str, key: str, value: object) -> None:
        """A default that the dataclass cannot know, such as a folder below the user's home."""
        self._given.setdefault((section, key), Given(section, key, value, DEFAULT))

    def section(self, name: str) -> tuple[Any, list[Setting]]:
        """The section `name` as its dataclass, and its settings one by one. Raises UsageError."""
        values: dict[str, Any] = {}
        sources: dict[str, str] = {}
        hints = typing.get_type_hints(self._sections[name])
        for key, field in self._fields[name].items():
            given = self._given.get((name, key))
            if given is None:
                continue
            sources[key] = given.where
            try:
                values[key] = convert(given.value, hints[key], key, field.metadata)
            except ValueError as fault:
                complaint = "is not of the right form" if field.metadata.get("secret") else fault
                raise UsageError(f"{name}.{key} {complaint}", where=given.where) from None
        section = self._build(name, values, sources)
        return section, list(self._explained(name, section, sources))

    def _build(self, name: str, values: dict[str, Any], sources: Mapping[str, str]) -> Any:
        """The dataclass; what its own checks refuse is reported where the values they name came from."""
        try:
            return self._sections[name](**values)
        except EdgeError as fault:
            where = _blamed(f"{fault.where} {fault.message}", sources)
            raise UsageError(f"section [{name}]: {fault.message}", where=where, hint=fault.hint) from None
        except ValueError as fault:
            raise UsageError(f"section [{name}]: {fault}", where=_blamed(str(fault), sources)) from None

    def _explained(self, name: str, section: Any, sources: Mapping[str, str]) -> Iterator[Setting]:
        for key, field in self._fields[name].items():
            yield Setting(
                section=name,
                key=key,
                value=getattr(section, key),
                given_by=sources.get(key, DEFAULT),
                doc=str(field.metadata.get("doc", "")),
                secret=bool(field.metadata.get("secret", False)),
            )

    def _lay(self, section: str, key: str, value: object, where: str) -> None:
        if key not in self._fields[section]:
            names = [f"{each}.{field}" for each, fields in self._fields.items() for field in fields]
            raise unknown("setting", f"{section}.{key}", names, where)
        self._given[section, key] = Given(section, key, value, where)

    def _from_folder(self, section: str, key: str, value: object, folder: Path) -> object:
        """A relative path in a file starts at the file, so that where one stands does not matter."""
        field = self._fields[section].get(key)
        if field is None or "Path" not in str(field.type):
            return value
        if isinstance(value, list):
            return [self._from_folder(section, key, each, folder) for each in value]
        return folder / Path(value).expanduser() if isinstance(value, str) and value else value


def unknown(noun: str, name: str, known: Iterable[str], where: str) -> UsageError:
    """The refusal of `name`, with the nearest of the `known` ones if any is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else "`fleek-edge config explain` lists every setting"
    shown = f"[{name}]" if noun == "section" else name
    return UsageError(f"no such {noun}: {shown}", where=where, hint=hint)


def _settings_of(section: type) -> dict[str, "dataclasses.Field[Any]"]:
    return {field.name: field for field in dataclasses.fields(section) if field.init}


def _blamed(complaint: str, sources: Mapping[str, str]) -> str:
    """Where the settings that `complaint` names were given; if it names none, where all of them were."""
    named = [where for key, where in sources.items() if re.search(rf"\b{key}\b", complaint)]
    wheres = named or [where for where in sources.values() if where != DEFAULT]
    return ", ".join(dict.fromkeys(wheres))


def _lines(text: str) -> dict[tuple[str, str], int]:
    """The line of each `(section, key)` of TOML that parsed, and of each section under the key "".

    tomllib keeps no positions. This reading is line by line and so may miss a key inside an inline
    table (the section's line stands in), never the meaning: values come from tomllib alone.
    """
    found: dict[tuple[str, str], int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        header = _HEADER.match(line)
        if header:
            section = header[1]
            found.setdefault((section, ""), number)
            continue
        key = _KEY.match(line)
        if key and section:
            found.setdefault((section, key[1]), number)
        elif key:
            found.setdefault((key[1], ""), number)
            found.setdefault((key[1], key[2] or ""), number)
    return found
