//! Pictures of every kind through a latent and back.
#![allow(clippy::unwrap_used, reason = "a helper that cannot make its input has failed its test")]

mod support;

use latentwire_codec::imaging::{self, Format, Limits};
use latentwire_codec::{BelowFloor, Form, Header, Mode, Policy, Prepared, Restored};
use support::{Dicom, Look, codec, shape, with_model};

/// Sends a file through a latent, checks all that must hold for any picture, and hands back both ends.
fn through_latent(file: &[u8], policy: &Policy) -> (Prepared, Restored) {
    let prepared = codec().prepare(file, policy).unwrap();
    let report = &prepared.report;
    assert_eq!(report.mode, Mode::Latent, "{:?}", report.exact_reason);
    assert_eq!(report.coded_bytes, prepared.coded.len() as u64);
    assert_eq!(report.original_bytes, file.len() as u64);
    assert!(report.measured);
    let original = prepared.original.as_ref().unwrap();
    let reconstruction = prepared.reconstruction.as_ref().unwrap();
    assert_eq!(shape(original), shape(reconstruction));
    assert_eq!(report.raw_bytes, original.raw_bytes());
    let certificate = prepared.certificate.as_ref().unwrap();
    assert_eq!(Header::parse(&prepared.coded).unwrap().decoder_digest(), Some(certificate.decoder_digest));
    assert_eq!(certificate.runtime_version, codec().runtime_version());

    let restored = codec().restore(&prepared.coded).unwrap();
    assert_eq!(restored.mode, Mode::Latent);
    assert_eq!(restored.model, report.model);
    assert_eq!(restored.reconstruction_sha256, Some(certificate.reconstruction_sha256));
    assert_eq!(restored.pixels.as_ref(), Some(reconstruction));
    // The figures hold for the file the receiver gets, not only for a tensor in memory.
    let received = imaging::read(&restored.file, &Limits::default()).unwrap();
    assert_eq!(Some(received.format), restored.format);
    assert_eq!(received.pixels.samples, reconstruction.samples);
    assert_eq!(imaging::measure(original, &received.pixels).unwrap(), report.fidelity.unwrap());
    (prepared, restored)
}

#[test]
fn eight_bit_grey() {
    let file = Look::grey(120, 90).png8();
    let (prepared, restored) = through_latent(&file, &with_model("haar-chest"));
    assert!(prepared.report.fidelity.unwrap().ssim > 0.95);
    assert!(prepared.coded.len() < file.len());
    assert!(prepared.certificate.unwrap().certified);
    assert_eq!(restored.format, Some(Format::Png));
    assert_eq!((prepared.report.channels, prepared.report.bits), (1, 8));
}

#[test]
fn eight_bit_colour() {
    let file = Look::colour(120, 90).png8();
    let (prepared, _) = through_latent(&file, &with_model("haar-fundus"));
    assert!(prepared.report.fidelity.unwrap().ssim > 0.95);
    assert!(prepared.coded.len() < file.len());
    assert!(!prepared.certificate.unwrap().certified, "float32 decoders are not certified");
    assert_eq!(prepared.report.channels, 3);
}

#[test]
fn sixteen_bit_grey_and_colour_keep_their_depth() {
    for look in [Look::grey(64, 48), Look::colour(64, 48)] {
        let (prepared, restored) = through_latent(&look.png16(), &with_model("haar-chest"));
        assert_eq!(prepared.report.bits, 16);
        let (low, high) = prepared.original.unwrap().value_range();
        assert!(high > 40_000 && low > 900);
        // More than 8 bits come out, within the object's own range.
        let pixels = restored.pixels.unwrap();
        let (restored_low, restored_high) = pixels.value_range();
        assert!(restored_low >= low && restored_high <= high);
        assert!(pixels.samples.iter().any(|sample| sample % 257 != 0));
        let fidelity = prepared.report.fidelity.unwrap();
        assert!(fidelity.ssim > 0.95 && fidelity.max_abs_error < 3000, "{fidelity:?}");
    }
}

#[test]
fn one_plane_models_take_grey() {
    let (prepared, _) = through_latent(&Look::grey(75, 50).png8(), &with_model("mono-brain"));
    assert!(prepared.report.fidelity.unwrap().ssim > 0.95);
    let error = codec().prepare(&Look::colour(75, 50).png8(), &with_model("mono-brain")).unwrap_err();
    assert_eq!(error.reason(), "MODEL_MISMATCH");
}

#[test]
fn signed_multi_frame_dicom_comes_back_as_marked_dicom() {
    let mut samples = Vec::new();
    for seed in 1..=3 {
        samples.extend(Look { seed, ..Look::grey(40, 36) }.samples(-900, 1500));
    }
    let file = Dicom::new(40, 36, 3, 12, true, samples).file();
    let (prepared, restored) = through_latent(&file, &with_model("haar-chest"));
    let report = &prepared.report;
    assert_eq!((report.frames, report.bits, report.format), (3, 12, Some(Format::Dicom)));
    assert!(report.fidelity.unwrap().ssim > 0.95);
    assert_eq!(restored.format, Some(Format::Dicom));
    let uid = prepared.derived_sop_instance_uid.unwrap();
    assert!(uid.starts_with("2.25.") && uid != Dicom::SOP_INSTANCE_UID);
    let Header::Latent(header) = Header::parse(&prepared.coded).unwrap() else { panic!("not a latent") };
    assert_eq!(header.sop_instance_uid.as_ref(), Some(&uid));
    assert!(header.signed && header.low < 0);
    let contains = |text: &str| restored.file.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(contains(&uid), "the rebuilt file carries the derived UID");
    let again = codec().prepare(&file, &with_model("haar-chest")).unwrap();
    assert_eq!(again.derived_sop_instance_uid, Some(uid), "it is derived, not drawn");
}

