"""The program behind `make evaluate`.

    python -m latentwire_evaluation.report --data DIR --binaries DIR [--page rd] [--only NAME,NAME] [--name STEM] [--report DIR]

With `--only` the files are report-NAME.{html,md,json}, so that a whole report stays as it is. Exit code 1: nothing could be measured.
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

from tqdm import tqdm

from .. import testset
from ..services import ROOT, Services
from . import html, machine
from .context import Context
from .page import Done, Section, compose
from .sections import PAGES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT / "samples", help="folder of pictures: modality/split/file")
    parser.add_argument("--binaries", type=Path, default=ROOT / "target/ci")
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--report", type=Path, default=ROOT / "evaluation/report")
    parser.add_argument("--page", choices=list(PAGES), default="papers", help="which page: both papers and today's codecs, or the rd family")
    parser.add_argument("--only", default="", help="names of sections, with commas between: " + ", ".join(s.name for page in PAGES.values() for s in page))
    parser.add_argument("--name", default="", help="name of the files, without ending")
    parser.add_argument("--family", default="rd", help="of the rd page: the models FAMILY-fundus, FAMILY-chest, FAMILY-brain")
    parser.add_argument("--pictures", type=int, default=0, help="of the rd page: at most so many pictures of a modality, for a quick look")
    arguments = parser.parse_args()
    chosen = pick(arguments.only, arguments.page)
    check_data(arguments.data)
    whole = {"papers": "report", "rd": "rd"}[arguments.page]
    stem = arguments.name or ("-".join([whole, *(section.name for section in chosen)]) if arguments.only else whole)
    arguments.report.mkdir(parents=True, exist_ok=True)
    context = Context(
        arguments.data.resolve(), arguments.models.resolve(), arguments.report.resolve(),
        lambda: Services(arguments.binaries, arguments.models, threads=1, tap=True, research=True),
        arguments.family, arguments.pictures, arguments.binaries.resolve(),
    )  # fmt: skip
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin without it
    try:
        done = run(chosen, context)
    finally:
        context.stop()
    write(done, context, machine.describe(arguments.binaries), stem, arguments.page)
    for one in done:
        print(f"{one.section.name:18}{one.seconds:7.0f} s {one.cpu_seconds:7.0f} s of processor time")
    print(f"wrote {', '.join(str(arguments.report / f'{stem}.{kind}') for kind in ('html', 'md', 'json'))}")
    for line in context.problems:
        print(f"left out: {line}")
    if not any(one.page for one in done):
        raise SystemExit("nothing could be measured; why stands above and in the report")


def pick(only: str, page: str = "papers") -> list[Section]:
    """The sections of a page, or those that are named, of whichever page."""
    names = [name.strip() for name in only.split(",") if name.strip()]
    every = [section for sections in PAGES.values() for section in sections]
    if unknown := [name for name in names if name not in {section.name for section in every}]:
        raise SystemExit(f"no section {', '.join(unknown)}; there are {', '.join(section.name for section in every)}")
    return [section for section in every if section.name in names] if names else list(PAGES[page])


def check_data(data: Path) -> None:
    """Ends with one sentence where there is nothing to measure."""
    if not data.is_dir():
        raise SystemExit(f"{data} is no folder; DATA is a folder of pictures laid out as modality/test/file")
    if not any(testset.files(data / folder / "test") for folder in testset.FOLDERS.values()):
        folders = ", ".join(f"{folder}/test" for folder in testset.FOLDERS.values())
        raise SystemExit(f"{data}: no pictures in {folders}; DATA is a folder of pictures laid out as modality/test/file")


def run(chosen: list[Section], context: Context) -> list[Done]:
    """Every section once; one that fails leaves its place empty and the others go on."""
    done, before = [], 0.0
    total = sum(section.seconds for section in chosen)
    with tqdm(total=100, unit="%", bar_format="{l_bar}{bar}| {elapsed} gone, about {remaining} to go{postfix}", mininterval=0.5) as bar:
        for section in chosen:
            bar.set_postfix_str(section.name)

            def tick(share: float, before: float = before, section: Section = section) -> None:
                bar.update((before + section.seconds * min(share, 1)) / total * 100 - bar.n)

            context.tick = tick
            begun, cpu = time.perf_counter(), cpu_seconds(context)
            page, error = None, None
            try:
                page = section.run(context)
            except (ValueError, OSError, KeyError, SystemExit) as failure:
                error = str(failure) or type(failure).__name__
                context.problem(f"section {section.name}: {error}")
                print("\n" + traceback.format_exc(), file=sys.stderr)
            done.append(Done(section, page, error, time.perf_counter() - begun, cpu_seconds(context) - cpu))
            before += section.seconds
            tick(0, before)
    return done


def cpu_seconds(context: Context) -> float:
    """Of this process, of the programs that it ran, and of the services."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime + context.services_cpu_seconds()


TITLES = {"papers": "both papers, and today's codecs beside them", "rd": "the rd family against the codecs that a PACS has"}
HEAD = """# Latentwire: {title}

{when}. {product}, commit `{commit}`. {machine}, {processor}, {cores} cores, {memory_gib} GiB, {system}; Python {python}, {packages}.
Codecs: {codecs}. Everything here was computed in that run through the real services, except what is labelled a *training log* or
*as printed in the paper*. Milliseconds are this machine's; ratios mean something elsewhere too. Fidelity figures are no evidence of diagnostic adequacy.

{about}What each part of this page means: docs/EVALUATION.md.
{shown}
"""
PAPERS = """**A** is Alslman et al. 2022 (autoencoder and AES), **B** is Alqahtani 2024 (autoencoder and a chaos cipher). How each was read where it
can be read in more than one way: docs/PAPERS.md. """


def write(done: list[Done], context: Context, about: dict, stem: str, page: str = "papers") -> None:
    packages = ", ".join(f"{name} {number}" for name, number in about["packages"].items())
    codecs = ", ".join(f"{codec} by {library}" for codec, library in about["codecs"].items())
    open_only = testset.only_open_is_shown(context.data)
    warning = "" if open_only else "\n**Do not publish this page before you know the licences of the pictures that it shows**: no OPEN.tsv names enough of them.\n"
    fields = {**about, "packages": packages, "codecs": codecs, "shown": warning, "title": TITLES[page], "about": PAPERS if page == "papers" else ""}
    text = compose(HEAD.format(when=datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC"), **fields), done, context.problems, data_hint="…")
    figures: dict[str, object] = {"machine": about, "shows_open_pictures_only": open_only}
    for one in done:
        figures.update(one.page.figures if one.page else {})
    figures["seconds"] = {one.section.name: {"wall": round(one.seconds, 1), "processor": round(one.cpu_seconds, 1)} for one in done}
    figures["left_out"] = context.problems
    (context.report / f"{stem}.md").write_text(text, encoding="utf-8")
    (context.report / f"{stem}.html").write_text(html.page(text, context.report, "Latentwire: evaluation"), encoding="utf-8")
    (context.report / f"{stem}.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
