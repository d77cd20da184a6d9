"""Bytes on the line and seconds until the receiver has the picture, at 1, 10 and 100 Mbit/s, through the running services.

The tap between the services lets the way forward through at that rate; latency is not added. Ways whose flags the command line does
not have are left out and named.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from ..plots import plt, save
from ..report.context import Context
from ..report.page import Page, number, table
from ..services import NotDelivered
from ..testset import FOLDERS, MODELS, open_first, usable

LINKS_MBIT = (1, 10, 100)
PICTURES = 2
LATENT = ("--below-floor", "send-marked")
# Way, what is sent, flags.
WAYS = (
    ("8-bit pixels (TIFF), exact", ".tiff", ("--mode", "exact")),
    ("PNG file, exact", ".png", ("--mode", "exact")),
    ("coded latent", ".png", LATENT),
    ("coded latent, chaos4 inside AES-GCM", ".png", (*LATENT, "--inner", "chaos4")),
    ("raw f32 latent, a key a row", ".png", (*LATENT, "--segment", "row")),
)

TEXT = """
{count} test pictures a modality at their own size, {megapixels:.2f} megapixels on average. From the moment the command is given until the receiver has the picture decoded: the sender's own check,
sealing, a line of that rate (latency is not added), opening, decoding. One thread a net. *Sealed bytes* are all that the transfer put on the line.

![seconds from picture to picture, by the rate of the line](slow-link.png)

{table}

{absent}
"""


def run(context: Context) -> Page:
    known = context.services.run("send", "--help").stdout
    ways = [way for way in WAYS if all(flag in known for flag in way[2] if flag.startswith("--"))]
    absent = [f"*{way}*: this build's `latentwire send` has no flag for it." for way, _, flags in WAYS if (way, _, flags) not in ways]
    chosen = [(modality, *one) for modality, folder in FOLDERS.items() for one in usable(context.data / folder / "test", PICTURES, context.left_out, open_first)]
    if not chosen:
        raise ValueError("no picture can be measured")
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for index, (modality, path, pixels) in enumerate(chosen):
            for way, kind, flags in ways:
                sent = Path(temporary) / f"sent{kind}"
                Image.fromarray(pixels).save(sent)
                latent = ("--model", MODELS[modality]) if flags[:2] == LATENT else ()
                try:
                    rows += [journey(context, sent, way, link, (*flags, *latent), Path(temporary)) for link in LINKS_MBIT]
                except NotDelivered as error:
                    context.problem(f"{way}, {path.name}: {error}")
            context.tick((index + 1) / len(chosen))
    if not rows:
        raise ValueError("nothing was delivered")
    order = list(dict.fromkeys(row["way"] for row in rows))
    found = {way: {link: [r for r in rows if r["way"] == way and r["mbit"] == link] for link in LINKS_MBIT} for way in order}
    means = [
        {"way": way, "sealed_bytes": float(np.mean([row["sealed_bytes"] for row in found[way][LINKS_MBIT[0]]])), "seal_ms": float(np.mean([r["seal_ms"] for r in rows if r["way"] == way])),
         "open_ms": float(np.mean([r["open_ms"] for r in rows if r["way"] == way])),
         "seconds": {str(link): statistics.mean(row["seconds"] for row in found[way][link]) for link in LINKS_MBIT}, "n": len(found[way][LINKS_MBIT[0]])}
        for way in order
    ]  # fmt: skip
    draw(context.report / "slow-link.png", means)
    head = ["way", "pictures", "sealed bytes", "seal, ms", "open, ms", *(f"s at {link} Mbit/s" for link in LINKS_MBIT)]
    body = [[m["way"], m["n"], f"{m['sealed_bytes']:,.0f}", number(m["seal_ms"], 2), number(m["open_ms"], 2), *(number(m["seconds"][str(link)], 2) for link in LINKS_MBIT)] for m in means]
    text = TEXT.format(count=PICTURES, megapixels=np.mean([p.shape[0] * p.shape[1] for _, _, p in chosen]) / 1e6, table=table(head, body), absent="\n".join(absent))
    by_way = {one["way"]: one for one in means}
    findings = []
    if (png := by_way.get("PNG file, exact")) and (coded := by_way.get("coded latent")):
        faster = [link for link in LINKS_MBIT if coded["seconds"][str(link)] < png["seconds"][str(link)]]
        slower = [link for link in LINKS_MBIT if link not in faster]
        said = [f"they are sooner there at {' and '.join(map(str, faster))} Mbit/s"] if faster else []
        said += [f"later at {' and '.join(map(str, slower))} Mbit/s" if faster else f"they are later there at all of {', '.join(map(str, slower))} Mbit/s"] if slower else []
        times = png["sealed_bytes"] / coded["sealed_bytes"]
        findings.append(f"**A slow line**: coded latents are {times:.1f} times smaller than the PNG files; with the time of the nets {', '.join(said)}.")
    if (chaos := by_way.get("coded latent, chaos4 inside AES-GCM")) and (coded := by_way.get("coded latent")):
        findings.append(f"**chaos4**: as many bytes, {chaos['seal_ms'] / coded['seal_ms']:.0f} times the time to seal, no security added.")
    if (rows_ := by_way.get("raw f32 latent, a key a row")) and (coded := by_way.get("coded latent")):
        findings.append(f"**A's 256 row keys**: the raw f32 latent row by row is {rows_['sealed_bytes'] / coded['sealed_bytes']:.0f} times the coded latent's bytes; the keys add no security.")
    return Page(text, {"slow_link": means}, findings)


def journey(context: Context, sent: Path, way: str, link: int, flags: tuple[str, ...], folder: Path) -> dict:
    services = context.services
    services.tap.bits_per_second = link * 1e6
    try:
        begun = time.perf_counter()
        line = services.send(sent, *flags)
        if line["status"] != "delivered":
            raise NotDelivered(f"status {line['status']}: {line.get('error')}")
        services.get(line["transfer_id"], folder / "received")
        seconds = time.perf_counter() - begun
    finally:
        services.tap.bits_per_second = None
        services.tap.take()
    taken = line["timings_ms"]
    return {"way": way, "mbit": link, "seconds": seconds, "sealed_bytes": line["sealed_bytes"], "seal_ms": taken["seal"], "open_ms": taken["open"]}


def draw(path: Path, means: list[dict]) -> None:
    figure, axis = plt.subplots(figsize=(9, 0.9 + 0.62 * len(means)))
    colours = ("#D55E00", "#0072B2", "#009E73")
    height = 0.8 / len(LINKS_MBIT)
    for number_, (link, colour) in enumerate(zip(LINKS_MBIT, colours)):
        places = [place + number_ * height for place in range(len(means))]
        values = [one["seconds"][str(link)] for one in means]
        axis.barh(places, values, height * 0.92, color=colour, label=f"{link} Mbit/s")
        for place, value in zip(places, values):
            axis.annotate(f" {value:.2f}", (value, place), fontsize=7.5, va="center")
    axis.set_yticks([place + height for place in range(len(means))], [f"{one['way']}\n{one['sealed_bytes'] / 1000:,.0f} kB sealed" for one in means], fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel("seconds from picture to picture")
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_xlim(0, max(max(one["seconds"].values()) for one in means) * 1.08)
    axis.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    save(figure, path)
