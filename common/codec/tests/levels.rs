//! A model whose blocks have levels, as the `rd` family: rate knob, floors, start-up check, and what is refused.
#![allow(clippy::unwrap_used, reason = "a helper that cannot make its input has failed its test")]

mod support;

use std::path::Path;
use std::sync::OnceLock;

use latentwire_codec::imaging::{self, Limits};
use latentwire_codec::model::DecoderDigest;
use latentwire_codec::{
    BelowFloor, Codec, CodecError, Floors, Header, LatentCoding, Mode, Policy, Prepared, SelfCheck,
};
use support::{BOTH, Dicom, Look, config, copy_folder, models, shape, with_model};

fn codec() -> &'static Codec {
    static CODEC: OnceLock<Codec> = OnceLock::new();
    CODEC.get_or_init(|| Codec::load(&config(&models("levels"), BOTH)).unwrap())
}

/// Noise that the model's low frequencies cannot hold.
fn picture(noise: f64, seed: u64) -> Vec<u8> {
    Look { noise, seed, ..Look::grey(300, 211) }.png8()
}

fn floors(min_ssim: f64) -> Policy {
    Policy { floors: Floors { min_ssim: Some(min_ssim), ..Floors::NONE }, ..Policy::default() }
}

/// At a step of so many percent, whatever comes of it.
fn at(percent: u32) -> Policy {
    let below_floor = BelowFloor::SendMarked;
    Policy { quantiser_step_percent: Some(percent), below_floor, ..with_model("levels-chest") }
}

/// Both ends, and what must hold for any picture.
fn through_latent(file: &[u8], policy: &Policy) -> Prepared {
    let prepared = codec().prepare(file, policy).unwrap();
    assert_eq!(prepared.report.mode, Mode::Latent, "{:?}", prepared.report.exact_reason);
    let Header::Latent(header) = Header::parse(&prepared.coded).unwrap() else { panic!("no latent") };
    assert_eq!(Some(header.quantiser_step), prepared.report.quantiser_step);
    let restored = codec().restore(&prepared.coded).unwrap();
    assert_eq!(restored.pixels, prepared.reconstruction);
    let certificate = prepared.certificate.as_ref().unwrap();
    assert!(certificate.certified);
    assert_eq!(restored.reconstruction_sha256, Some(certificate.reconstruction_sha256));
    let received = imaging::read(&restored.file, &Limits::default()).unwrap();
    let original = prepared.original.as_ref().unwrap();
    assert_eq!(shape(&received.pixels), shape(original));
    assert_eq!(imaging::measure(original, &received.pixels).unwrap(), prepared.report.fidelity.unwrap());
    prepared
}

#[test]
fn pictures_of_any_size_and_depth() {
    for (width, height) in [(16, 16), (17, 33), (31, 100), (250, 130), (1040, 70)] {
        let look = Look { noise: 0.002, ..Look::grey(width, height) };
        for file in [look.png8(), look.png16()] {
            let prepared = through_latent(&file, &at(25));
            let fidelity = prepared.report.fidelity.unwrap();
            assert!(fidelity.psnr_db.unwrap() > 35.0, "{width} x {height}: {fidelity:?}");
        }
    }
    let samples = Look { noise: 0.0, ..Look::grey(64, 48) }.samples(-900, 3000).repeat(2);
    let mut dicom = Dicom::new(64, 48, 2, 13, true, samples);
    dicom.modality = "OT";
    through_latent(&dicom.file(), &at(100));
}

#[test]
fn depth_is_not_limited_to_eight_bits() {
    let prepared = through_latent(&Look { noise: 0.0, ..Look::grey(256, 256) }.png16(), &at(13));
    let restored = prepared.reconstruction.unwrap();
    let (low, high) = restored.value_range();
    // In steps of 1/256 of the range, neighbours would differ by 235 or not at all.
    let small =
        restored.samples.windows(2).filter(|pair| (1..100).contains(&(pair[0] - pair[1]).abs())).count();
    assert!(high - low > 30_000 && small > 5000, "{low}..{high}, {small}");
    assert!(prepared.report.fidelity.unwrap().psnr_db.unwrap() > 40.0);
}

