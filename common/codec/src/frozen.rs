//! The bitstream is held to `tests/frozen/`, which `make_frozen.py` wrote from docs/BITSTREAM.md
//! without this code.

use latentwire_imaging::Format;
use latentwire_latent::{QuantisedLatent, Tables};
use latentwire_model::DecoderDigest;
use proptest::prelude::*;

use crate::bitstream::{CodedImage, Header, LatentHeader, LatentImage, write_exact, write_latent};
use crate::error::CodecError;
use crate::policy::LatentCoding;
use crate::rows::{read_rows, write_rows};

const EXACT: &str = include_str!("../tests/frozen/exact.hex");
const LATENT: &str = include_str!("../tests/frozen/latent.hex");
const SYMBOLS: &str = include_str!("../tests/frozen/latent.symbols");
const TABLES: &[u8] = include_bytes!("../tests/models/sound/blur-other/tables.bin");
const DECODE_TOML: &[u8] = include_bytes!("../tests/models/sound/blur-other/decode.toml");
const WHOLE: &str = include_str!("../tests/frozen/whole.hex");
const WHOLE_SYMBOLS: &str = include_str!("../tests/frozen/whole.symbols");
const WHOLE_TABLES: &[u8] = include_bytes!("../tests/models/sound/research/whole-dense/tables.bin");
const WHOLE_DECODE_TOML: &[u8] = include_bytes!("../tests/models/sound/research/whole-dense/decode.toml");
const ROWS: &str = include_str!("../tests/frozen/rows.hex");
const ROWS_VALUES: &str = include_str!("../tests/frozen/rows.values");
const WHOLE_ROWS: &str = include_str!("../tests/frozen/whole_rows.hex");
const WHOLE_ROWS_VALUES: &str = include_str!("../tests/frozen/whole_rows.values");

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex.split_whitespace().collect::<String>()).unwrap()
}

fn latent_image(coded: &[u8]) -> LatentImage<'_> {
    match CodedImage::parse(coded).unwrap() {
        CodedImage::Latent(image) => image,
        CodedImage::Exact { .. } => panic!("an exact form"),
    }
}

#[test]
fn the_exact_form_is_frozen() {
    let coded = bytes(EXACT);
    let CodedImage::Exact { format, file } = CodedImage::parse(&coded).unwrap() else {
        panic!("a latent form")
    };
    assert_eq!((format, file), (Format::Png, &coded[16..]));
    assert!(file.starts_with(b"\x89PNG"));
    assert_eq!(write_exact(format, file), coded);
    assert_eq!(Header::parse(&coded).unwrap().decoder_digest(), None);
}

/// The header of `latent.hex`; the others differ from it in the model and in how the latent is written.
fn latent_header() -> LatentHeader {
    LatentHeader {
        format: Format::Dicom,
        decoder_digest: DecoderDigest::of(DECODE_TOML),
        width: 37,
        height: 21,
        frames: 2,
        channels: 1,
        bits: 12,
        signed: true,
        low: -1024,
        high: 2047,
        coding: LatentCoding::Entropy,
        whole_tiles: false,
        quantiser_step: 384,
        latent_channels: 3,
        latent_stride: 2,
        tile_side: 16,
        sop_instance_uid: Some("2.25.123456789".to_owned()),
    }
}

fn whole_header() -> LatentHeader {
    LatentHeader {
        decoder_digest: DecoderDigest::of(WHOLE_DECODE_TOML),
        whole_tiles: true,
        latent_channels: 1,
        ..latent_header()
    }
}

fn raw(header: LatentHeader) -> LatentHeader {
    LatentHeader { coding: LatentCoding::RawRows, quantiser_step: 256, ..header }
}

