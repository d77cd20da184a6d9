//! Coded images and files that lie: an error each time, never a panic, and memory stays bounded.
#![allow(clippy::unwrap_used, reason = "a helper that cannot make its input has failed its test")]

mod support;

use latentwire_codec::imaging::Limits;
use latentwire_codec::{BelowFloor, Codec, CodecConfig, Header, Mode, Policy};
use support::{BOTH, Look, codec, config, models, with_model};

fn small_latent() -> Vec<u8> {
    let policy = Policy { below_floor: BelowFloor::SendMarked, ..with_model("blur-other") };
    let prepared = codec().prepare(&Look::grey(24, 20).png8(), &policy).unwrap();
    assert_eq!(prepared.report.mode, Mode::Latent);
    prepared.coded
}

fn limited() -> Codec {
    let limits = Limits { max_file_bytes: 1 << 20, max_pixels: 1 << 20, max_side: 4096 };
    Codec::load(&CodecConfig { limits, ..config(&models("sound"), BOTH) }).unwrap()
}

#[test]
fn a_coded_image_cut_anywhere_is_refused() {
    let exact = codec().prepare_exact(&Look::grey(8, 8).png8(), "a test").unwrap().coded;
    for coded in [small_latent(), exact] {
        for length in 0..coded.len() {
            let error = codec().restore(&coded[..length]).unwrap_err();
            assert_eq!(error.reason(), "MALFORMED_BITSTREAM", "{length}: {error}");
        }
        let error = codec().restore(&[&coded[..], &[0]].concat()).unwrap_err();
        assert_eq!(error.reason(), "MALFORMED_BITSTREAM");
    }
}

#[test]
fn a_coded_image_with_any_byte_changed_never_panics() {
    let codec = limited();
    let sound = small_latent();
    for at in 0..sound.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut coded = sound.clone();
            coded[at] ^= change;
            match codec.restore(&coded) {
                // A changed range, step, tile or container can still be a coded image, of another
                // picture.
                Ok(restored) => {
                    assert!(restored.pixels.is_some_and(|pixels| pixels.samples.len() <= 3 << 20));
                }
                Err(error) => {
                    let reason = error.reason();
                    assert!(
                        ["MALFORMED_BITSTREAM", "MODEL_MISMATCH", "IMAGE_TOO_LARGE"].contains(&reason),
                        "byte {at}, change {change:#x}: {reason}: {error}"
                    );
                }
            }
        }
    }
}

/// A latent form of 8-bit grey for blur-other, 20,000 pixels a side, whose tiles all have no bytes.
fn huge_header() -> Vec<u8> {
    let mut coded = small_latent()[..72].to_vec();
    coded[40..44].copy_from_slice(&20_000_u32.to_le_bytes());
    coded[44..48].copy_from_slice(&20_000_u32.to_le_bytes());
    // No UID, no container, 40 x 40 tiles of 256 latents.
    coded.extend_from_slice(&[0; 1 + 4 + 4 * 40 * 40]);
    assert!(Header::parse(&coded).is_ok());
    coded
}

#[test]
fn a_header_of_twenty_thousand_pixels_a_side_costs_nothing() {
    let coded = huge_header();
    assert_eq!(codec().restore(&coded).unwrap_err().reason(), "IMAGE_TOO_LARGE");
    // Where the limits allow the size, the missing bytes are found before memory is asked for.
    let limits = Limits { max_pixels: u64::MAX, ..Limits::default() };
    let unlimited = Codec::load(&CodecConfig { limits, ..config(&models("sound"), BOTH) }).unwrap();
    assert_eq!(unlimited.restore(&coded).unwrap_err().reason(), "MALFORMED_BITSTREAM");
    peak_memory_is_below(600 << 20);
}

#[test]
fn a_png_header_of_twenty_thousand_pixels_a_side_costs_nothing() {
    let png = Look::grey(64, 64).png8();
    let mut header = png[..33].to_vec();
    header[16..20].copy_from_slice(&20_000_u32.to_be_bytes());
    header[20..24].copy_from_slice(&20_000_u32.to_be_bytes());
    let crc = crc32(&header[12..29]);
    header[29..33].copy_from_slice(&crc.to_be_bytes());
    let file = [&header[..], &png[33..]].concat();
    for mode in [Mode::Latent, Mode::Exact] {
        let error = codec().prepare(&file, &Policy { mode, ..Policy::default() }).unwrap_err();
        assert!(["IMAGE_TOO_LARGE", "MALFORMED_IMAGE"].contains(&error.reason()), "{error}");
    }
    peak_memory_is_below(600 << 20);
}

#[test]
fn limits_hold_in_both_directions() {
    let codec = limited();
    let large = Look::grey(1100, 1000).png8();
    assert_eq!(codec.prepare(&large, &Policy::default()).unwrap_err().reason(), "IMAGE_TOO_LARGE");
    let coded = support::codec().prepare(&large, &with_model("haar-chest")).unwrap().coded;
    assert_eq!(codec.restore(&coded).unwrap_err().reason(), "IMAGE_TOO_LARGE");
    let exact = support::codec().prepare_exact(&Look::colour(800, 800).png16(), "a test").unwrap().coded;
    assert!(exact.len() > 1 << 20);
    assert_eq!(codec.restore(&exact).unwrap_err().reason(), "IMAGE_TOO_LARGE");
}

#[test]
fn a_header_that_does_not_fit_its_model_is_refused() {
    let sound = small_latent();
    // Latent channels and stride, which the tile table does not tell apart at this size.
    for (at, value) in [(66, 4), (67, 4)] {
        let mut coded = sound.clone();
        coded[at] = value;
        assert_eq!(codec().restore(&coded).unwrap_err().reason(), "MALFORMED_BITSTREAM");
    }
    let mut coded = sound;
    coded[8] ^= 1;
    assert_eq!(codec().restore(&coded).unwrap_err().reason(), "MODEL_MISMATCH");
}

#[test]
fn errors_name_no_file_and_no_patient() {
    let secret = "DOE^JANE";
    let file = [&Look::grey(64, 64).png8()[..200], secret.as_bytes()].concat();
    let error = codec().prepare(&file, &Policy::default()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(secret));
}

/// CRC-32 of PNG (ISO/IEC 15948, annex D).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// Checks the process's peak resident memory, where the system tells it.
fn peak_memory_is_below(bytes: u64) {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return };
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let kibibytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kibibytes << 10 < bytes, "{kibibytes} KiB at the peak");
}
