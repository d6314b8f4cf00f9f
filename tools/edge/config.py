"""`fleek-edge config`: what is in force and why, and whether it is sound."""

import json

import click

from node.layers import Setting, unknown
from node.named_files import check_files
from tools.edge.invocation import Invocation, command


@click.group()
def config() -> None:
    """Explain or check the configuration.

    Flags win over FLEEK_EDGE_<SECTION>_<KEY> variables, those over the file (--config,
    $FLEEK_EDGE_CONFIG or fleek-edge/config.toml in the XDG configuration folder), the file over defaults.

    \b
    Example:
      fleek-edge config explain > edge.toml
      fleek-edge config check --config edge.toml
    """


@config.command()
@click.argument("names", metavar="[SECTION[.KEY]]...", nargs=-1)
@command
def explain(invocation: Invocation, names: tuple[str, ...]) -> None:
    """Print every setting, its value and where that came from.

    Without --json the output is a configuration file that says the same.

    \b
    Example:
      fleek-edge config explain
      fleek-edge config explain node store.quota_bytes --json
    """
    settings = invocation.config().settings
    known = {setting.name for setting in settings} | {setting.section for setting in settings}
    for name in names:
        if name not in known:
            raise unknown("setting", name, sorted(known), "command line")
    section = ""
    for setting in settings:
        if names and setting.name not in names and setting.section not in names:
            continue
        lead = "" if setting.section == section else f"[{setting.section}]\n"
        if section and lead:
            lead = f"\n{lead}"
        section = setting.section
        record = {
            "section": setting.section,
            "key": setting.key,
            "value": setting.shown,
            "from": setting.given_by,
            "doc": setting.doc,
        }
        for line in () if invocation.out.as_json else lead.splitlines():
            invocation.out.record({}, line)
        invocation.out.record(record, _toml(setting))


@config.command()
@command
def check(invocation: Invocation) -> None:
    """Read the configuration as `serve` would and say whether it is sound (exit 2 if not).

    \b
    Example:
      fleek-edge config check --config edge.toml
    """
    config = invocation.config()
    check_files(config)
    given = sum(setting.given_by != "default" for setting in config.settings)
    record = {"ok": True, "file": str(config.file) if config.file else None, "given": given}
    place = config.file or "no configuration file"
    invocation.out.record(record, f"sound: {place}, {given} of {len(config.settings)} settings given")


def _toml(setting: Setting) -> str:
    """The setting as a line of TOML that ends in its source; what is not set becomes a comment."""
    value = setting.shown
    if value is None:
        return f"# {setting.key} is not set{'':>{max(1, 27 - len(setting.key))}}# {setting.given_by}"
    # JSON's strings, numbers, booleans and lists are TOML's too.
    return f"{setting.key + ' = ' + json.dumps(value):<40} # {setting.given_by}"
