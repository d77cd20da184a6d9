//! Models that are by request only, nets of one tile size, and raw rows.
#![allow(clippy::unwrap_used, reason = "a helper that cannot make its input has failed its test")]

mod support;

use std::sync::OnceLock;

use latentwire_codec::imaging::{self, Limits};
use latentwire_codec::model::{Modality, Purpose};
use latentwire_codec::{
    BelowFloor, Codec, CodecConfig, CodecError, Floors, Header, LatentCoding, LatentHeader, Mark, Mode,
    Policy, Prepared, Restored,
};
use support::{BOTH, Dicom, Look, codec, config, copy_folder, models, shape, with_model};

const WHOLE: &str = "whole-dense";
const SOFTEN: &str = "soften-chest";

/// The codec with every sound model, those for research included.
fn research() -> &'static Codec {
    static CODEC: OnceLock<Codec> = OnceLock::new();
    CODEC.get_or_init(|| {
        Codec::load(&CodecConfig { research: true, ..config(&models("sound"), BOTH) }).unwrap()
    })
}

fn marked(id: &str) -> Policy {
    Policy { below_floor: BelowFloor::SendMarked, ..with_model(id) }
}

fn rows(id: &str) -> Policy {
    Policy { latent_coding: LatentCoding::RawRows, ..with_model(id) }
}

fn latent_header(coded: &[u8]) -> LatentHeader {
    match Header::parse(coded).unwrap() {
        Header::Latent(header) => header,
        Header::Exact(_) => panic!("an exact form"),
    }
}

/// Sends a file through a latent and checks what must hold for any picture.
fn through_latent(file: &[u8], policy: &Policy) -> (Prepared, Restored) {
    let prepared = research().prepare(file, policy).unwrap();
    assert_eq!(prepared.report.mode, Mode::Latent, "{:?}", prepared.report.exact_reason);
    let reconstruction = prepared.reconstruction.as_ref().unwrap();
    assert_eq!(shape(prepared.original.as_ref().unwrap()), shape(reconstruction));
    let restored = research().restore(&prepared.coded).unwrap();
    assert_eq!(restored.pixels.as_ref(), Some(reconstruction));
    let received = imaging::read(&restored.file, &Limits::default()).unwrap();
    assert_eq!(received.pixels.samples, reconstruction.samples);
    (prepared, restored)
}

#[test]
fn research_models_are_loaded_on_demand_only_and_listed_last() {
    assert!(codec().models().iter().all(|model| model.purpose == Purpose::Product));
    let found = research().models();
    let found: Vec<_> = found.iter().map(|model| (model.id.as_str(), model.purpose)).collect();
    let product = ["blur-other", "haar-chest", "haar-fundus", "mono-brain"].map(|id| (id, Purpose::Product));
    let more = [(SOFTEN, Purpose::Denoising), (WHOLE, Purpose::Research)];
    assert_eq!(found, [&product[..], &more].concat());

    // Wherever such a model lies, it is passed over; a folder without a research folder is none the worse.
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&models("sound/research").join(WHOLE), &folder.path().join(WHOLE));
    let plain = config(folder.path(), BOTH);
    assert!(matches!(Codec::load(&plain).unwrap_err(), CodecError::NoModels));
    let asked = Codec::load(&CodecConfig { research: true, ..plain }).unwrap();
    assert_eq!(asked.models().len(), 1);
}

#[test]
fn a_model_that_is_not_loaded_is_missed_with_what_to_do() {
    let file = Look::grey(64, 64).png8();
    let error = codec().prepare(&file, &marked(WHOLE)).unwrap_err();
    assert_eq!(error.reason(), "MODEL_MISMATCH");
    assert!(error.to_string().contains("--research-models"), "{error}");
    let coded = research().prepare(&file, &marked(WHOLE)).unwrap().coded;
    let error = codec().restore(&coded).unwrap_err();
    assert_eq!(error.reason(), "MODEL_MISMATCH");
    assert!(error.to_string().contains("research models are allowed"), "{error}");
}