#[test]
fn a_step_is_snapped_to_the_knobs() {
    let file = picture(0.004, 1);
    let mut last = usize::MAX;
    for (percent, step) in
        [(1, 32), (25, 64), (99, 256), (100, 256), (102, 256), (103, 267), (1600, 4096), (10_000, 4096)]
    {
        let prepared = through_latent(&file, &at(percent));
        assert_eq!((prepared.report.quantiser_step, prepared.report.trials), (Some(step), 0), "{percent}");
        assert!(prepared.coded.len() <= last, "a coarser step costs no more bytes");
        last = prepared.coded.len();
    }
    let own = through_latent(&file, &with_model("levels-chest"));
    assert_eq!(
        (own.report.quantiser_step, own.report.trials),
        (Some(256), 0),
        "without floors, the model's own"
    );
}

#[test]
fn a_floor_is_met_with_two_trials_at_most_and_next_to_nothing_to_spare() {
    let mut second_trials = 0;
    for (seed, noise) in [(1, 0.0), (2, 0.004), (3, 0.008), (4, 0.012), (5, 0.016)] {
        let file = picture(noise, seed);
        let finest = through_latent(&file, &at(13)).report.fidelity.unwrap();
        let floor = 1.0 - (1.0 - finest.ssim) * 1.6 - 0.002;
        let policy = Policy { below_floor: BelowFloor::SendMarked, ..floors(floor) };
        let prepared = through_latent(&file, &policy);
        let report = &prepared.report;
        assert!((1..=2).contains(&report.trials));
        assert!(report.fidelity.unwrap().ssim >= floor, "{noise}: {floor}: {finest:?}: {report:?}");
        second_trials += report.trials - 1;
        let step = u32::from(report.quantiser_step.unwrap());
        let coarser = through_latent(&file, &at(step * 100 / 256 * 2)).report.fidelity.unwrap();
        assert!(coarser.ssim < floor || step >= 2048, "{noise}: an octave coarser would do: {step}");
    }
    assert!(second_trials > 0);
}

#[test]
fn every_kind_of_floor_is_met_or_the_picture_travels_exact() {
    let file = picture(0.004, 7);
    let found = through_latent(&file, &at(100)).report.fidelity.unwrap();
    for floors in [
        Floors { min_local_ssim: Some(found.min_local_ssim), ..Floors::NONE },
        Floors { min_psnr_db: found.psnr_db, ..Floors::NONE },
        Floors { max_abs_error: Some(found.max_abs_error + 2), ..Floors::NONE },
    ] {
        let prepared = through_latent(&file, &Policy { floors, ..Policy::default() });
        assert!(floors.hold(&prepared.report.fidelity.unwrap()), "{floors:?}");
    }

    let unreachable = floors(0.9999);
    let exact = codec().prepare(&file, &unreachable).unwrap().report;
    assert_eq!((exact.mode, exact.below_floor, exact.quantiser_step), (Mode::Exact, true, None));
    assert!((1..=2).contains(&exact.trials));
    let refused = codec().prepare(&file, &Policy { below_floor: BelowFloor::Reject, ..unreachable.clone() });
    assert!(matches!(refused, Err(CodecError::FidelityBelowFloor { .. })));
    let marked = Policy { below_floor: BelowFloor::SendMarked, ..unreachable };
    let marked = through_latent(&file, &marked).report;
    assert!(marked.below_floor && marked.quantiser_step < Some(64), "the finest of the trials: {marked:?}");
}

/// A copy of the model, changed by `edit` before the manifest's digests are made anew.
fn changed(edit: impl Fn(&Path)) -> (tempfile::TempDir, Result<Codec, CodecError>) {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("levels-chest");
    copy_folder(&models("levels").join("levels-chest"), &model);
    let before = std::fs::read(model.join("decode.toml")).unwrap();
    edit(&model);
    let after = std::fs::read(model.join("decode.toml")).unwrap();
    replace(
        &model.join("manifest.toml"),
        &DecoderDigest::of(&before).to_string(),
        &DecoderDigest::of(&after).to_string(),
    );
    let codec = Codec::load(&config(folder.path(), BOTH));
    (folder, codec)
}

