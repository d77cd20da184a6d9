//! One picture in every transfer syntax and layout that is read, written by foreign encoders (`make_vectors.py`).
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod common;

use common::{VECTOR_SIZE, lossy_step, original, vector};
use dicom_object::{FileDicomObject, InMemDicomObject, from_reader};
use latentwire_imaging::{
    ContentHint, Format, ImagingError, Limits, LossyStep, Picture, PixelTensor, derived_sop_instance_uid,
    read, rebuild,
};

fn read_vector(name: &str) -> Picture {
    read(&vector(name), &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn grey8() -> PixelTensor {
    original(VECTOR_SIZE.0, VECTOR_SIZE.1, 1, 8, 255, 0)
}

fn grey12() -> PixelTensor {
    original(VECTOR_SIZE.0, VECTOR_SIZE.1, 1, 12, 4095, 0)
}

fn signed16() -> PixelTensor {
    original(VECTOR_SIZE.0, VECTOR_SIZE.1, 1, 16, 3000, -1000)
}

fn colour8() -> PixelTensor {
    original(VECTOR_SIZE.0, VECTOR_SIZE.1, 3, 8, 255, 0)
}

fn largest_difference(a: &PixelTensor, b: &PixelTensor) -> i32 {
    assert_eq!(
        (a.width, a.height, a.channels, a.frames, a.bits, a.signed),
        (b.width, b.height, b.channels, b.frames, b.bits, b.signed)
    );
    a.samples.iter().zip(&b.samples).map(|(a, b)| (a - b).abs()).max().unwrap()
}

#[test]
fn lossless_codings_give_the_stored_values() {
    let cases = [
        (
            signed16(),
            &["implicit", "explicit", "big_endian", "rle", "jpeg_ls", "jpeg_lossless", "jpeg_2000"][..],
        ),
        (grey12(), &["deflated", "high_bit_15", "jpeg_ls", "jpeg_lossless"]),
        (grey8(), &["big_endian"]),
        (colour8(), &["by_pixel", "by_plane", "rle", "jpeg_ls", "jpeg_2000"]),
    ];
    for ((expected, codings), prefix) in cases.iter().zip(["signed16", "grey12", "grey8", "colour8"]) {
        for coding in *codings {
            let picture = read_vector(&format!("{prefix}_{coding}"));
            assert_eq!(&picture.pixels, expected, "{prefix}_{coding}");
            assert_eq!((picture.exact_only, picture.hint), (None, ContentHint::Brain), "{prefix}_{coding}");
        }
    }
    // Two's complement words that the encoder took for unsigned numbers.
    assert_eq!(read_vector("words16_jpeg_2000").pixels, signed16());
    assert!(read_vector("flat8_jpeg_ls").pixels.samples.iter().all(|&sample| sample == 77));
}

#[test]
fn lossy_codings_come_near_the_stored_values() {
    for (name, expected, tolerance) in [
        ("grey8_jpeg_ls_near_3", grey8(), 3),
        ("colour8_jpeg_ls_near_2", colour8(), 2),
        ("grey12_jpeg_extended", grey12(), 60),
        ("grey8_jpeg_baseline", grey8(), 6),
        ("colour8_jpeg_baseline", colour8(), 10),
        ("grey8_jpeg_2000_lossy", grey8(), 6),
    ] {
        let difference = largest_difference(&read_vector(name).pixels, &expected);
        assert!(0 < difference && difference <= tolerance, "{name}: {difference}");
    }
}

#[test]
fn ybr_becomes_rgb_by_the_standards_equation() {
    let ybr = colour8();
    let area = (ybr.width * ybr.height) as usize;
    let rgb = |y: i32, cb: i32, cr: i32| {
        let (y, cb, cr) = (f64::from(y), f64::from(cb) - 128.0, f64::from(cr) - 128.0);
        [y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb]
            .map(|value| value.round().clamp(0.0, 255.0) as i32)
    };
    for (name, pair) in [("ybr_full", 1), ("ybr_full_422", 2)] {
        let picture = read_vector(name);
        for at in 0..area {
            let chroma = at / pair * pair;
            let expected = rgb(ybr.samples[at], ybr.samples[area + chroma], ybr.samples[2 * area + chroma]);
            let found = [0, 1, 2].map(|channel| picture.pixels.samples[channel * area + at]);
            let near = expected.iter().zip(found).all(|(a, b)| (a - b).abs() <= 1);
            assert!(near, "{name} at {at}: {expected:?}, {found:?}");
        }
    }
}

#[test]
fn frames_are_told_apart() {
    for name in ["frames8_explicit", "frames8_jpeg_ls", "frames8_jpeg_ls_fragments"] {
        let picture = read_vector(name);
        assert_eq!(picture.pixels.frames, 3);
        for frame in 0..3 {
            let expected: Vec<i32> =
                grey8().samples.iter().map(|sample| (sample + 40 * frame as i32) % 256).collect();
            assert_eq!(picture.pixels.frame(frame), expected, "{name} frame {frame}");
        }
    }
}

#[test]
fn what_must_not_change_is_exact_only() {
    let palette = read_vector("palette8");
    assert_eq!(palette.pixels, grey8());
    assert_eq!(palette.exact_only, Some("the pixels are palette indices"));
    let overlay = read_vector("grey12_overlay_bits");
    assert_eq!(overlay.pixels, grey12());
    assert!(overlay.exact_only.is_some_and(|reason| reason.contains("overlay")));
}

#[test]
fn an_unknown_transfer_syntax_is_named() {
    let mut bytes = vector("signed16_explicit");
    let uid = b"1.2.840.10008.1.2.1\0";
    let at = bytes.windows(uid.len()).position(|window| window == uid).unwrap();
    bytes[at..at + uid.len()].copy_from_slice(b"1.2.840.10008.1.2.9\0");
    assert_eq!(
        read(&bytes, &Limits::default()).unwrap_err(),
        ImagingError::UnsupportedTransferSyntax { uid: "1.2.840.10008.1.2.9".to_owned() }
    );
}

fn rebuilt(name: &str, lossy: &LossyStep<'_>) -> (Picture, Vec<u8>) {
    let picture = read_vector(name);
    let (format, file) = rebuild(picture.format, &picture.container, &picture.pixels, lossy).unwrap();
    assert_eq!(format, Format::Dicom);
    (picture, file)
}

fn open(file: &[u8]) -> FileDicomObject<InMemDicomObject> {
    from_reader(file).unwrap()
}

fn text(object: &InMemDicomObject, name: &str) -> String {
    object.element_by_name(name).unwrap().to_str().unwrap().trim_end_matches(['\0', ' ']).to_owned()
}

#[test]
fn a_rebuilt_object_has_the_same_pixels_and_is_marked_as_lossy() {
    for name in
        ["signed16_implicit", "signed16_big_endian", "signed16_jpeg_ls", "grey12_deflated", "ybr_full"]
    {
        let (picture, file) = rebuilt(name, &lossy_step());
        let again = read(&file, &Limits::default()).unwrap();
        assert_eq!(again.pixels, picture.pixels, "{name}");
        assert_eq!(again.exact_only, None, "{name}");

        let object = open(&file);
        assert_eq!(object.meta().transfer_syntax(), "1.2.840.10008.1.2.1");
        let instance = text(&object, "SOPInstanceUID");
        assert_eq!(object.meta().media_storage_sop_instance_uid().trim_end_matches('\0'), instance);
        assert!(instance.starts_with("2.25.") && instance != "2.25.1234567" && instance.len() <= 64);
        assert_eq!(text(&object, "ImageType"), "DERIVED\\PRIMARY\\AXIAL");
        assert_eq!(text(&object, "LossyImageCompression"), "01");
        assert_eq!(text(&object, "LossyImageCompressionRatio"), "23.4567");
        assert_eq!(text(&object, "LossyImageCompressionMethod"), "LATENTWIRE");
        let description = text(&object, "DerivationDescription");
        assert!(
            description.contains("ae224-brain") && description.contains(&"ab".repeat(32)),
            "{description}"
        );
        let source = &object.element_by_name("SourceImageSequence").unwrap().items().unwrap()[0];
        assert_eq!(text(source, "ReferencedSOPInstanceUID"), "2.25.1234567");
        let purpose = &source.element_by_name("PurposeOfReferenceCodeSequence").unwrap().items().unwrap()[0];
        assert_eq!(text(purpose, "CodeValue"), "121320");
        let derivation = &object.element_by_name("DerivationCodeSequence").unwrap().items().unwrap()[0];
        assert_eq!(text(derivation, "CodeValue"), "113040");
        assert_eq!(text(&object, "RescaleIntercept"), "-10");
    }
}

#[test]
fn extremes_follow_the_new_pixels() {
    let picture = read_vector("signed16_implicit");
    let mut pixels = picture.pixels.clone();
    pixels.samples[0] = -32_768;
    pixels.samples[1] = 32_767;
    let (_, file) = rebuild(picture.format, &picture.container, &pixels, &lossy_step()).unwrap();
    assert_eq!(read(&file, &Limits::default()).unwrap().pixels, pixels);
    let object = open(&file);
    let extreme = |name| object.element_by_name(name).unwrap().to_int::<i32>().unwrap();
    assert_eq!(extreme("SmallestImagePixelValue"), -32_768);
    assert_eq!(extreme("LargestImagePixelValue"), 32_767);
}

#[test]
fn names_keep_their_bytes_in_any_character_set() {
    let name = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B";
    let holds = |file: &[u8]| file.windows(name.len()).any(|window| window == name);
    assert!(holds(&vector("signed16_implicit")));
    for vector in ["signed16_implicit", "signed16_big_endian", "signed16_jpeg_2000"] {
        let (_, file) = rebuilt(vector, &lossy_step());
        assert!(holds(&file), "{vector}");
    }
}

#[test]
fn a_second_lossy_step_is_added_to_the_first() {
    let (_, once) = rebuilt("signed16_explicit", &lossy_step());
    let picture = read(&once, &Limits::default()).unwrap();
    let second = LossyStep { ratio: 2.0, model: "second", ..lossy_step() };
    let (_, twice) = rebuild(Format::Dicom, &picture.container, &picture.pixels, &second).unwrap();
    let object = open(&twice);
    assert_eq!(text(&object, "LossyImageCompressionRatio"), "23.4567\\2.0000");
    assert_eq!(text(&object, "LossyImageCompressionMethod"), "LATENTWIRE\\LATENTWIRE");
    assert_eq!(object.element_by_name("SourceImageSequence").unwrap().items().unwrap().len(), 2);
    let description = text(&object, "DerivationDescription");
    assert!(description.contains("model second") && description.contains("[Latentwire"), "{description}");
}

#[test]
fn the_new_uid_depends_on_source_and_decoder_alone() {
    let picture = read_vector("signed16_explicit");
    let derive = |decoder: u8, source: u8| {
        derived_sop_instance_uid(Format::Dicom, &picture.container, &[decoder; 32], &[source; 32]).unwrap()
    };
    assert_eq!(derive(1, 2), derive(1, 2));
    assert_ne!(derive(1, 2), derive(2, 2));
    assert_ne!(derive(1, 2), derive(1, 1));
    let number: u128 = derive(1, 2).strip_prefix("2.25.").unwrap().parse().unwrap();
    assert_eq!((number >> 76 & 15, number >> 62 & 3), (8, 2), "version 8, variant 10");
    assert_eq!(derived_sop_instance_uid(Format::Png, &picture.container, &[1; 32], &[2; 32]), None);

    let uid = derive(1, 2);
    let lossy = LossyStep { sop_instance_uid: Some(&uid), ..lossy_step() };
    let (_, file) = rebuilt("signed16_explicit", &lossy);
    assert_eq!(text(&open(&file), "SOPInstanceUID"), uid);
    for not_a_uid in ["", "1..2", "1.02", "1.a", &"1.".repeat(40)] {
        let lossy = LossyStep { sop_instance_uid: Some(not_a_uid), ..lossy_step() };
        let outcome = rebuild(Format::Dicom, &picture.container, &picture.pixels, &lossy);
        assert!(matches!(outcome, Err(ImagingError::BadContainer { .. })), "{not_a_uid}");
    }
}

#[test]
fn overlay_planes_and_other_elements_survive() {
    let (_, file) = rebuilt("grey12_overlay_bits", &lossy_step());
    let object = open(&file);
    assert_eq!(object.element(dicom_object::Tag(0x6000, 0x0100)).unwrap().to_int::<u16>().unwrap(), 16);
    assert_eq!(text(&object, "StudyInstanceUID"), "2.25.1");
}
