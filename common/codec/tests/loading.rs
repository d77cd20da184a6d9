//! Which model folders a codec loads, and which it refuses.
#![allow(clippy::unwrap_used, reason = "a helper that cannot make its input has failed its test")]

mod support;

use latentwire_codec::model::{DecoderDigest, Modality, Parts};
use latentwire_codec::{BelowFloor, Codec, CodecConfig, CodecError, Policy};
use support::{BOTH, Look, codec, config, copy_folder, models, with_model};

fn digest_of(id: &str) -> DecoderDigest {
    codec().models().iter().find(|model| model.id == id).unwrap().digest
}

#[test]
fn every_model_is_listed_as_its_folder_says() {
    let found = codec().models();
    let ids: Vec<_> = found.iter().map(|model| model.id.as_str()).collect();
    assert_eq!(ids, ["blur-other", "haar-chest", "haar-fundus", "mono-brain"]);
    let chest = &found[1];
    assert_eq!((chest.modality, chest.certified), (Modality::Chest, true));
    assert!(chest.encoder && chest.decoder);
    assert_eq!(chest.family, "test");
}

#[test]
fn a_wrong_digest_is_refused() {
    for file in ["encoder.onnx", "decoder.onnx", "tables.bin", "decode.toml"] {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("haar-chest");
        copy_folder(&models("sound").join("haar-chest"), &model);
        let mut bytes = std::fs::read(model.join(file)).unwrap();
        // A comment in TOML, a stray byte elsewhere.
        bytes.extend_from_slice(b"#");
        std::fs::write(model.join(file), bytes).unwrap();
        let error = Codec::load(&config(folder.path(), BOTH)).unwrap_err();
        assert_eq!(error.reason(), "MODEL_MISMATCH", "{file}: {error}");
    }
}

#[test]
fn only_pinned_models_are_loaded() {
    let pins = vec![digest_of("mono-brain"), digest_of("haar-fundus")];
    let config = CodecConfig { pins: Some(pins), ..config(&models("sound"), BOTH) };
    let pinned = Codec::load(&config).unwrap();
    let ids: Vec<_> = pinned.models().into_iter().map(|model| model.id).collect();
    assert_eq!(ids, ["haar-fundus", "mono-brain"]);

    let file = Look::grey(64, 64).png8();
    let error = pinned.prepare(&file, &with_model("haar-chest")).unwrap_err();
    assert_eq!(error.reason(), "MODEL_MISMATCH");
    let other = codec().prepare(&file, &with_model("haar-chest")).unwrap();
    let error = pinned.restore(&other.coded).unwrap_err();
    assert!(matches!(error, CodecError::ModelMissing { digest } if digest == digest_of("haar-chest")));
    assert_eq!(error.reason(), "MODEL_MISMATCH");
}

#[test]
fn a_broken_folder_that_is_not_pinned_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&models("sound").join("haar-chest"), &folder.path().join("haar-chest"));
    std::fs::create_dir(folder.path().join("broken")).unwrap();
    std::fs::write(folder.path().join("broken/decode.toml"), "no manifest").unwrap();
    assert!(Codec::load(&config(folder.path(), BOTH)).is_err());
    let pins = Some(vec![digest_of("haar-chest")]);
    let pinned = Codec::load(&CodecConfig { pins, ..config(folder.path(), BOTH) }).unwrap();
    assert_eq!(pinned.models().len(), 1);
}

#[test]
fn a_pin_without_its_model_is_refused() {
    for pins in [vec![digest_of("mono-brain"), DecoderDigest([7; 32])], vec![]] {
        let pins = Some(pins);
        let error = Codec::load(&CodecConfig { pins, ..config(&models("sound"), BOTH) }).unwrap_err();
        assert_eq!(error.reason(), "MODEL_NOT_READY", "{error}");
    }
}

#[test]
fn twins_and_empty_folders_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = Codec::load(&config(folder.path(), BOTH)).unwrap_err();
    assert!(matches!(error, CodecError::NoModels), "{error}");
    for name in ["one", "two"] {
        copy_folder(&models("sound").join("mono-brain"), &folder.path().join(name));
    }
    let error = Codec::load(&config(folder.path(), BOTH)).unwrap_err();
    assert!(matches!(error, CodecError::DuplicateModel { .. }), "{error}");
    assert_eq!(error.reason(), "MODEL_NOT_READY");
}

#[test]
fn a_receiver_needs_no_encoder_and_no_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("haar-chest");
    copy_folder(&models("sound").join("haar-chest"), &model);
    std::fs::remove_file(model.join("manifest.toml")).unwrap();
    std::fs::remove_file(model.join("encoder.onnx")).unwrap();
    let receiver = Codec::load(&config(folder.path(), Parts { encoder: false, decoder: true })).unwrap();
    assert!(!receiver.models()[0].encoder);
    let file = Look::grey(64, 64).png8();
    let prepared = codec().prepare(&file, &with_model("haar-chest")).unwrap();
    let restored = receiver.restore(&prepared.coded).unwrap();
    assert_eq!(restored.pixels, prepared.reconstruction);
    assert_eq!(receiver.prepare(&file, &Policy::default()).unwrap_err().reason(), "MODEL_MISMATCH");
}

#[test]
fn nan_out_of_either_net_is_refused() {
    let file = Look::grey(64, 64).png8();
    for set in ["nan-encoder", "nan-decoder"] {
        let broken = Codec::load(&config(&models(set), BOTH)).unwrap();
        for below_floor in [BelowFloor::Exact, BelowFloor::SendMarked] {
            let error = broken.prepare(&file, &Policy { below_floor, ..Policy::default() }).unwrap_err();
            assert_eq!(error.reason(), "INVALID_TENSOR", "{set}: {error}");
        }
    }
    // Nor does a receiver hand out what such a decoder makes.
    let sender =
        Codec::load(&config(&models("nan-decoder"), Parts { encoder: true, decoder: false })).unwrap();
    let receiver =
        Codec::load(&config(&models("nan-decoder"), Parts { encoder: false, decoder: true })).unwrap();
    let coded = sender.prepare(&file, &Policy::default()).unwrap().coded;
    assert_eq!(receiver.restore(&coded).unwrap_err().reason(), "INVALID_TENSOR");
}