#[test]
fn no_trial_no_modality_and_no_header_ever_chooses_them() {
    // Alone with nothing else to choose from, they are still not chosen.
    let folder = tempfile::tempdir().unwrap();
    for id in [WHOLE, SOFTEN] {
        copy_folder(&models("sound/research").join(id), &folder.path().join("research").join(id));
    }
    let alone = Codec::load(&CodecConfig { research: true, ..config(folder.path(), BOTH) }).unwrap();
    let grey = Look { noise: 0.0, ..Look::grey(96, 80) };
    let cr = Dicom {
        modality: "CR",
        body_part: "CHEST",
        ..Dicom::new(96, 80, 1, 12, false, grey.samples(0, 4000))
    };
    let files = [grey.png8(), Look { noise: 0.0, ..Look::colour(96, 80) }.png8(), cr.file()];
    let modalities = [None, Some(Modality::Chest), Some(Modality::Other), Some(Modality::Fundus)];
    for (at, file) in files.iter().enumerate() {
        for modality in modalities {
            for below_floor in [BelowFloor::Exact, BelowFloor::SendMarked] {
                let policy = Policy { modality, below_floor, ..Policy::default() };
                let error = alone.prepare(file, &policy).unwrap_err();
                assert_eq!(error.reason(), "MODEL_MISMATCH", "{at} {policy:?}");
                let prepared = research().prepare(file, &policy).unwrap();
                assert_ne!(prepared.report.model.as_deref(), Some(WHOLE), "{at} {policy:?}");
                assert_ne!(prepared.report.model.as_deref(), Some(SOFTEN), "{at} {policy:?}");
            }
        }
    }
    assert!(alone.prepare(&files[0], &marked(SOFTEN)).is_ok(), "by its id it is");
}

#[test]
fn they_want_to_be_marked() {
    let files = [Look::grey(64, 64).png8(), support::png(64, 64, 1, 8, &vec![7; 64 * 64])];
    for file in &files {
        for (id, purpose) in [(WHOLE, Purpose::Research), (SOFTEN, Purpose::Denoising)] {
            for below_floor in [BelowFloor::Exact, BelowFloor::Reject] {
                let error = research().prepare(file, &Policy { below_floor, ..with_model(id) }).unwrap_err();
                assert!(
                    matches!(&error, CodecError::ResearchUnmarked { id: named, purpose: found }
                        if named == id && *found == purpose),
                    "{error}"
                );
                assert_eq!(error.reason(), "INVALID_POLICY");
                assert!(error.to_string().contains("send-marked"), "{error}");
            }
        }
    }
}

#[test]
fn every_picture_says_what_it_is_marked_with() {
    // Smooth ground, on which every model is above the default floor.
    let file = Look { noise: 0.0, ..Look::grey(96, 96) }.png8();
    let at_default_floors = |id: &str| Policy { floors: Floors::default(), ..marked(id) };
    for (id, mark) in [("haar-chest", None), (SOFTEN, Some(Mark::Denoised)), (WHOLE, Some(Mark::Research))] {
        let (prepared, restored) = through_latent(&file, &at_default_floors(id));
        assert!(!prepared.report.below_floor, "{id}: {:?}", prepared.report.fidelity);
        assert_eq!((prepared.report.mark, restored.mark), (mark, mark), "{id}");
    }
    // Below a floor: a product model is marked so, the others keep the mark that says more.
    let floors = Floors { max_abs_error: Some(0), ..Floors::NONE };
    for (id, mark, restored_mark) in [
        ("blur-other", Mark::BelowFloor, None),
        (SOFTEN, Mark::Denoised, Some(Mark::Denoised)),
        (WHOLE, Mark::Research, Some(Mark::Research)),
    ] {
        let (prepared, restored) =
            through_latent(&Look::grey(96, 96).png8(), &Policy { floors, ..marked(id) });
        assert!(prepared.report.below_floor);
        assert_eq!((prepared.report.mark, restored.mark), (Some(mark), restored_mark), "{id}");
    }
    let exact = research().prepare(&file, &Policy { mode: Mode::Exact, ..Policy::default() }).unwrap();
    assert_eq!((exact.report.mark, research().restore(&exact.coded).unwrap().mark), (None, None));
    assert_eq!(
        [Mark::BelowFloor, Mark::Denoised, Mark::Research].map(Mark::name),
        ["below_floor", "denoised", "research"]
    );
}

