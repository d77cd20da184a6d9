"""`make evaluate-rd-docs`: what docs say about the rd family, out of the last rd.json; no figure is copied by hand.

    python -m latentwire_evaluation.rd.fill [--report DIR] [--docs docs/MODELS.md] [--into docs/figures]

Between `<!-- rd:NAME -->` and `<!-- /rd:NAME -->` of the document it puts the part of that name (`PARTS`). It draws docs/figures/rd-MODALITY.svg, and
keeps the figures themselves as docs/figures/rd.json. With `--check` nothing is written: exit code 1 where the document is not what
docs/figures/rd.json says.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from pathlib import Path

from ..services import ROOT
from . import draw, tables
from .rates import GOALS

_BLOCK = re.compile(r"(<!-- rd:([a-z-]+) -->\n).*?(<!-- /rd:\2 -->)", re.DOTALL)
KEPT = ("machine", "rd_gate", "rd_noise", "rd_floors", "rd_speed")


class Unfilled(ValueError):
    """Why a document cannot be filled."""


def measured_on(figures: dict) -> str:
    machine = figures["machine"]
    codecs = ", ".join(f"{tables.called(codec)} by {library}" for codec, library in machine["codecs"].items() if codec in tables.NAMES)
    return f"Measured at commit `{machine['commit']}`, {machine['cores']} cores of {machine['processor']}, {machine['system']}. {codecs}."


def equal(figures: dict) -> str:
    parts = []
    for modality, one in figures["rd_gate"].items():
        for _, _, title in GOALS:
            parts += [f"**{modality.capitalize()}, at {title}**", tables.equal(one["groups"]["all"], title, one["models"])]
    return "\n\n".join(parts)


def by_modality(key: str, part: Callable[[dict, str], str]) -> Callable[[dict], str]:
    return lambda figures: "\n\n".join(f"**{modality.capitalize()}**\n\n{part(figures[key], modality)}" for modality in figures[key])


def plots(figures: dict) -> str:
    return "\n\n".join(f"![{modality}: SSIM and PSNR over bits per pixel, ours and today's codecs](figures/rd-{modality}.svg)" for modality in figures["rd_gate"])


PARTS: dict[str, Callable[[dict], str]] = {
    "machine": measured_on,
    "plots": plots,
    "gate": lambda figures: tables.gate(figures["rd_gate"]),
    "verdict": lambda figures: "\n".join(f"- {tables.verdict(modality, one)}" for modality, one in figures["rd_gate"].items()),
    "equal": equal,
    "bd": by_modality("rd_gate", lambda figures, modality: tables.bd(figures[modality]["groups"]["all"])),
    "sources": by_modality("rd_gate", lambda figures, modality: tables.sources(figures[modality])),
    "noise": by_modality("rd_noise", tables.noise),
    "floors": lambda figures: tables.floors(figures["rd_floors"]),
    "speed": lambda figures: tables.speed(figures["rd_speed"]),
    "codec-speed": lambda figures: tables.codec_speed(figures["rd_speed"]),
}


def filled(text: str, figures: dict) -> str:
    """The document with every part put in. Raises Unfilled for a name that is no part, and for one that the figures lack."""

    def put(match: re.Match) -> str:
        name = match[2]
        if name not in PARTS:
            raise Unfilled(f"<!-- rd:{name} -->: there is no such part; there are {', '.join(PARTS)}")
        try:
            return f"{match[1]}{PARTS[name](figures)}\n{match[3]}"
        except KeyError as error:
            raise Unfilled(f"<!-- rd:{name} -->: the figures have no {error}; `make evaluate MODELS=rd DATA=…` without ONLY makes all of them") from None

    return _BLOCK.sub(put, text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--report", type=Path, default=ROOT / "evaluation/report")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs/MODELS.md")
    parser.add_argument("--into", type=Path, default=ROOT / "docs/figures")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the document is not what docs/figures/rd.json says")
    arguments = parser.parse_args()
    source = arguments.into / "rd.json" if arguments.check else arguments.report / "rd.json"
    try:
        figures = json.loads(source.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SystemExit(f"{source}: {error}; run `make evaluate MODELS=rd DATA=…` first") from None
    text = arguments.docs.read_text(encoding="utf-8")
    try:
        wanted = filled(text, figures)
    except Unfilled as error:
        raise SystemExit(f"{arguments.docs}: {error}") from None
    if arguments.check:
        if wanted != text:
            raise SystemExit(f"{arguments.docs} does not say what {source} says: run `make evaluate-rd-docs`")
        return
    arguments.into.mkdir(parents=True, exist_ok=True)
    for modality, one in figures["rd_gate"].items():
        draw.modality(arguments.into / f"rd-{modality}.svg", modality, one)
        print(f"wrote {arguments.into / f'rd-{modality}.svg'}")
    kept = {key: figures[key] for key in KEPT if key in figures}
    (arguments.into / "rd.json").write_text(json.dumps(kept, separators=(",", ":")) + "\n", encoding="utf-8")
    arguments.docs.write_text(wanted, encoding="utf-8")
    print(f"wrote {arguments.into / 'rd.json'} and {arguments.docs}")


if __name__ == "__main__":
    main()
