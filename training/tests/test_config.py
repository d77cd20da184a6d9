"""Configurations: the shipped ones are sound, and every mistake is answered with the file and the key."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import CONFIG, refused, replaced

from latentwire_training.config import CONFIGS, Config, find, read
from latentwire_training.toml_keys import ConfigError

MODELS = CONFIGS.parents[1] / "models"


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("ae224-*.toml")), ids=lambda p: p.stem)
def test_the_shipped_configurations_are_sound(file: Path):
    config = read(file)
    assert config.id == file.stem
    assert config.data.licences and config.not_for


def test_those_of_the_products_and_of_paper_a_are_there():
    names = {"ae224-fundus", "ae224-chest", "ae224-brain", "ae224-ultrasound", "ae224-fundus-printed", "ae224-fundus-nodense", "ae224-fundus-twopool"}
    names |= {f"ae224-{modality}-denoise" for modality in ("fundus", "chest", "brain")}
    assert {p.stem for p in CONFIGS.glob("*.toml")} >= names


def test_a_value_of_the_file_is_the_value_of_the_configuration(config_file):
    config = read(config_file)
    assert (config.id, config.label, config.dicom_modalities) == ("ae224-tiny", "waves", ["US"])
    assert (config.crops.size, config.schedule.batch, config.schedule.plain_share) == (32, 2, 0.25)
    assert config.rate.bits_per_pixel == 1.1, "a default"
    assert read(config_file, steps=99).schedule.steps == 99
    assert read(config_file, steps=None).schedule.steps == 12


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        ('id = "ae224-tiny"', "", "`id`", "is missing"),
        ('id = "ae224-tiny"', 'id = "../x"', "`id`", "a-z, 0-9"),
        ('id = "ae224-tiny"', "id = 7", "`id`", "must be text"),
        ('modality = "other"', 'modality = "ultrasound"', "`modality`", "a kind of your own is `other` with a `label`"),
        ('label = "waves"', "", "`label`", "is missing"),
        ('choose = "by-name"', 'choose = "never"', "`choose`", "by-trial, by-name"),
        ('dicom_modalities = ["US"]', 'dicom_modalities = ["us"]', "`dicom_modalities`", '"US"'),
        ('dicom_modalities = ["US"]', 'dicom_modalities = "US"', "`dicom_modalities`", "must be a list of text"),
        ('not_for = "anything."', 'not_for = " "', "`not_for`", "stands on the card"),
        ('folders = ["waves"]', "folders = []", "`data.folders`", "is empty"),
        ('folders = ["waves"]', 'folders = ["../other"]', "`data.folders`", "below DATA"),
        ('licences = ["CC0-1.0"]', "licences = []", "`data.licences`", "is empty"),
        ('licences = ["CC0-1.0"]', 'licences = ["any licence"]', "`data.licences`", "SPDX"),
        ("size = 32", "size = 33", "`crops.size`", "even"),
        ("size = 32", "size = 8", "`crops.size`", "32..512, found 8"),
        ("size = 32", "size = 32.5", "`crops.size`", "a whole number"),
        ("size = 32", "size = true", "`crops.size`", "a whole number"),
        ("size = 32", "sise = 32", "`crops.sise`", "did you mean `size`?"),
        ("size = 32", "size = 32\nscale = [1.0]", "`crops.scale`", "[least, largest]"),
        ("size = 32", "size = 32\nscale = [0.9, 0.5]", "`crops.scale`", "[least, largest]"),
        ("batch = 2", 'batch = "two"', "`schedule.batch`", "found 'two'"),
        ("steps = 12", "steps = 0", "`schedule.steps`", "found 0"),
        ("steps = 12", "steps = -12", "`schedule.steps`", "1..10000000, found -12"),
        ("steps = 12", "steps = 12\nseed = -1", "`schedule.seed`", "0..2147483647, found -1"),
        ("steps = 12", "steps = 12\nlearning_rate = nan", "`schedule.learning_rate`", "found nan"),
        ("rounded_share = 0.25", "rounded_share = 0.8", "`schedule.plain_share`", "1.05"),
        ("[crops]", "[crop]", "`crop`", "did you mean `crops`?"),
        ("[crops]\nsize = 32", "", "", None),
    ],
)
def test_a_mistake_names_its_file_and_key(config_file, old, new, key, says):
    replaced(config_file, old, new)
    if says is None:  # no mistake: a section whose keys all have defaults may be absent
        assert isinstance(read(config_file), Config)
        return
    refused(config_file, key, says)


def test_a_section_that_is_a_value_is_refused(config_file):
    config_file.write_text("rate = 3\n" + CONFIG)
    with pytest.raises(ConfigError, match=r"`rate` must be a table: write \[rate\]"):
        read(config_file)


def test_what_is_not_toml_is_refused(config_file):
    config_file.write_text("id = ")
    with pytest.raises(ConfigError, match="tiny.toml: not valid TOML"):
        read(config_file)
    config_file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="tiny.toml: cannot be read"):
        read(config_file)


def test_a_model_is_found_by_id_or_by_path(config_file):
    assert find("ae224-fundus") == CONFIGS / "ae224-fundus.toml"
    assert find(str(config_file)) == config_file
    for unknown, says in (("", "MODEL= is missing"), ("ae224-fundos", "did you mean ae224-fundus"), ("../configs/ae224-fundus", "unknown MODEL"), ("no/such.toml", "no such file")):
        with pytest.raises(ConfigError) as error:
            find(unknown)
        assert says in str(error.value) and "ae224-brain" in str(error.value), error.value