#[test]
fn a_sender_without_decoders_marks_all_the_same() {
    let parts = latentwire_codec::model::Parts { encoder: true, decoder: false };
    let sender = CodecConfig { research: true, ..config(&models("sound"), parts) };
    let prepared =
        Codec::load(&sender).unwrap().prepare(&Look::grey(64, 64).png8(), &marked(SOFTEN)).unwrap();
    assert_eq!((prepared.report.measured, prepared.report.mark), (false, Some(Mark::Denoised)));
}

#[test]
fn pictures_that_no_latent_suits_travel_exact_also_for_a_research_model() {
    let flat = vec![77; 64 * 64];
    for (what, file) in [
        ("one pixel", support::png(1, 1, 1, 8, &[9])),
        ("one row", Look::grey(300, 1).png8()),
        ("one column", Look::colour(1, 300).png8()),
        ("smaller than a stride of 32", Look::grey(13, 14).png8()),
        ("one grey", support::png(64, 64, 1, 8, &flat)),
    ] {
        for id in [WHOLE, SOFTEN] {
            for policy in [marked(id), Policy { below_floor: BelowFloor::SendMarked, ..rows(id) }] {
                let prepared = research().prepare(&file, &policy).unwrap();
                assert_eq!(prepared.report.mode, Mode::Exact, "{what}");
                assert!(prepared.report.exact_reason.is_some_and(|reason| !reason.is_empty()), "{what}");
                assert_eq!((prepared.report.mark, prepared.rows), (None, None));
                assert_eq!(research().restore(&prepared.coded).unwrap().file, file);
            }
        }
    }
}

/// A picture of blocks of 2x2 pixels, which `whole-dense` keeps, within the picture's own edge.
fn blocks(width: u32, height: u32) -> Vec<u8> {
    let look = Look { noise: 0.3, ..Look::grey(width.div_ceil(2), height.div_ceil(2)) };
    let small = look.samples(0, 255);
    let sample = |at: u32| {
        let (x, y) = (at % width / 2, at / width / 2);
        small[(y * look.width + x) as usize]
    };
    support::png(width, height, 1, 8, &(0..width * height).map(sample).collect::<Vec<_>>())
}

#[test]
fn nets_of_one_tile_size_take_pictures_of_any_size() {
    let sizes = [
        (16, 16),
        (17, 31),
        (31, 17),
        (32, 32),
        (33, 32),
        (32, 65),
        (64, 64),
        (100, 70),
        (129, 97),
        (16, 200),
    ];
    for (width, height) in sizes {
        let file = blocks(width, height);
        for policy in [marked(WHOLE), Policy { below_floor: BelowFloor::SendMarked, ..rows(WHOLE) }] {
            let (prepared, _) = through_latent(&file, &policy);
            let header = latent_header(&prepared.coded);
            assert!(header.whole_tiles && header.tile_side == 16 && header.latent_stride == 2);
            assert_eq!((header.width, header.height), (width, height));
            // A tile out of place, or a mean over what lies beyond the edge, would show at once.
            let error = prepared.report.fidelity.unwrap().max_abs_error;
            assert!(error <= 4, "{width}x{height} {:?}: {error}", policy.latent_coding);
        }
    }
}

#[test]
fn whole_tiles_of_colours_and_of_several_frames() {
    let colour = Look { noise: 0.0, ..Look::colour(75, 50) }.png8();
    let (prepared, _) = through_latent(&colour, &marked(WHOLE));
    assert_eq!((prepared.report.channels, prepared.report.mark), (3, Some(Mark::Research)));
    let mut samples = Vec::new();
    for seed in 1..=3 {
        samples.extend(Look { seed, noise: 0.0, ..Look::grey(40, 36) }.samples(-900, 1500));
    }
    let file = Dicom::new(40, 36, 3, 12, true, samples).file();
    for policy in [marked(WHOLE), Policy { below_floor: BelowFloor::SendMarked, ..rows(WHOLE) }] {
        let (prepared, restored) = through_latent(&file, &policy);
        let words = b"Latentwire learned lossy compression, marked research, model whole-dense";
        assert!(restored.file.windows(words.len()).any(|window| window == words), "the file says so too");
        let fidelity = prepared.report.fidelity.unwrap();
        assert!(prepared.report.frames == 3 && fidelity.ssim > 0.9, "{fidelity:?}");
    }
}

