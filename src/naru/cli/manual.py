"""What --help prints, put together from the table of verbs and the help texts; loaded for --help only."""

from __future__ import annotations

from naru.cli.main import GLOBALS, load
from naru.cli.verbs import ALIASES, COMMON, GROUPS, HIDDEN, SUBGROUPS, VERBS


def _list(entries: dict[str, str]) -> str:
    width = max(len(name) for name in entries) + 2
    return "".join(f"  {name.ljust(width)}{summary}\n" for name, summary in entries.items())


def overview() -> str:
    options = GLOBALS.partition("Options:\n")[2].partition("Hidden:")[0]
    others = sorted(name for name in VERBS if " " not in name and name not in COMMON)
    return (
        "Usage:  naru [OPTIONS] COMMAND\n\nContainers, images, networks and volumes of a Docker-compatible daemon\n"
        f"\nCommon Commands:\n{_list({name: VERBS[name][1] for name in COMMON})}"
        f"\nManagement Commands:\n{_list(GROUPS)}"
        f"\nCommands:\n{_list({name: VERBS[name][1] for name in others})}"
        f"\nServer Commands:\n{_list({'daemon': 'Run the Naru daemon on this host'})}"
        f"\nGlobal Options:\n{options}"
        "\nRun 'naru COMMAND --help' for more information on a command.\n"
    )


def group(name: str) -> str:
    verbs = {}
    for verb in VERBS:
        if verb.startswith(f"{name} ") and verb not in HIDDEN:
            word = verb[len(name) + 1 :].partition(" ")[0]
            verbs[word] = SUBGROUPS.get(f"{name} {word}") or VERBS[verb][1]
    seen = set()
    for alias, canonical in ALIASES.items():
        if alias.startswith(f"{name} ") and canonical not in seen and " " not in canonical:
            verbs[alias.split(" ")[1]] = VERBS[canonical][1]
            seen.add(canonical)
    listed = _list(dict(sorted(verbs.items())))
    return (
        f"Usage:  naru {name} COMMAND\n\n{GROUPS.get(name) or SUBGROUPS[name]}\n\nCommands:\n{listed}"
        f"\nRun 'naru {name} COMMAND --help' for more information on a command.\n"
    )


def verb(name: str) -> str:
    usage, _, rest = load(name)[1].strip().partition("\n")
    others = sorted(f"naru {alias}" for alias, canonical in ALIASES.items() if canonical == name)
    aliases = f"\nAliases:\n  {', '.join([*others, f'naru {name}'])}\n" if others else ""
    shown = rest.partition("Hidden:")[0].strip("\n")
    return f"{usage}\n\n{VERBS[name][1]}\n{aliases}" + (f"\n{shown}\n" if shown else "")
