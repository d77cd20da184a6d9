"""The training run: resuming, and what ends it."""

from __future__ import annotations

import io
import resource
import shutil
import signal

import numpy as np
import pytest
import torch
from conftest import replaced

from latentwire_training import train as train_module
from latentwire_training.config import read as read_config
from latentwire_training.pictures import load
from latentwire_training.progress import Progress
from latentwire_training.export import write_folder
from latentwire_training.train import Run, lock, main, prepare_folder
from latentwire_training.trainer import read as read_checkpoint


def make_run(data, config_file, work, **overrides) -> Run:
    config = read_config(config_file, **overrides)
    work.mkdir(exist_ok=True)
    run = Run(config, load(data, config), work / f"{config.id}.pt")
    run.resume()
    return run


def before_step(run: Run, step: int, act) -> None:
    """Calls `act` before the step after `step`."""
    train_on = run.trainer.train_on

    def patched(pictures):
        if run.trainer.step == step:
            act()
        return train_on(pictures)

    run.trainer.train_on = patched


def assert_same(a, b, where="state"):
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list):
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}[{i}]")
    elif where != "state.scalars":
        assert a == b, where


@pytest.mark.parametrize("interrupted_at", [1, 5, 10], ids=["plain", "noisy", "rounded"])
def test_a_resumed_run_ends_with_the_very_weights_of_an_uninterrupted_one(data, config_file, tmp_path, interrupted_at, capsys):
    whole = make_run(data, config_file, tmp_path / "whole")
    whole.train()

    first = make_run(data, config_file, tmp_path / "parts")
    before_step(first, interrupted_at, first.stop)
    with pytest.raises(SystemExit, match=rf"stopped at step {interrupted_at + 1} of 12; the same command goes on from"):
        first.train()
    second = make_run(data, config_file, tmp_path / "parts")
    assert second.trainer.step == interrupted_at + 1
    second.train()
    assert f"goes on from {second.checkpoint}, step {interrupted_at + 1}" in capsys.readouterr().out
    digest = whole.pictures.digest
    assert_same(whole.trainer.state(digest), second.trainer.state(digest))
    drop = lambda history: [{k: v for k, v in row.items() if k != "seconds"} for row in history]
    assert drop(whole.trainer.history) == drop(second.trainer.history) and second.trainer.changes == []
    assert whole.trainer.history[-1]["validation"]["bpp"] > 0


def test_a_second_start_after_the_end_trains_no_further(data, config_file, tmp_path):
    make_run(data, config_file, tmp_path / "work").train()
    again = make_run(data, config_file, tmp_path / "work")
    before = again.trainer.state("")
    again.train()
    assert_same(before, again.trainer.state(""))


def test_fewer_steps_than_were_made_still_end_in_a_whole_model(data, config_file, tmp_path, command):
    """A long run that is stopped before its first point of the curves, and then asked to be done with."""
    replaced(config_file, "steps = 12", "steps = 100000")
    run = make_run(data, config_file, tmp_path / "work")
    before_step(run, 4, run.stop)
    with pytest.raises(SystemExit, match="stopped at step 5 of 100000"):
        run.train()
    assert run.trainer.history == []
    command(steps="1")
    assert read_checkpoint(run.checkpoint)["config"] == run.config.text(), "nothing was trained, so nothing is saved"
    assert (tmp_path / "models/ae224-tiny/curves.png").is_file() and "5 steps" in (tmp_path / "models/ae224-tiny/CARD.md").read_text()


def test_what_changed_since_the_checkpoint_is_told_and_kept(data, config_file, tmp_path, capsys):
    make_run(data, config_file, tmp_path / "work").train()
    replaced(config_file, "batch = 2", "batch = 3")
    replaced(config_file, 'title = "waves', 'title = "more waves')
    longer = make_run(data, config_file, tmp_path / "work", steps=14)
    out = capsys.readouterr().out
    assert "schedule.steps 14 instead of 12" in out and "schedule.batch 3 instead of 2" in out and "title" not in out
    longer.train()
    assert longer.trainer.step == 14
    assert longer.trainer.changes == ["from step 13 on: schedule.steps 14 instead of 12", "from step 13 on: schedule.batch 3 instead of 2"]
    (data / "waves/train/sine_1.png").unlink()
    assert make_run(data, config_file, tmp_path / "work", steps=14).trainer.changes[-1] == "from step 15 on: other pictures"


