"""The page: sections that fail leave the others alone, every figure leads to its command, HTML that needs nothing else."""

import json
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from latentwire_evaluation.report import __main__ as program
from latentwire_evaluation.report import html
from latentwire_evaluation.report.page import Done, Page, Section, anchor, compose, table
from latentwire_evaluation.report.sections import RD_SECTIONS, SECTIONS
from PIL import Image

TEXT = "### A table\n" + table(["a", "b"], [[1, "x|y"]]) + "\n\n![a picture](picture.png)\n\nWords."


def section(name: str, run) -> Section:
    return Section(name, "Part", f"Section {name}", "program.py", 1.0, run)


def test_a_section_that_fails_is_said_and_the_others_go_on(context, capsys):
    def fails(_context):
        raise ValueError("no picture can be measured")

    done = program.run([section("one", fails), section("two", lambda _context: Page("Words.", {"key": 1}, ["found"]))], context)
    assert [one.error for one in done] == ["no picture can be measured", None] and done[1].page.figures == {"key": 1}
    assert context.problems == ["section one: no picture can be measured"]
    page = compose("# Head\n", done, context.problems, "…")
    assert "**Not measured: no picture can be measured**" in page and "- `section one: no picture can be measured`" in page


def test_behind_each_table_and_picture_is_a_link_to_a_command_that_is_there():
    page = compose("# Head\n", [Done(section("one", None), Page(TEXT), None, 3.0, 2.0)], [], "../data")
    links = re.findall(r"\]\(#([^)]+)\)", page)
    assert links.count("command-one") == 2
    headings = {anchor(line.lstrip("# ")) for line in page.splitlines() if line.startswith("#")}
    assert set(links) <= headings and "make evaluate DATA=../data ONLY=one" in page


def test_html_holds_its_pictures_loads_nothing_and_takes_no_markup_from_names(context):
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(context.report / "picture.png")
    (context.report.parent / "secret.png").write_bytes(b"outside")
    text = compose("# Head\n", [Done(section("one", None), Page(TEXT + "\n\n![x](../secret.png)"), None, 3.0, 2.0)], ["<script>alert(1)</script>.png: broken"], "…")
    made = html.page(text, context.report, "Title")
    assert made.count("data:image/png;base64,") == 1 and "<script>" not in made and "&lt;script&gt;" in made
    assert "b3V0c2lkZQ" not in made and not re.search(r'(src|href)="(?!data:|#|\.\./)', made)
    ids = set(re.findall(r' id="([^"]+)"', made))
    assert set(re.findall(r'href="#([^"]+)"', made)) <= ids and 'class="wide"' in made


def test_names_and_keys_are_what_the_make_targets_and_the_design_name():
    names = [one.name for one in SECTIONS]
    assert len(set(names)) == len(names)
    makefile = (program.ROOT / "Makefile").read_text()
    used = re.findall(r"--only ([a-z-]+)", makefile)
    assert used and set(used) <= set(names)
    with pytest.raises(SystemExit, match="no section nothing; there are rate-distortion, "):
        program.pick("a-timing,nothing")
    assert [one.name for one in program.pick("a-timing, b-cipher")] == ["a-timing", "b-cipher"]
    assert program.pick("", "rd") == list(RD_SECTIONS) and program.pick("") == list(SECTIONS)
    assert [one.name for one in program.pick("rd-speed", "rd")] == ["rd-speed"]


def test_the_command_of_an_rd_section_says_so():
    page = compose("# Head\n", [Done(RD_SECTIONS[0], Page(TEXT), None, 3.0, 2.0)], [], "…")
    assert "make evaluate MODELS=rd DATA=… ONLY=rd-gate" in page and "--page rd" in (program.ROOT / "Makefile").read_text()


@pytest.mark.parametrize("folder", ["missing", "empty"])
def test_an_empty_folder_ends_with_one_sentence(folder, tmp_path, monkeypatch):
    (tmp_path / "empty/fundus/test").mkdir(parents=True)
    monkeypatch.setattr(sys, "argv", ["report", "--data", str(tmp_path / folder), "--report", str(tmp_path / "report")])
    with pytest.raises(SystemExit, match="is no folder" if folder == "missing" else "no pictures in fundus/test, chest_xray/test, brain_mri/test"):
        program.main()
    assert not (tmp_path / "report").exists()


def test_a_run_writes_three_files_and_names_what_it_left_out(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "data/chest_xray/test"
    folder.mkdir(parents=True)
    (folder / "broken.png").write_bytes(b"no picture")
    Image.fromarray(np.random.default_rng(1).integers(0, 200, (1, 40), np.uint8)).save(folder / "low.png")
    y, x = np.mgrid[:96, :96]
    Image.fromarray((x + y).astype(np.uint8)).save(folder / "whole.png")
    report = tmp_path / "report"
    monkeypatch.setattr("latentwire_evaluation.paper_b.cipher.SIDE", 64)
    monkeypatch.setattr(sys, "argv", ["report", "--data", str(tmp_path / "data"), "--report", str(report), "--only", "b-cipher,a-surrogate", "--name", "part"])
    program.main()
    figures = json.loads((report / "part.json").read_text())
    assert figures["b_table3"]["n"] == 512 * 512 or figures["b_table3"]["n"] == 64 * 64
    assert figures["machine"]["cores"] and figures["machine"]["processor"] and figures["machine"]["codecs"]["avif"].startswith("libavif 1")
    left_out = " ".join(figures["left_out"])
    assert "chest_xray/test/broken.png" in left_out and "chest_xray/test/low.png: 40x1 pixels" in left_out and "section a-surrogate" in left_out
    assert "left out: chest_xray/test/broken.png" in capsys.readouterr().out
    page = (report / "part.md").read_text()
    assert "broken.png" in page and "**Not measured: no folder of" in page and "Do not publish" in page
    assert (report / "part.html").read_text().count("data:image/png") == 2


def test_a_run_that_measures_nothing_fails(tmp_path, monkeypatch):
    folder = tmp_path / "data/fundus/test"
    folder.mkdir(parents=True)
    (folder / "broken.png").write_bytes(b"no picture")
    monkeypatch.setattr(sys, "argv", ["report", "--data", str(tmp_path / "data"), "--report", str(tmp_path / "report"), "--only", "b-cipher"])
    with pytest.raises(SystemExit, match="nothing could be measured"):
        program.main()


def test_services_are_started_once_however_many_ask_and_stopped_once(context):
    made = []

    class Pair:
        def __enter__(self):
            made.append("started")
            time.sleep(0.05)
            return self

        def __exit__(self, *_exc):
            made.append("stopped")

    context.start = Pair
    with ThreadPoolExecutor(4) as pool:
        assert len({id(one) for one in pool.map(lambda _: context.services, range(8))}) == 1
    context.stop()
    context.stop()
    assert made == ["started", "stopped"]