#[test]
fn what_whole_tiles_add_counts_against_the_limits() {
    let limits = Limits { max_pixels: 4096, ..Limits::default() };
    let small = CodecConfig { research: true, limits, ..config(&models("sound"), BOTH) };
    let small = Codec::load(&small).unwrap();
    // 100x17 pixels fill 128x32; 100x33 fill 128x64, though they are 3,300 themselves.
    assert!(small.prepare(&blocks(100, 17), &marked(WHOLE)).is_ok());
    let beyond = blocks(100, 33);
    for policy in [marked(WHOLE), Policy { below_floor: BelowFloor::SendMarked, ..rows(WHOLE) }] {
        let error = small.prepare(&beyond, &policy).unwrap_err();
        assert_eq!(error.reason(), "IMAGE_TOO_LARGE", "{error}");
        let coded = research().prepare(&beyond, &policy).unwrap().coded;
        assert_eq!(small.restore(&coded).unwrap_err().reason(), "IMAGE_TOO_LARGE");
    }
    assert!(small.prepare(&beyond, &marked("haar-chest")).is_ok(), "other nets add nothing");
}

#[test]
fn a_header_and_its_model_must_agree_on_whole_tiles() {
    // At 32x32 pixels both orders have the same table, so that only the model tells them apart.
    let whole = research().prepare(&blocks(32, 32), &marked(WHOLE)).unwrap().coded;
    let any = research().prepare(&blocks(32, 32), &marked("blur-other")).unwrap().coded;
    for (coded, at, value) in [(&whole, 55, 0), (&whole, 68, 32), (&any, 55, 1)] {
        let mut changed = coded.clone();
        changed[at] = value;
        assert!(Header::parse(&changed).is_ok());
        let error = research().restore(&changed).unwrap_err();
        assert!(matches!(error, CodecError::ModelContradiction { .. }), "{at} {value}: {error}");
    }
}

#[test]
fn raw_rows_are_the_latent_as_the_net_gave_it() {
    for (file, frames) in [
        (Look::grey(75, 50).png8(), 1),
        (Dicom::new(40, 36, 3, 12, false, Look::grey(40, 36).samples(0, 4000).repeat(3)).file(), 3),
    ] {
        let (prepared, restored) = through_latent(&file, &rows("blur-other"));
        let header = latent_header(&prepared.coded);
        let layout = prepared.rows.unwrap();
        let columns = header.width.div_ceil(2);
        assert_eq!((header.coding, layout.row_bytes), (LatentCoding::RawRows, columns * 3 * 4));
        let payload = &prepared.coded[layout.head_bytes..];
        let count = payload.len() / layout.row_bytes as usize;
        assert_eq!(payload.len() % layout.row_bytes as usize, 0);
        assert_eq!(count as u32, header.height.div_ceil(2) * frames);
        // blur's latent is the mean of 2x2 pixels, in 0..1, and the three planes of a grey picture are equal.
        let original = prepared.original.unwrap();
        let pixels: Vec<f32> =
            payload.chunks_exact(4).map(|value| f32::from_le_bytes(value.try_into().unwrap())).collect();
        let span = (header.high - header.low) as f32;
        for frame in 0..frames {
            let plane = original.plane(frame, 0);
            for (y, x) in [(0, 0), (3, 7), (header.height / 2 - 1, header.width / 2 - 1)] {
                let at = |y: u32, x: u32| (plane[(y * header.width + x) as usize] - header.low) as f32 / span;
                let (py, px) = (2 * y, 2 * x);
                let mean = (at(py, px) + at(py, px + 1) + at(py + 1, px) + at(py + 1, px + 1)) / 4.0;
                let row = frame * header.height.div_ceil(2) + y;
                let first = (row * columns + x) as usize * 3;
                for value in &pixels[first..first + 3] {
                    assert!((value - mean).abs() < 1e-5, "frame {frame}, {y}, {x}: {value} {mean}");
                }
            }
        }
        assert_eq!(
            (prepared.report.mark, restored.mark),
            (None, None),
            "rows of a product model are its own"
        );
        // Nothing is quantised: no latent of the same net comes closer.
        let coded = research().prepare(&file, &marked("blur-other")).unwrap();
        let (raw, coded) = (prepared.report.fidelity.unwrap(), coded.report.fidelity.unwrap());
        assert!(raw.mse <= coded.mse, "{raw:?} {coded:?}");
    }
}