def test_a_checkpoint_of_another_model_or_of_no_model_is_refused(data, config_file, tmp_path):
    make_run(data, config_file, tmp_path / "work").train()
    replaced(config_file, 'id = "ae224-tiny"', 'id = "ae224-other"')
    shutil.copy(tmp_path / "work/ae224-tiny.pt", tmp_path / "work/ae224-other.pt")
    with pytest.raises(SystemExit, match=r"belongs to `id` 'ae224-tiny'.*another WORK folder"):
        make_run(data, config_file, tmp_path / "work")
    (tmp_path / "work/ae224-other.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(SystemExit, match=r"ae224-other.pt is not a checkpoint of this trainer"):
        make_run(data, config_file, tmp_path / "work")


def test_a_loss_that_is_no_number_stops_with_the_last_good_checkpoint(data, config_file, tmp_path, monkeypatch):
    run = make_run(data, config_file, tmp_path / "work")
    crops = lambda *_: np.full((2, 3, 32, 32), np.nan, np.float32)
    before_step(run, 6, lambda: monkeypatch.setattr("latentwire_training.trainer.crops", crops))
    with pytest.raises(SystemExit, match=r"not finite at step 7.*learning_rate.*last good checkpoint, step 4, stands in .*ae224-tiny.pt.*goes on from there"):
        run.train()
    monkeypatch.undo()
    again = make_run(data, config_file, tmp_path / "work")
    assert again.trainer.step == 4 and again.trainer.is_finite()
    again.train()
    assert again.trainer.step == 12


def test_weights_that_are_no_numbers_are_not_saved(data, config_file, tmp_path):
    run = make_run(data, config_file, tmp_path / "work")
    advance = run.trainer.train_on

    def spoil(pictures):
        figures = advance(pictures)
        if run.trainer.step == 8:  # a step at which a checkpoint is due
            with torch.no_grad():
                run.trainer.nets[0].fill_(float("nan"))
        return figures

    run.trainer.train_on = spoil
    with pytest.raises(SystemExit, match=r"a weight is not finite after step 8.*last good checkpoint, step 4"):
        run.train()
    assert make_run(data, config_file, tmp_path / "work").trainer.step == 4


def test_before_any_checkpoint_the_message_says_so(data, config_file, tmp_path, monkeypatch):
    run = make_run(data, config_file, tmp_path / "work")
    monkeypatch.setattr("latentwire_training.trainer.crops", lambda *_: np.full((2, 3, 32, 32), np.nan, np.float32))
    with pytest.raises(SystemExit, match=r"not finite at step 1.*no checkpoint yet"):
        run.train()


def test_a_full_disk_leaves_the_earlier_checkpoint_whole(data, config_file, tmp_path):
    """A file-size limit stands for a full disk: the write fails in the middle."""
    run = make_run(data, config_file, tmp_path / "work")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before_step(run, 6, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard)))
    try:
        with pytest.raises(SystemExit, match=r"cannot write the checkpoint .* at step 8: File too large; the earlier one, step 4, is whole"):
            run.train()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert read_checkpoint(run.checkpoint)["format"].startswith("latentwire")
    assert [p.name for p in (tmp_path / "work").iterdir()] == ["ae224-tiny.pt"], "nothing half-written stays"
    assert make_run(data, config_file, tmp_path / "work").trainer.step == 4