#[test]
fn the_latent_form_is_frozen_in_every_order() {
    for (hex, expected, parts) in [
        (LATENT, latent_header(), 4),
        (WHOLE, whole_header(), 4),
        (ROWS, raw(latent_header()), 2),
        (WHOLE_ROWS, raw(whole_header()), 2),
    ] {
        let coded = bytes(hex);
        let image = latent_image(&coded);
        assert_eq!(image.header, expected);
        assert_eq!(image.container, b"container");
        assert_eq!(image.tiles.len(), parts);
        assert_eq!(written(&image), coded);
    }
}

fn written(image: &LatentImage<'_>) -> Vec<u8> {
    let tiles: Vec<_> = image.tiles.iter().map(|tile| tile.to_vec()).collect();
    write_latent(&image.header, image.container, &tiles).unwrap()
}

#[test]
fn entropy_coding_is_frozen_in_both_directions() {
    for (hex, tables, symbols) in [(LATENT, TABLES, SYMBOLS), (WHOLE, WHOLE_TABLES, WHOLE_SYMBOLS)] {
        let coded = bytes(hex);
        let image = latent_image(&coded);
        let tables = Tables::parse(tables).unwrap();
        let channels = tables.channels();
        let places: Vec<_> = (0..2).flat_map(|_| image.header.tile_grid().tiles()).collect();
        assert_eq!(symbols.lines().count(), places.len());
        for ((line, bytes), place) in symbols.lines().zip(&image.tiles).zip(places) {
            let values = line.split(' ').map(|value| value.parse().unwrap()).collect();
            let expected = QuantisedLatent { channels, height: place.height, width: place.width, values };
            assert_eq!(
                latentwire_latent::decode(&tables, channels, place.height, place.width, bytes).unwrap(),
                expected
            );
            assert_eq!(latentwire_latent::encode(&tables, &expected).unwrap(), *bytes);
        }
    }
}

#[test]
fn raw_rows_are_frozen_in_both_directions() {
    // 19 x 11 latents of three channels; two tiles of 16 x 16 latents of one.
    for (hex, values, sides) in [(ROWS, ROWS_VALUES, (19, 11)), (WHOLE_ROWS, WHOLE_ROWS_VALUES, (32, 16))] {
        let coded = bytes(hex);
        let image = latent_image(&coded);
        assert_eq!(values.lines().count(), 2);
        for (line, rows) in values.lines().zip(&image.tiles) {
            let latent = read_rows(&image.header, rows).unwrap();
            assert_eq!((latent.width, latent.height), sides);
            let expected: Vec<f32> = line.split(' ').map(|value| value.parse().unwrap()).collect();
            assert_eq!(latent.values, expected);
            assert_eq!(write_rows(&latent), *rows);
        }
    }
}

proptest! {
    /// What can be read is written back to the same bytes: an image has one coded form, whatever was done to it.
    #[test]
    fn a_changed_image_is_refused_or_has_one_coded_form(
        sample in 0..4_usize,
        changes in proptest::collection::vec((0..200_usize, any::<u8>()), 1..6),
        cut in 0..400_usize,
    ) {
        let mut coded = bytes([LATENT, WHOLE, ROWS, WHOLE_ROWS][sample]);
        for (at, value) in changes {
            coded[at] = value;
        }
        coded.truncate(coded.len() - cut.saturating_sub(300));
        match CodedImage::parse(&coded) {
            Ok(CodedImage::Latent(image)) => prop_assert_eq!(written(&image), coded),
            Ok(CodedImage::Exact { format, file }) => prop_assert_eq!(write_exact(format, file), coded),
            Err(error) => prop_assert_eq!(error.reason(), "MALFORMED_BITSTREAM"),
        }
    }
}

#[test]
fn a_cut_anywhere_and_a_byte_too_many_are_refused() {
    for coded in [EXACT, LATENT, WHOLE, ROWS, WHOLE_ROWS].map(bytes) {
        for length in 0..coded.len() {
            let error = Header::parse(&coded[..length]).unwrap_err();
            assert!(matches!(error, CodecError::Bitstream { .. }), "{length}");
        }
        let longer = [&coded[..], &[0]].concat();
        assert!(matches!(Header::parse(&longer), Err(CodecError::Bitstream { .. })));
    }
}