#[test]
fn raw_rows_are_held_to_the_floors_but_not_to_the_files_length() {
    let file = Look::grey(96, 96).png8();
    let prepared = research().prepare(&file, &rows("haar-chest")).unwrap();
    assert_eq!(prepared.report.mode, Mode::Latent);
    assert!(prepared.coded.len() > file.len());
    let floors = Floors { max_abs_error: Some(0), ..Floors::NONE };
    let below = research().prepare(&file, &Policy { floors, ..rows("blur-other") }).unwrap();
    assert_eq!((below.report.mode, below.rows), (Mode::Exact, None));
    let policy = Policy { floors, below_floor: BelowFloor::Reject, ..rows("blur-other") };
    assert_eq!(research().prepare(&file, &policy).unwrap_err().reason(), "FIDELITY_BELOW_FLOOR");
    // By trial as ever: the choice of model does not depend on how the latent is written.
    let chosen = |policy| research().prepare(&file, &policy).unwrap().report.model;
    let any = Policy { floors: Floors::NONE, ..Policy::default() };
    assert_eq!(chosen(Policy { latent_coding: LatentCoding::RawRows, ..any.clone() }), chosen(any));
}

#[test]
fn raw_rows_go_with_mode_latent_and_the_models_own_step() {
    let file = Look::grey(64, 64).png8();
    for policy in [
        Policy { mode: Mode::Exact, ..rows("haar-chest") },
        Policy { quantiser_step_percent: Some(200), ..rows("haar-chest") },
    ] {
        assert_eq!(research().prepare(&file, &policy).unwrap_err().reason(), "INVALID_POLICY", "{policy:?}");
    }
}

#[test]
fn raw_values_that_are_no_numbers_are_refused() {
    let prepared = research().prepare(&Look::grey(40, 30).png8(), &rows("blur-other")).unwrap();
    let layout = prepared.rows.unwrap();
    for bits in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for at in [layout.head_bytes, prepared.coded.len() - 4] {
            let mut coded = prepared.coded.clone();
            coded[at..at + 4].copy_from_slice(&bits.to_le_bytes());
            let error = research().restore(&coded).unwrap_err();
            assert_eq!(error.reason(), "MALFORMED_BITSTREAM", "{error}");
        }
    }
    // As far from 0 as a number can be: whatever the net makes of it, it is no panic.
    let mut coded = prepared.coded.clone();
    let (_, values) = coded.split_at_mut(layout.head_bytes);
    for value in values.chunks_exact_mut(4) {
        value.copy_from_slice(&f32::MAX.to_le_bytes());
    }
    match research().restore(&coded) {
        Ok(restored) => assert!(restored.pixels.unwrap().samples.iter().all(|sample| *sample <= 255)),
        Err(error) => assert_eq!(error.reason(), "INVALID_TENSOR", "{error}"),
    }
}