#[test]
fn odd_sizes() {
    for (width, height) in [(16, 16), (17, 31), (31, 17), (129, 33), (64, 65)] {
        for model in ["haar-chest", "mono-brain", "blur-other"] {
            let policy = Policy { below_floor: BelowFloor::SendMarked, ..with_model(model) };
            let (prepared, _) = through_latent(&Look::grey(width, height).png8(), &policy);
            assert_eq!((prepared.report.width, prepared.report.height), (width, height));
        }
    }
}

#[test]
fn larger_than_a_tile_of_either_kind() {
    // 600x540 pixels: 300x270 latents, two by two entropy-coding tiles; blur's nets are cut every
    // 64 pixels.
    let file = Look::colour(600, 540).png8();
    let (prepared, _) = through_latent(&file, &with_model("haar-fundus"));
    assert!(prepared.report.fidelity.unwrap().min_local_ssim > 0.95);
    let policy = Policy { below_floor: BelowFloor::SendMarked, ..with_model("blur-other") };
    let smooth = Look { noise: 0.002, ..Look::colour(600, 540) }.png8();
    let (prepared, _) = through_latent(&smooth, &policy);
    // A seam or a tile out of place would show in the worst tile.
    assert!(prepared.report.fidelity.unwrap().min_local_ssim > 0.95);
}

#[test]
fn saturated_pictures_do_not_wrap() {
    let stripes = |pixel: u32| if (pixel % 97 / 5).is_multiple_of(2) { 0 } else { 255 };
    for (bits, scale) in [(8, 1), (16, 257)] {
        let samples: Vec<i32> = (0..97 * 80).map(|pixel| stripes(pixel) * scale).collect();
        let file = support::png(97, 80, 1, bits, &samples);
        // A coarse step makes the nets overshoot at both ends.
        for model in ["haar-chest", "mono-brain"] {
            let policy = Policy {
                quantiser_step_percent: Some(1500),
                below_floor: BelowFloor::SendMarked,
                ..with_model(model)
            };
            let (prepared, restored) = through_latent(&file, &policy);
            let range = 255 * scale as u32;
            assert!(prepared.report.fidelity.unwrap().max_abs_error < range / 2, "black became white");
            let (low, high) = restored.pixels.unwrap().value_range();
            assert!(low >= 0 && high as u32 <= range);
        }
    }
}

#[test]
fn a_jpeg_comes_back_as_png() {
    let folder = support::repository().join("samples/fundus/test");
    let jpeg = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let mut jpeg = jpeg.filter(|path| path.extension().is_some_and(|ending| ending == "jpg"));
    let path = jpeg.next().expect("samples/ holds JPEG files");
    let policy = Policy { below_floor: BelowFloor::SendMarked, ..with_model("haar-fundus") };
    let (prepared, restored) = through_latent(&std::fs::read(path).unwrap(), &policy);
    assert_eq!(prepared.report.format, Some(Format::Jpeg));
    assert_eq!(restored.format, Some(Format::Png));
}

#[test]
fn a_coarser_step_costs_fewer_bytes_and_some_fidelity() {
    let file = Look::grey(128, 128).png8();
    let at = |percent| {
        let policy = Policy {
            quantiser_step_percent: Some(percent),
            below_floor: BelowFloor::SendMarked,
            ..with_model("haar-chest")
        };
        let (prepared, _) = through_latent(&file, &policy);
        (prepared.coded.len(), prepared.report.fidelity.unwrap().mse)
    };
    let (fine, medium, coarse) = (at(50), at(100), at(300));
    assert!(fine.0 > medium.0 && medium.0 > coarse.0);
    assert!(fine.1 < medium.1 && medium.1 < coarse.1);
}

#[test]
fn preparing_twice_gives_the_same_bytes() {
    let file = Look::colour(100, 60).png8();
    let prepare = || codec().prepare(&file, &with_model("haar-fundus")).unwrap().coded;
    assert_eq!(prepare(), prepare());
}

#[test]
fn exact_form_brings_the_files_own_bytes() {
    let file = Look::grey(50, 40).png8();
    for prepared in [
        codec().prepare(&file, &Policy { mode: Mode::Exact, ..Policy::default() }).unwrap(),
        codec().prepare_exact(&file, "the receiver asked for it").unwrap(),
    ] {
        assert_eq!(prepared.report.mode, Mode::Exact);
        assert_eq!((prepared.report.width, prepared.report.height), (50, 40));
        assert!(prepared.report.exact_reason.is_some());
        assert_eq!(prepared.certificate, None);
        assert_eq!(Header::parse(&prepared.coded).unwrap().form(), Form::Exact);
        let restored = codec().restore(&prepared.coded).unwrap();
        assert_eq!(restored.file, file);
        assert_eq!((restored.mode, restored.format), (Mode::Exact, Some(Format::Png)));
    }
}
