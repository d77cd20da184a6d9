//! Floors, what happens below them, the choice of model, and what never goes through a latent.
#![allow(clippy::unwrap_used, reason = "a helper that cannot make its input has failed its test")]

mod support;

use latentwire_codec::imaging::Format;
use latentwire_codec::model::{Modality, Parts};
use latentwire_codec::{BelowFloor, Codec, CodecError, Floors, Mode, Policy};
use support::{Dicom, Look, codec, config, models, with_model};

fn floors() -> [(&'static str, Floors); 4] {
    [
        ("ssim", Floors { min_ssim: Some(1.0), ..Floors::NONE }),
        ("local ssim", Floors { min_local_ssim: Some(1.0), ..Floors::NONE }),
        ("psnr", Floors { min_psnr_db: Some(90.0), ..Floors::NONE }),
        ("max abs error", Floors { max_abs_error: Some(0), ..Floors::NONE }),
    ]
}

#[test]
fn below_each_floor_the_original_is_sent_exact() {
    let file = Look::grey(96, 96).png8();
    for (what, floors) in floors() {
        let prepared = codec().prepare(&file, &Policy { floors, ..with_model("haar-chest") }).unwrap();
        assert_eq!(prepared.report.mode, Mode::Exact, "{what}");
        assert!(prepared.report.below_floor);
        assert!(prepared.report.exact_reason.unwrap().starts_with("below a floor"));
        assert_eq!(prepared.report.fidelity, None);
        assert_eq!(codec().restore(&prepared.coded).unwrap().file, file);
    }
}

#[test]
fn below_each_floor_reject_refuses_with_the_figures() {
    let file = Look::grey(96, 96).png8();
    for (what, floors) in floors() {
        let policy = Policy { floors, below_floor: BelowFloor::Reject, ..with_model("haar-chest") };
        let error = codec().prepare(&file, &policy).unwrap_err();
        assert_eq!(error.reason(), "FIDELITY_BELOW_FLOOR", "{what}");
        let CodecError::FidelityBelowFloor { fidelity, unlike: None } = error else { panic!("{error}") };
        assert!(fidelity.ssim > 0.9 && fidelity.ssim < 1.0);
    }
}

#[test]
fn below_each_floor_send_marked_sends_marked() {
    let file = Look::grey(96, 96).png8();
    for (what, floors) in floors() {
        let policy = Policy { floors, below_floor: BelowFloor::SendMarked, ..with_model("haar-chest") };
        let prepared = codec().prepare(&file, &policy).unwrap();
        assert_eq!(prepared.report.mode, Mode::Latent, "{what}");
        assert!(prepared.report.below_floor && prepared.report.measured);
    }
}

#[test]
fn above_each_floor_the_latent_is_sent() {
    let file = Look::grey(96, 96).png8();
    let measured = codec().prepare(&file, &with_model("haar-chest")).unwrap().report.fidelity.unwrap();
    let floors = Floors {
        min_ssim: Some(measured.ssim),
        min_local_ssim: Some(measured.min_local_ssim),
        min_psnr_db: measured.psnr_db,
        max_abs_error: Some(measured.max_abs_error),
    };
    let policy = Policy { floors, below_floor: BelowFloor::Reject, ..with_model("haar-chest") };
    let report = codec().prepare(&file, &policy).unwrap().report;
    assert!(report.mode == Mode::Latent && !report.below_floor);
}

#[test]
fn the_default_floor_holds_for_every_frame() {
    // Two frames that a blur cannot harm, and one that it ruins.
    let smooth = Look { noise: 0.0, ..Look::grey(64, 64) };
    let noisy = Look { noise: 0.3, ..smooth };
    let policy = Policy { model: Some("blur-other".to_owned()), ..Policy::default() };
    let prepare = |looks: [Look; 3]| {
        let samples = looks.iter().flat_map(|look| look.samples(0, 4095)).collect();
        codec().prepare(&Dicom::new(64, 64, 3, 12, false, samples).file(), &policy).unwrap().report
    };
    let sound = prepare([smooth; 3]);
    assert_eq!((sound.mode, sound.below_floor), (Mode::Latent, false), "{sound:?}");
    let spoilt = prepare([smooth, noisy, smooth]);
    assert_eq!((spoilt.mode, spoilt.below_floor), (Mode::Exact, true), "{spoilt:?}");
}

#[test]
fn policies_out_of_range_are_refused() {
    let file = Look::grey(32, 32).png8();
    let floors = |floors| Policy { floors, ..Policy::default() };
    for policy in [
        floors(Floors { min_ssim: Some(1.1), ..Floors::NONE }),
        floors(Floors { min_ssim: Some(f64::NAN), ..Floors::NONE }),
        floors(Floors { min_local_ssim: Some(-0.1), ..Floors::NONE }),
        floors(Floors { min_psnr_db: Some(f64::INFINITY), ..Floors::NONE }),
        Policy { quantiser_step_percent: Some(0), ..Policy::default() },
        Policy { quantiser_step_percent: Some(10_001), ..Policy::default() },
    ] {
        assert_eq!(codec().prepare(&file, &policy).unwrap_err().reason(), "INVALID_POLICY", "{policy:?}");
    }
    let bounded = Policy { mode: Mode::Bounded, ..Policy::default() };
    assert_eq!(codec().prepare(&file, &bounded).unwrap_err().reason(), "NOT_ENABLED");
}

#[test]
fn a_sender_without_decoders_measures_nothing_and_says_so() {
    let parts = Parts { encoder: true, decoder: false };
    let sender = Codec::load(&config(&models("sound"), parts)).unwrap();
    assert!(sender.models().iter().all(|model| model.encoder && !model.decoder));
    let file = Look::grey(96, 96).png8();
    for policy in [
        Policy { model: Some("haar-chest".to_owned()), ..Policy::default() },
        with_model("haar-chest"),
        Policy { modality: Some(Modality::Other), ..Policy::default() },
    ] {
        let prepared = sender.prepare(&file, &policy).unwrap();
        assert_eq!(prepared.report.mode, Mode::Latent);
        assert!(!prepared.report.measured && !prepared.report.below_floor);
        assert_eq!(prepared.report.fidelity, None);
        assert!(prepared.certificate.is_none() && prepared.reconstruction.is_none());
        let restored = codec().restore(&prepared.coded).unwrap();
        assert_eq!(restored.pixels.unwrap().width, 96);
        assert_eq!(sender.restore(&prepared.coded).unwrap_err().reason(), "MODEL_MISMATCH");
    }
    for (what, floors) in floors() {
        let error = sender.prepare(&file, &Policy { floors, ..Policy::default() }).unwrap_err();
        assert!(matches!(error, CodecError::FloorsUnmeasurable), "{what}: {error}");
        assert_eq!(error.reason(), "INVALID_POLICY");
        let exact = Policy { floors, mode: Mode::Exact, ..Policy::default() };
        assert!(sender.prepare(&file, &exact).is_ok(), "nothing to measure in mode exact");
    }
}

#[test]
fn small_and_single_coloured_pictures_travel_exact() {
    let flat = vec![77; 64 * 64];
    for (what, file) in [
        ("1x1", support::png(1, 1, 1, 8, &[9])),
        ("5x5", Look::grey(5, 5).png8()),
        ("15 rows", Look::colour(400, 15).png8()),
        ("15 columns", Look::grey(15, 400).png16()),
        ("one grey", support::png(64, 64, 1, 8, &flat)),
        ("one 16-bit grey", support::png(64, 64, 1, 16, &flat)),
    ] {
        for below_floor in [BelowFloor::Exact, BelowFloor::Reject, BelowFloor::SendMarked] {
            let prepared = codec().prepare(&file, &Policy { below_floor, ..Policy::default() }).unwrap();
            assert_eq!(prepared.report.mode, Mode::Exact, "{what}");
            assert!(prepared.report.exact_reason.is_some() && !prepared.report.below_floor);
            assert_eq!(codec().restore(&prepared.coded).unwrap().file, file);
        }
    }
}

#[test]
fn a_latent_that_is_not_smaller_is_sent_exact_unless_marked() {
    // A regular pattern, which PNG codes in a few bytes.
    let samples: Vec<i32> = (0..128 * 128).map(|pixel| pixel % 128 % 8 * 30).collect();
    let file = support::png(128, 128, 1, 8, &samples);
    let prepared = codec().prepare(&file, &with_model("haar-chest")).unwrap();
    assert_eq!(prepared.report.mode, Mode::Exact);
    assert!(prepared.report.exact_reason.unwrap().contains("not smaller"));
    let policy = Policy { below_floor: BelowFloor::SendMarked, ..with_model("haar-chest") };
    let prepared = codec().prepare(&file, &policy).unwrap();
    assert_eq!(prepared.report.mode, Mode::Latent);
    assert!(prepared.coded.len() > file.len());
}

fn chosen(file: &[u8], policy: &Policy) -> String {
    let policy = Policy { below_floor: BelowFloor::SendMarked, ..policy.clone() };
    codec().prepare(file, &policy).unwrap().report.model.unwrap()
}

#[test]
fn a_model_is_chosen_by_id_then_modality_then_hint() {
    let file = Look::grey(64, 64).png8();
    let brain = Policy { modality: Some(Modality::Brain), ..Policy::default() };
    assert_eq!(chosen(&file, &brain), "mono-brain");
    let both = Policy { model: Some("blur-other".to_owned()), ..brain.clone() };
    assert_eq!(chosen(&file, &both), "blur-other");

    let samples = Look::grey(64, 64).samples(0, 4000);
    let mr = Dicom { modality: "MR", body_part: "BRAIN", ..Dicom::new(64, 64, 1, 12, false, samples) };
    let cr =
        |samples| Dicom { modality: "CR", body_part: "CHEST", ..Dicom::new(64, 64, 1, 12, false, samples) };
    assert_eq!(chosen(&mr.file(), &Policy::default()), "mono-brain");
    let cr = cr(mr.samples).file();
    assert_eq!(chosen(&cr, &Policy::default()), "haar-chest");
    assert_eq!(chosen(&cr, &brain), "mono-brain", "the request overrides the header");

    for policy in [
        Policy { model: Some("no-such-model".to_owned()), ..Policy::default() },
        Policy { modality: Some(Modality::Brain), ..Policy::default() },
    ] {
        let error = codec().prepare(&Look::colour(64, 64).png8(), &policy).unwrap_err();
        assert_eq!(error.reason(), "MODEL_MISMATCH", "{error}");
    }
}

#[test]
fn a_model_chosen_by_name_waits_for_a_request_or_a_header_to_name_it() {
    let codec = Codec::load(&config(&models("own"), support::BOTH)).unwrap();
    let loaded = codec.models();
    let labels: Vec<_> = loaded.iter().map(|model| (model.id.as_str(), model.label.as_deref())).collect();
    assert_eq!(labels, [("haar-ultrasound", Some("ultrasound")), ("mono-brain", None)]);
    let chosen = |file: &[u8], policy: &Policy| {
        let policy = Policy { below_floor: BelowFloor::SendMarked, ..policy.clone() };
        codec.prepare(file, &policy).map(|prepared| prepared.report.model.unwrap())
    };
    let with_modality = |modality| Policy { modality: Some(modality), ..Policy::default() };

    // Of itself it takes no part: neither in a trial nor for "any model".
    let grey = Look::grey(64, 64);
    let png = grey.png8();
    for policy in [Policy::default(), with_modality(Modality::Other), with_modality(Modality::Brain)] {
        assert_eq!(chosen(&png, &policy).unwrap(), "mono-brain", "{policy:?}");
    }
    let error = chosen(&Look::colour(64, 64).png8(), &Policy::default()).unwrap_err();
    assert_eq!(error.reason(), "MODEL_MISMATCH");
    assert!(error.to_string().contains("1 wait to be asked for by id"), "{error}");

    // A request names it, or the header's Modality does.
    assert_eq!(chosen(&png, &with_model("haar-ultrasound")).unwrap(), "haar-ultrasound");
    let dicom =
        |modality| Dicom { modality, ..Dicom::new(64, 64, 1, 12, false, grey.samples(0, 4000)) }.file();
    assert_eq!(chosen(&dicom("US"), &Policy::default()).unwrap(), "haar-ultrasound");
    assert_eq!(
        chosen(&dicom("US"), &with_modality(Modality::Brain)).unwrap(),
        "mono-brain",
        "the request wins"
    );
    for other in ["MG", "OT", "IVUS", "NOT A CODE"] {
        assert_eq!(chosen(&dicom(other), &Policy::default()).unwrap(), "mono-brain", "{other}");
    }
}

#[test]
fn a_trial_weighs_bits_against_errors() {
    let noisy = Look { noise: 0.2, ..Look::grey(300, 280) };
    let smooth = Look { noise: 0.0, ..noisy };
    let any = Policy { modality: Some(Modality::Other), ..Policy::default() };
    for (channels, faithful) in [(1, ["mono-brain", "haar-chest"]), (3, ["haar-fundus", "haar-chest"])] {
        // A blur ruins noise, so that its few bits do not pay; on smooth ground they do.
        let noisy = Look { channels, ..noisy }.png8();
        let smooth = Look { channels, ..smooth }.png8();
        for policy in [&Policy::default(), &any] {
            let model = chosen(&noisy, policy);
            assert!(faithful.contains(&model.as_str()), "{model}");
            assert_eq!(chosen(&smooth, policy), "blur-other");
        }
    }
}

#[test]
fn files_that_are_no_images_are_refused_in_every_mode() {
    let png = Look::grey(64, 64).png8();
    for (what, file, reason) in [
        ("empty", &[][..], "EMPTY_INPUT"),
        ("text", b"not a picture, whatever its name says", "UNKNOWN_FORMAT"),
        ("cut", &png[..png.len() / 2], "MALFORMED_IMAGE"),
    ] {
        for mode in [Mode::Latent, Mode::Exact] {
            let error = codec().prepare(file, &Policy { mode, ..Policy::default() }).unwrap_err();
            assert_eq!(error.reason(), reason, "{what} {mode}: {error}");
        }
    }
}

#[test]
fn an_unsupported_transfer_syntax_travels_exact_only() {
    let samples = Look::grey(64, 64).samples(0, 4000);
    // MPEG2 Main Profile / Main Level (PS3.6 table A-1).
    let dicom =
        Dicom { transfer_syntax: "1.2.840.10008.1.2.4.100", ..Dicom::new(64, 64, 1, 12, false, samples) };
    let file = dicom.file();
    let error = codec().prepare(&file, &Policy::default()).unwrap_err();
    assert_eq!(error.reason(), "UNSUPPORTED_TRANSFER_SYNTAX", "{error}");
    let prepared = codec().prepare(&file, &Policy { mode: Mode::Exact, ..Policy::default() }).unwrap();
    assert_eq!((prepared.report.format, prepared.report.width), (Some(Format::Dicom), 0));
    assert_eq!(codec().restore(&prepared.coded).unwrap().file, file);
}
