"""What a run says while it runs: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
import time
from typing import TextIO

from tqdm import tqdm

LINE_SECONDS = 30.0


class Progress:
    """Tells of steps, epochs, loss, rate, the latest validation, and the time left."""

    def __init__(self, name: str, first: int, total: int, steps_an_epoch: float, stream: TextIO = sys.stdout) -> None:
        self.name, self.total, self.steps_an_epoch, self.stream = name, total, steps_an_epoch, stream
        self.first, self.step = first, first
        self.started = self.said = time.monotonic()
        self.validation = ""
        self.bar = None
        if stream.isatty():
            form = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}]{postfix}"
            self.bar = tqdm(total=total, initial=first, desc=name, unit="step", mininterval=0.5, file=stream, bar_format=form, dynamic_ncols=True)

    def line(self, text: str) -> None:
        """A line of its own, above the bar where there is one."""
        if self.bar is not None:
            self.bar.write(text, file=self.stream)
        else:
            print(text, file=self.stream, flush=True)

    def advance(self, step: int, seen: dict[str, float], phase: str) -> None:
        done, self.step = step - self.step, step
        if self.bar is not None:
            self.bar.set_description_str(f"{self.name} epoch {self._epoch()}", refresh=False)
            self.bar.set_postfix_str(self._figures(seen, phase) + self.validation, refresh=False)
            self.bar.update(done)
        elif time.monotonic() - self.said >= LINE_SECONDS or step == self.total:
            self.said = time.monotonic()
            self.line(f"step {step}/{self.total}, epoch {self._epoch()}, {self._figures(seen, phase)}{self.validation}, {self._left()}")

    def validated(self, step: int, figures: dict[str, float]) -> None:
        rate = f", {figures['bpp']:.3f} bpp" if figures["bpp"] else ""
        self.validation = f", validation SSIM {figures['ssim']:.4f}"
        self.line(f"step {step}/{self.total}: validation SSIM {figures['ssim']:.4f}, PSNR {figures['psnr_db']:.2f} dB{rate}")

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()

    def _epoch(self) -> str:
        return f"{math.ceil(self.step / self.steps_an_epoch)}/{math.ceil(self.total / self.steps_an_epoch)}"

    @staticmethod
    def _figures(seen: dict[str, float], phase: str) -> str:
        rate = f", {seen['bpp']:.2f} bpp" if phase != "plain" else ""
        ssim = f", crops SSIM {seen['ssim']:.3f}" if "ssim" in seen else ""
        return f"{phase}, loss {seen['loss']:.2e}{ssim}{rate}"

    def _left(self) -> str:
        pace = (time.monotonic() - self.started) / max(1, self.step - self.first)
        seconds = round(pace * (self.total - self.step))
        return f"{1 / max(pace, 1e-9):.1f} steps/s, {seconds // 60}:{seconds % 60:02d} left"
