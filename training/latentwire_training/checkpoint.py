"""A checkpoint file: tensors and plain values, never code, and always a whole one."""

from __future__ import annotations

import io
import os
from pathlib import Path

import torch


def write(path: Path, state: dict) -> None:
    """Beside the old one first, then in its place: a full disk or a kill leaves the old one whole. Raises `OSError` where the disk refuses."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read(path: Path, form: str, of: str, advice: str = "move it away to begin anew") -> dict:
    """The state that a file holds; `form` is what its `format` must be, `of` says in the refusal whose checkpoint it is not."""
    try:
        state = torch.load(path, weights_only=True)
        if state["format"] != form:
            raise ValueError(f"its format is {state['format']!r}")
    except Exception as error:  # torch and pickle raise of many kinds
        raise SystemExit(f"{path} is not a checkpoint of {of} ({type(error).__name__}): {advice}") from None
    return state
