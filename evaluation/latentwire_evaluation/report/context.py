"""What a section is given."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..services import ROOT, Services


def how_to_build(model: str) -> str:
    """What to do where a research model is not there yet, as the page says it."""
    return f"`make train MODEL={model} DATA=… MODELS=models/research` builds `models/research/{model}`"


@dataclass
class Context:
    """One run. `data` is modality/split/file, `report` the folder that is written to, and the services."""

    data: Path
    models: Path
    report: Path
    # Starts them; only sections that send need them, and they are started once.
    start: Callable[[], Services]
    # The model family that the rd sections measure, and at most so many pictures of a modality there (all where 0).
    family: str = "rd"
    pictures: int = 0
    # Where the product's programs lie.
    binaries: Path = ROOT / "target/ci"
    # Called with what part of a section is done, 0..1.
    tick: Callable[[float], None] = lambda share: None
    # What could not be used or went wrong, and why; the run goes on.
    problems: list[str] = field(default_factory=list)
    _running: Services | None = None
    _ids: set[str] | None = None
    # Two threads of one section may ask at once.
    _starting: threading.Lock = field(default_factory=threading.Lock)

    @property
    def services(self) -> Services:
        """Both services, on free loopback ports with fresh keys, one thread a net, a tap between them, research allowed."""
        with self._starting:
            if self._running is None:
                self._running = self.start().__enter__()
        return self._running

    def stop(self) -> None:
        if self._running is not None:
            self._running.__exit__()
            self._running = None

    def services_cpu_seconds(self) -> float:
        return self._running.cpu_seconds() if self._running else 0.0

    def left_out(self, path: Path, why: str) -> None:
        """A picture that is not measured. Said once, however many sections meet it."""
        try:
            name = path.relative_to(self.data).as_posix()
        except ValueError:
            name = path.name
        self.problem(f"{name}: {why}")

    def nothing(self, folder: str) -> None:
        """A modality that is left out whole."""
        self.problem(f"{folder}/test: no picture that can be measured")

    def problem(self, line: str) -> None:
        if line not in self.problems:
            self.problems.append(line)

    def servable(self, name: str) -> bool:
        """Whether the services have this model."""
        if self._ids is None:
            self._ids = self.services.model_ids()
        return name in self._ids

    def family_models(self, modality: str) -> list[str]:
        """The family's models of a modality that the services have: the model itself, then its other tiers, `FAMILY-MODALITY-…`."""
        name = f"{self.family}-{modality}"
        found = [name, *sorted(path.name for path in self.models.glob(f"{name}-*"))]
        return [one for one in found if self.servable(one)]

    def model(self, name: str) -> Path | None:
        """Folder of a model; of a research model where it has been trained, else None."""
        for folder in (self.models / name, self.models / "research" / name):
            if (folder / "encoder.onnx").is_file() and (folder / "decoder.onnx").is_file():
                return folder
        return None