@pytest.fixture
def largest_file():
    """Sets how large a file may become, in bytes; it stands for a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_folder_that_is_none_or_takes_no_file_or_has_no_room_is_refused(tmp_path, monkeypatch, largest_file):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match=r"WORK=.*file: .*can be written"):
        prepare_folder("WORK", tmp_path / "file")
    largest_file(0)
    with pytest.raises(SystemExit, match=r"MODELS=.*models: File too large; it must be a folder that can be written"):
        prepare_folder("MODELS", tmp_path / "models")
    largest_file(resource.RLIM_INFINITY)
    usage = shutil._ntuple_diskusage(10**12, 10**12, 5 << 20)
    monkeypatch.setattr(train_module.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(SystemExit, match=r"5 MiB free.*64 MiB"):
        prepare_folder("WORK", tmp_path / "work")


def test_a_full_disk_leaves_the_earlier_model_whole(tmp_path, largest_file):
    old = {"decode.toml": b"old", "curves.png": b"old", "CARD.md": b"old"}
    write_folder(tmp_path / "model", old)
    largest_file(1000)
    with pytest.raises(SystemExit, match=r"cannot write the model to .*model: File too large; the checkpoint is kept"):
        write_folder(tmp_path / "model", {"decode.toml": b"new", "curves.png": b"n" * 2000, "CARD.md": b"new"})
    assert {p.name: p.read_bytes() for p in (tmp_path / "model").iterdir()} == old
    with pytest.raises(SystemExit, match=r"cannot write the model"):
        write_folder(tmp_path / "first", {"curves.png": b"n" * 2000})
    assert not (tmp_path / "first").exists(), "an empty folder is no model, and services would stumble over it"


@pytest.fixture
def command(data, config_file, tmp_path):
    """`make train` as a call in this process; what it did to signals is undone."""
    before = {name: signal.getsignal(name) for name in train_module.SIGNALS}

    def call(**changed: str) -> None:
        given = {"model": str(config_file), "data": str(data), "work": str(tmp_path / "work"), "models": str(tmp_path / "models"), "threads": "1"} | changed
        main([word for key, value in given.items() for word in (f"--{key}", value)])

    yield call
    for name, handler in before.items():
        signal.signal(name, handler)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"model": ""}, r"^MODEL= is missing: it is one of ae224-brain, "),
        ({"model": "ae224-eye"}, r"^unknown MODEL 'ae224-eye'.*ae224-fundus"),
        ({"data": ""}, r"^DATA= is missing: the folder that holds waves/train/ and OPEN.tsv$"),
        ({"steps": "-3"}, r"tiny.toml: `schedule.steps` must lie in 1..10000000, found -3$"),
        ({"threads": "0"}, r"^THREADS=0: must be at least 1$"),
    ],
)
def test_a_wrong_call_is_refused_in_one_sentence_before_anything_is_written(command, tmp_path, changed, says):
    with pytest.raises(SystemExit, match=says) as refused:
        command(**changed)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "work").exists() and not (tmp_path / "models").exists()


def test_a_number_that_is_none_is_refused_in_one_line(command, capsys):
    with pytest.raises(SystemExit) as refused:
        command(steps="ten")
    assert refused.value.code == 2
    assert capsys.readouterr().err == "make train: argument --steps: invalid int value: 'ten'\n"


def test_a_target_that_takes_no_file_is_refused_before_the_training(command, tmp_path):
    (tmp_path / "models").write_text("in the way")
    with pytest.raises(SystemExit, match=r"^MODELS=.*models: File exists; it must be a folder that can be written$"):
        command()
    (tmp_path / "models").unlink()
    (tmp_path / "models").mkdir()
    (tmp_path / "models/ae224-tiny").write_text("in the way")
    with pytest.raises(SystemExit, match=r"^MODELS=.*models/ae224-tiny: File exists"):
        command()
    assert not list((tmp_path / "work").glob("*.pt"))


def test_two_trainings_of_a_model_do_not_share_a_work_folder(command, tmp_path):
    (tmp_path / "work").mkdir()
    with lock(tmp_path / "work", "ae224-tiny"):
        with pytest.raises(SystemExit, match=r"^another training of ae224-tiny runs in WORK=.*pass another WORK folder$"):
            command()
    lock(tmp_path / "work", "ae224-tiny").close()


@pytest.mark.parametrize("name", train_module.SIGNALS)
def test_an_interrupt_of_the_export_is_one_sentence_and_the_same_command_ends_the_work(command, tmp_path, monkeypatch, capsys, name):
    monkeypatch.setattr(train_module.export, "export", lambda *_: signal.raise_signal(name))
    with pytest.raises(SystemExit, match=r"^stopped; the same command goes on from the last checkpoint in .*work"):
        command()
    monkeypatch.undo()
    command()
    out = capsys.readouterr().out
    assert "ae224-tiny.pt, step 12" in out and "replaces" not in out and (tmp_path / "models/ae224-tiny/CARD.md").is_file()
    command()
    assert "holds a model already, and the end of this training replaces it" in capsys.readouterr().out


def test_a_second_interrupt_ends_a_step_at_once(data, config_file, tmp_path):
    run = make_run(data, config_file, tmp_path / "work")
    before = {name: signal.getsignal(name) for name in train_module.SIGNALS}
    try:
        train_module.on_signals(run.stop)
        signal.raise_signal(signal.SIGTERM)
        assert run.stopping
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [io.StringIO(), Screen()], ids=["pipe", "terminal"])
def test_progress_tells_steps_epochs_loss_rate_and_validation(stream):
    progress = Progress("ae224-tiny", 0, 100, 4.5, stream)
    figures = {"loss": 3.2e-4, "ssim": 0.971, "bpp": 1.23}
    progress.validated(50, {"ssim": 0.98, "psnr_db": 41.0, "bpp": 1.1})
    progress.advance(100, figures, "noisy")
    progress.close()
    text = stream.getvalue()
    for part in ("100/100", "epoch 23/23", "3.20e-04", "1.23 bpp", "validation SSIM 0.9800", "PSNR 41.00 dB", "1.100 bpp"):
        assert part in text, (part, text)
    assert ("\r" in text) == stream.isatty(), "a bar on a terminal alone"
