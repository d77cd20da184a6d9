"""The page as one HTML file: no scripts, nothing loaded from anywhere, pictures inside it."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

from markdown_it import MarkdownIt

from .page import anchor

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2329; --soft: #5b6770; --page: #fdfdfc; --card: #fff; --line: #d9dee2; --row: #f4f6f7; --link: #0b63a8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e3e7ea; --soft: #9aa6af; --page: #14181b; --card: #1b2024; --line: #343c43; --row: #20262b; --link: #7cbcf2; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.5rem 5rem; max-width: 68rem; background: var(--page); color: var(--ink);
  font: 16px/1.6 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.25; margin: 3.5rem 0 .5rem; padding-top: 1rem; border-top: 3px solid var(--line); }
body > h1:first-of-type { margin-top: 0; border: 0; padding: 0; }
h2 { font-size: 1.35rem; margin: 2.4rem 0 .5rem; } h3 { font-size: 1.08rem; margin: 1.8rem 0 .4rem; }
p, li { max-width: 48rem; } p:has(img) { max-width: none; } p > a[href^="#command-"]:only-child { font-size: .8rem; color: var(--soft); } a { color: var(--link); } code, pre { font: .88em/1.5 ui-monospace, "DejaVu Sans Mono", Consolas, monospace; }
code { overflow-wrap: anywhere; } pre { background: var(--row); padding: .7rem 1rem; border-radius: 6px; overflow-x: auto; }
.wide { overflow-x: auto; margin: .8rem 0 .2rem; }
table { border-collapse: collapse; font-size: .88rem; background: var(--card); font-variant-numeric: tabular-nums; }
th, td { padding: .32rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { color: var(--soft); font-weight: 600; vertical-align: bottom; } tr:hover td { background: var(--row); }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 9rem; }
img { display: block; max-width: 100%; height: auto; background: #fff; padding: .5rem; border: 1px solid var(--line); border-radius: 6px; margin: .8rem 0 .2rem; }
nav { border: 1px solid var(--line); border-radius: 6px; background: var(--card); padding: .8rem 1.2rem; margin: 1.5rem 0; font-size: .92rem; }
nav ul { margin: .2rem 0 .6rem; padding-left: 1.2rem; columns: 2 18rem; } nav b { display: block; }
@media print { nav, .wide { overflow: visible; } body { max-width: none; } }
"""


def page(markdown: str, folder: Path, title: str) -> str:
    """HTML of a Markdown page whose pictures lie in `folder`. Raw HTML in it stays text."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    contents: list[tuple[str, str, str]] = []
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            text = tokens[index + 1].content
            token.attrSet("id", anchor(text))
            contents.append((token.tag, text, anchor(text)))
        for child in token.children or []:
            if child.type == "image" and (data := picture(folder, str(child.attrs["src"]))):
                child.attrSet("src", data)
    body = parser.renderer.render(tokens, parser.options, {})
    body = body.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")
    first, rest = body.split("<h2", 1) if "<h2" in body else (body, None)
    whole = first + navigation(contents) + ("<h2" + rest if rest is not None else "")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>\n{whole}</body></html>\n"
    )


def picture(folder: Path, name: str) -> str | None:
    path = folder / name
    if "/" in name or path.suffix != ".png" or not path.is_file():
        return None
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def navigation(contents: list[tuple[str, str, str]]) -> str:
    """The parts and their sections."""
    out, items = [], []

    def close() -> None:
        if items:
            out.append("<ul>" + "".join(items) + "</ul>")
            items.clear()

    for tag, text, target in contents[1:]:
        link = f'<a href="#{target}">{escape(text)}</a>'
        if tag == "h1":
            close()
            out.append(f"<b>{link}</b>")
        elif tag == "h2":
            items.append(f"<li>{link}</li>")
    close()
    return f'<nav aria-label="Contents">{"".join(out)}</nav>\n'