#[test]
fn coded_images_of_every_order_may_be_cut_or_changed_anywhere() {
    let limits = Limits { max_file_bytes: 1 << 20, max_pixels: 1 << 20, max_side: 4096 };
    let limited = CodecConfig { research: true, limits, ..config(&models("sound"), BOTH) };
    let limited = Codec::load(&limited).unwrap();
    let raw = |id: &str| Policy { below_floor: BelowFloor::SendMarked, ..rows(id) };
    for policy in [marked(WHOLE), raw("blur-other"), raw(WHOLE)] {
        let sound = research().prepare(&Look::grey(20, 17).png8(), &policy).unwrap().coded;
        for length in 0..sound.len() {
            assert_eq!(limited.restore(&sound[..length]).unwrap_err().reason(), "MALFORMED_BITSTREAM");
        }
        assert!(limited.restore(&[&sound[..], &[0; 4]].concat()).is_err());
        // Every byte of the head and of the container; of the values, some.
        for at in (0..sound.len()).filter(|at| *at < 160 || at % 37 == 0) {
            for change in [0x01, 0x80, 0xff] {
                let mut coded = sound.clone();
                coded[at] ^= change;
                match limited.restore(&coded) {
                    Ok(restored) => {
                        assert!(restored.pixels.is_some_and(|pixels| pixels.samples.len() <= 3 << 20));
                    }
                    Err(error) => {
                        let known =
                            ["MALFORMED_BITSTREAM", "MODEL_MISMATCH", "IMAGE_TOO_LARGE", "INVALID_TENSOR"];
                        assert!(known.contains(&error.reason()), "byte {at}, change {change:#x}: {error}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_head_that_claims_more_than_there_is_costs_nothing() {
    let sound = research().prepare(&Look::grey(20, 17).png8(), &marked(WHOLE)).unwrap().coded;
    let head = |order: u8, width: u32, height: u32, frames: u32, rest: usize| {
        let mut coded = sound[..72].to_vec();
        coded[40..44].copy_from_slice(&width.to_le_bytes());
        coded[44..48].copy_from_slice(&height.to_le_bytes());
        coded[48..52].copy_from_slice(&frames.to_le_bytes());
        coded[55] = order;
        coded.resize(77 + rest, 0); // no UID, no container, then as many zeros
        coded
    };
    for order in [1, 2, 3] {
        for (width, height, frames) in [
            (20_000, 20_000, 1),
            (u32::MAX, 1, 1),
            (1, u32::MAX, 1),
            (u32::MAX, u32::MAX, u32::MAX),
            (1, 1, u32::MAX),
        ] {
            let error = Header::parse(&head(order, width, height, frames, 4096)).unwrap_err();
            assert_eq!(error.reason(), "MALFORMED_BITSTREAM", "{order}: {width} {height} {frames}");
        }
    }
    // A table (or rows) that is really there, of tiles without bytes: 2^16 frames of one pixel fill 2^26 pixels.
    let tall = head(1, 1, 1, 1 << 16, 4 << 16);
    assert!(Header::parse(&tall).is_ok());
    assert_eq!(research().restore(&tall).unwrap_err().reason(), "MALFORMED_BITSTREAM");
    let limits = Limits { max_pixels: 1 << 20, ..Limits::default() };
    let limited = CodecConfig { research: true, limits, ..config(&models("sound"), BOTH) };
    assert_eq!(Codec::load(&limited).unwrap().restore(&tall).unwrap_err().reason(), "IMAGE_TOO_LARGE");
}

#[test]
fn a_model_that_does_not_suit_a_picture_says_why() {
    let error = codec().prepare(&Look::colour(64, 64).png8(), &with_model("mono-brain")).unwrap_err();
    assert!(matches!(&error, CodecError::GreyOnly { id } if id == "mono-brain"), "{error}");
    assert_eq!(error.reason(), "MODEL_MISMATCH");
    assert!(error.to_string().contains("grey"), "{error}");

    let floors = Floors { max_abs_error: Some(0), ..Floors::NONE };
    let reason = |file: &[u8], policy: Policy| {
        let policy = Policy { floors, ..policy };
        let exact = codec().prepare(file, &policy).unwrap().report.exact_reason.unwrap();
        let refused =
            codec().prepare(file, &Policy { below_floor: BelowFloor::Reject, ..policy }).unwrap_err();
        (exact, refused.to_string())
    };
    let grey = Look::grey(64, 64);
    let mr = Dicom {
        modality: "MR",
        body_part: "BRAIN",
        ..Dicom::new(64, 64, 1, 12, false, grey.samples(0, 4000))
    };
    let fundus = Policy { modality: Some(Modality::Fundus), ..with_model("haar-chest") };
    for (file, policy, wanted) in [
        (grey.png8(), with_model("haar-fundus"), "made for fundus pictures, and this one is grey"),
        (
            Look::colour(64, 64).png8(),
            with_model("haar-chest"),
            "made for chest pictures, and this one has colours",
        ),
        (mr.file(), with_model("haar-chest"), "made for chest pictures, and this one is said to show brain"),
        (grey.png8(), fundus, "made for chest pictures, and this one is said to show fundus"),
    ] {
        let (exact, refused) = reason(&file, policy);
        assert!(exact.contains(wanted) && refused.contains(wanted), "{exact} / {refused}");
    }
    let (exact, refused) = reason(&grey.png8(), with_model("haar-chest"));
    assert!(!exact.contains("made for") && !refused.contains("made for"), "{exact} / {refused}");
}
