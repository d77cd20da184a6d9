//! The bitstream is held to `tests/frozen/`, which `make_frozen.py` wrote from docs/BITSTREAM.md
//! without this code.

use latentwire_imaging::Format;
use latentwire_latent::{QuantisedLatent, Tables};
use latentwire_model::DecoderDigest;

use crate::bitstream::{CodedImage, Header, LatentHeader, LatentImage, write_exact, write_latent};
use crate::error::CodecError;

const EXACT: &str = include_str!("../tests/frozen/exact.hex");
const LATENT: &str = include_str!("../tests/frozen/latent.hex");
const SYMBOLS: &str = include_str!("../tests/frozen/latent.symbols");
const TABLES: &[u8] = include_bytes!("../tests/models/sound/blur-other/tables.bin");
const DECODE_TOML: &[u8] = include_bytes!("../tests/models/sound/blur-other/decode.toml");

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

#[test]
fn the_latent_form_is_frozen() {
    let coded = bytes(LATENT);
    let image = latent_image(&coded);
    let expected = LatentHeader {
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
        quantiser_step: 384,
        latent_channels: 3,
        latent_stride: 2,
        tile_side: 16,
        sop_instance_uid: Some("2.25.123456789".to_owned()),
    };
    assert_eq!(image.header, expected);
    assert_eq!(image.container, b"container");
    assert_eq!(image.tiles.len(), 4);
    let tiles: Vec<_> = image.tiles.iter().map(|tile| tile.to_vec()).collect();
    assert_eq!(write_latent(&image.header, image.container, &tiles).unwrap(), coded);
}

#[test]
fn entropy_coding_is_frozen_in_both_directions() {
    let coded = bytes(LATENT);
    let image = latent_image(&coded);
    let tables = Tables::parse(TABLES).unwrap();
    let places: Vec<_> = (0..2).flat_map(|_| image.header.tile_grid().tiles()).collect();
    assert_eq!(SYMBOLS.lines().count(), 4);
    for ((line, bytes), place) in SYMBOLS.lines().zip(&image.tiles).zip(places) {
        let values = line.split(' ').map(|value| value.parse().unwrap()).collect();
        let expected = QuantisedLatent { channels: 3, height: place.height, width: place.width, values };
        assert_eq!(
            latentwire_latent::decode(&tables, 3, place.height, place.width, bytes).unwrap(),
            expected
        );
        assert_eq!(latentwire_latent::encode(&tables, &expected).unwrap(), *bytes);
    }
}

#[test]
fn a_cut_anywhere_and_a_byte_too_many_are_refused() {
    for coded in [bytes(EXACT), bytes(LATENT)] {
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
        ("tile order", 55, &[1]),
        ("low above high", 56, &[0xff, 0x07, 0, 0]),
        ("low out of the bits", 56, &[0xff, 0xf7, 0xff, 0xff]),
        ("high out of the bits", 60, &[0, 0x08, 0, 0]),
        ("quantiser step", 64, &[0, 0]),
        ("latent channels", 66, &[0]),
        ("latent channels", 66, &[17]),
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
