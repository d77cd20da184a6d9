"""What a section gives back, and the page that is put together of them: Markdown, each table and figure with its command."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from .context import Context

_IMAGE = re.compile(r"^!\[.*\]\(.*\)$")


@dataclass
class Page:
    """Markdown with headings from `###` on and pictures by their names in the report's folder; what goes into report.json by
    key; and what the reader is to take away, one sentence each."""

    text: str
    figures: dict[str, object] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Section:
    """A part of the page; `name` is what `ONLY=` takes, `seconds` what it takes on two idle cores (for the progress bar), `options` what
    else the command that makes it needs."""

    name: str
    part: str
    title: str
    source: str
    seconds: float
    run: Callable[[Context], Page]
    options: str = ""


@dataclass
class Done:
    """A section that was run: its page, or why there is none."""

    section: Section
    page: Page | None
    error: str | None
    seconds: float
    cpu_seconds: float


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table. Bars in cells are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def compose(head: str, done: list[Done], problems: list[str], data_hint: str) -> str:
    """The whole page."""
    findings = [(one.section, text) for one in done if one.page for text in one.page.findings]
    lines = [head, "## What holds and what does not", ""]
    lines += [f"- {text} ([{section.title}](#{anchor(section.title)}))" for section, text in findings] or ["Nothing was measured."]
    part = ""
    for one in done:
        if one.section.part != part:
            part = one.section.part
            lines += ["", f"# {part}"]
        lines += ["", f"## {one.section.title}", ""]
        if one.page:
            lines.append(with_commands(one.page.text.strip(), one.section.name))
        else:
            lines.append(f"**Not measured: {one.error}**")
    lines += ["", "# Commands, times, and what was left out", "", "## How each figure was made", ""]
    whole = " ".join(["make evaluate", *dict.fromkeys(option for one in done for option in one.section.options.split())])
    lines.append(f"`{whole}` makes all of this page; each part by itself:")
    for one in done:
        lines += ["", f"### {command_title(one.section.name)}", "", "```", " ".join(["make evaluate", *one.section.options.split(), f"DATA={data_hint} ONLY={one.section.name}"]), "```", ""]
        lines.append(f"Program: `{one.section.source}`. {one.seconds:.0f} s, of which {one.cpu_seconds:.0f} s of processor time.")
    total = sum(one.seconds for one in done)
    lines += ["", f"Together {total / 60:.1f} minutes, {sum(one.cpu_seconds for one in done) / 60:.1f} minutes of processor time.", "", "## What was left out", ""]
    lines += [f"- {plain(problem)}" for problem in problems] or ["Nothing."]
    return "\n".join(lines) + "\n"


def with_commands(text: str, name: str) -> str:
    """A link to the section's command behind each table and each picture."""
    link = f"[command](#{anchor(command_title(name))})"
    out: list[str] = []
    lines = text.split("\n")
    for line, following in zip(lines, [*lines[1:], ""]):
        out.append(line)
        if _IMAGE.match(line.strip()) or (line.startswith("|") and not following.startswith("|")):
            out += ["", link, ""]
    return "\n".join(out)


def command_title(name: str) -> str:
    return f"Command: {name}"


def anchor(title: str) -> str:
    """The id that GitHub gives a heading, and html.py too."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def plain(text: str) -> str:
    """As code, so that no file's name is read as Markdown."""
    return "`" + text.replace("`", "'").replace("\n", " ") + "`"