#[test]
fn each_field_out_of_range_is_refused() {
    let sound = bytes(LATENT);
    let cases: &[(&str, usize, &[u8])] = &[
        ("magic", 3, b"T"),
        ("version", 4, &[2]),
        ("form", 5, &[3]),
        ("form", 5, &[0]),
        ("format", 6, &[0]),
        ("format", 6, &[5]),
        ("reserved flag", 7, &[3]),
        ("width", 40, &[0; 4]),
        ("height", 44, &[0; 4]),
        ("frames", 48, &[0; 4]),
        ("frames without tiles", 48, &[3, 0, 0, 0]),
        ("as many pixels as there can be", 40, &[0xff; 12]),
        ("channels", 52, &[2]),
        ("colour space of another number of channels", 52, &[3]),
        ("bits", 53, &[0]),
        ("bits", 53, &[17]),
        ("bits too few for the range", 53, &[11]),
        ("colour space", 54, &[1]),
        ("tile order", 55, &[4]),
        ("tile order", 55, &[0x81]),
        ("raw rows with a quantiser step", 55, &[2]),
        ("low above high", 56, &[0xff, 0x07, 0, 0]),
        ("low out of the bits", 56, &[0xff, 0xf7, 0xff, 0xff]),
        ("high out of the bits", 60, &[0, 0x08, 0, 0]),
        ("quantiser step", 64, &[0, 0]),
        ("latent channels", 66, &[0]),
        ("stride", 67, &[0]),
        ("stride", 67, &[3]),
        ("stride", 67, &[64]),
        ("tile side", 68, &[15, 0]),
        ("tile side", 68, &[1, 0x10]),
        ("tile overlap", 70, &[1, 0]),
        ("UID too long", 72, &[65]),
        ("UID of other characters", 73, b"x"),
        ("UID of a PNG", 6, &[1]),
        ("container past the end", 87, &[0xff; 4]),
        ("tile past the end", 91, &[0xff; 4]),
    ];
    for (what, at, value) in cases {
        let mut coded = sound.clone();
        coded[*at..at + value.len()].copy_from_slice(value);
        assert!(matches!(Header::parse(&coded), Err(CodecError::Bitstream { .. })), "{what}");
    }
}

#[test]
fn raw_rows_are_as_many_as_the_head_says_and_name_no_step() {
    for hex in [ROWS, WHOLE_ROWS] {
        let sound = bytes(hex);
        let cases: &[(&str, usize, &[u8])] = &[
            ("another width", 40, &[100, 0, 0, 0]),
            ("another height", 44, &[100, 0, 0, 0]),
            ("a frame more", 48, &[3, 0, 0, 0]),
            ("a frame less", 48, &[1, 0, 0, 0]),
            ("as many pixels as there can be", 40, &[0xff; 12]),
            ("a quantiser step", 64, &[0, 2]),
            ("another number of channels", 66, &[2]),
            ("another stride", 67, &[1]),
            ("a container that takes rows away", 87, &[13, 0, 0, 0]),
        ];
        for (what, at, value) in cases {
            let mut coded = sound.clone();
            coded[*at..at + value.len()].copy_from_slice(value);
            assert!(matches!(Header::parse(&coded), Err(CodecError::Bitstream { .. })), "{what}");
        }
    }
}

#[test]
fn unsigned_ranges_have_no_negative_values() {
    let mut coded = bytes(LATENT);
    coded[7] = 0;
    assert!(matches!(Header::parse(&coded), Err(CodecError::Bitstream { .. })));
    coded[56..60].fill(0);
    assert!(Header::parse(&coded).is_ok());
}

#[test]
fn an_exact_form_without_a_file_is_refused() {
    let coded = bytes(EXACT);
    assert!(Header::parse(&[&coded[..8], &[0; 8]].concat()).is_err());
    let mut flagged = coded.clone();
    flagged[7] = 1;
    assert!(Header::parse(&flagged).is_err());
}
