"""The page of the slow line: ways whose flags are missing are named, the plot is drawn, and who is sooner is said."""

import numpy as np
import pytest
from latentwire_evaluation.link import section
from PIL import Image


class Answers:
    """Services that answer at once; the latent ways take a second."""

    class Tap:
        bits_per_second = None

        def take(self):
            return b""

    def __init__(self, flags: str) -> None:
        self.flags, self.tap, self.sent = flags, self.Tap(), []

    def run(self, *_arguments):
        return type("Done", (), {"stdout": self.flags})

    def send(self, path, *policy):
        self.sent.append((path.suffix, policy, self.tap.bits_per_second))
        size = 1000 if "--below-floor" in policy else 5000
        return {"status": "delivered", "transfer_id": "00", "sealed_bytes": size, "timings_ms": {"seal": 2.0 if "--inner" in policy else 1.0, "open": 1.0}}

    def get(self, _id, _target):
        return {}


@pytest.mark.parametrize("flags", ["--mode --below-floor", "--mode --below-floor --inner --segment"])
def test_each_way_is_sent_over_each_line_and_what_this_build_lacks_is_named(context, flags):
    folder = context.data / "brain_mri/test"
    folder.mkdir(parents=True)
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 40), np.uint8)).save(folder / "one.png")
    answers = Answers(flags)
    context.start = lambda: type("Pair", (), {"__enter__": lambda _self: answers})()
    page = section.run(context)
    whole = "--inner" in flags
    assert len(answers.sent) == (5 if whole else 3) * 3 and {rate for _, _, rate in answers.sent} == {1e6, 1e7, 1e8}
    assert answers.tap.bits_per_second is None, "the line is as fast as before"
    assert ("has no flag for it" in page.text) == (not whole)
    assert "5.0 times smaller than the PNG files" in page.findings[0]
    assert any("2 times the time to seal" in text for text in page.findings) == whole
    assert {one["way"]: one["sealed_bytes"] for one in page.figures["slow_link"]}["coded latent"] == 1000
    assert (context.report / "slow-link.png").is_file()