fn replace(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{from}");
    std::fs::write(file, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn a_machine_on_which_the_decoder_differs_certifies_nothing_and_serves() {
    assert_eq!(codec().models()[0].check, SelfCheck::Passed);
    let (_folder, other) = changed(|model| replace(&model.join("decode.toml"), "seed = 1", "seed = 2"));
    let other = other.unwrap();
    let info = &other.models()[0];
    assert_eq!((info.check, info.certified), (SelfCheck::Differs, false));
    let prepared = other.prepare(&picture(0.004, 1), &with_model("levels-chest")).unwrap();
    assert!(!prepared.certificate.unwrap().certified);
    let (_folder, unchecked) = changed(|model| {
        let path = model.join("decode.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, after) =
            (text.split("[decoder.check]").next().unwrap(), text.split("[tables]").nth(1).unwrap());
        std::fs::write(&path, format!("{before}[tables]{after}")).unwrap();
    });
    let info = &unchecked.unwrap().models()[0];
    assert_eq!((info.check, info.certified), (SelfCheck::None, true));
}

#[test]
fn a_folder_that_lies_about_its_nets_or_tables_is_refused() {
    let fewer = |model: &Path| {
        let decode = model.join("decode.toml");
        replace(&decode, "channels = 22", "channels = 21");
        replace(&decode, "[1, 6144, ", "[1, ");
    };
    let (_folder, result) = changed(fewer);
    assert!(matches!(result, Err(CodecError::ModelContradiction { .. })), "{result:?}");
    let (_folder, result) = changed(|model| replace(&model.join("decode.toml"), "stride = 16", "stride = 8"));
    assert_eq!(result.unwrap_err().reason(), "MODEL_MISMATCH");
    // Tables of version 1, for a latent without levels.
    let (_folder, result) = changed(|model| {
        let other = std::fs::read(models("sound").join("mono-brain/tables.bin")).unwrap();
        let digest = |bytes: &[u8]| latentwire_codec::model::FileDigest::of(bytes).to_string();
        let own = std::fs::read(model.join("tables.bin")).unwrap();
        replace(&model.join("decode.toml"), &digest(&own), &digest(&other));
        std::fs::write(model.join("tables.bin"), other).unwrap();
    });
    assert!(matches!(result, Err(CodecError::ModelContradiction { .. })), "{result:?}");
}

#[test]
fn what_no_sender_writes_is_refused() {
    let coded = codec().prepare(&picture(0.004, 1), &at(100)).unwrap().coded;
    // Offsets of docs/BITSTREAM.md, section 3.
    let with = |offset: usize, bytes: &[u8]| {
        let mut coded = coded.clone();
        coded[offset..offset + bytes.len()].copy_from_slice(bytes);
        codec().restore(&coded).unwrap_err()
    };
    for no_knob in [1_u16, 31, 255, 257, 4095, 4097, u16::MAX] {
        let error = with(64, &no_knob.to_le_bytes());
        assert!(matches!(&error, CodecError::ModelContradiction { .. }), "{no_knob}: {error}");
        assert!(error.to_string().contains("knob"), "{error}");
    }
    assert!(matches!(with(8, &[0; 32]), CodecError::ModelMissing { .. }), "a latent for another model");
    assert!(matches!(with(66, &[23]), CodecError::ModelContradiction { .. }), "another number of channels");
    assert_eq!(with(66, &[0]).reason(), "MALFORMED_BITSTREAM");
    // Another knob that there is makes other contexts: the bytes are no latent any more, or one of other pixels.
    let mut other = coded.clone();
    other[64..66].copy_from_slice(&512_u16.to_le_bytes());
    if let Ok(restored) = codec().restore(&other) {
        assert_ne!(restored.pixels, codec().restore(&coded).unwrap().pixels);
    }
    for length in [coded.len() - 4, coded.len() - 1] {
        assert_eq!(codec().restore(&coded[..length]).unwrap_err().reason(), "MALFORMED_BITSTREAM");
    }
}

#[test]
fn rows_of_raw_values_are_not_for_latents_with_levels() {
    let rows = Policy {
        latent_coding: LatentCoding::RawRows,
        below_floor: BelowFloor::SendMarked,
        ..with_model("levels-chest")
    };
    let error = codec().prepare(&picture(0.004, 1), &rows).unwrap_err();
    assert!(matches!(error, CodecError::InvalidPolicy { .. }), "{error}");
}
