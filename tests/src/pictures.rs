//! Pictures made for a test: tiny, flat, broken, and what can be read of the ones that came back.

use std::path::Path;

use latentwire_codec::imaging::{self, Limits, Picture};

/// A grey 8-bit PNG with this value everywhere.
///
/// # Panics
/// A side is zero.
#[must_use]
pub fn flat_png(width: u32, height: u32, value: u8) -> Vec<u8> {
    grey_png(width, height, |_, _| value)
}

/// A grey 8-bit PNG with these values.
///
/// # Panics
/// A side is zero.
#[must_use]
pub fn grey_png(width: u32, height: u32, value: impl Fn(u32, u32) -> u8) -> Vec<u8> {
    let pixels: Vec<u8> =
        (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| value(x, y)).collect();
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().expect("a header can be written to memory");
    writer.write_image_data(&pixels).expect("pixels can be written to memory");
    writer.finish().expect("a file can be finished in memory");
    file
}

/// A grey 8-bit PNG that looks like noise and does not shrink.
#[must_use]
pub fn noise_png(width: u32, height: u32) -> Vec<u8> {
    grey_png(width, height, |x, y| {
        let mut mixed = (y.wrapping_mul(width).wrapping_add(x)).wrapping_mul(0x9e37_79b1) ^ 0x5bd1_e995;
        mixed ^= mixed >> 15;
        mixed = mixed.wrapping_mul(0x85eb_ca6b);
        (mixed >> 24) as u8
    })
}

/// A PNG's signature and header alone, with this size and no pixel.
#[must_use]
pub fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = Vec::from(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 0, 0, 0, 0]);
    chunk(&mut file, *b"IHDR", &header);
    chunk(&mut file, *b"IDAT", &[]);
    chunk(&mut file, *b"IEND", &[]);
    file
}

fn chunk(file: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    file.extend(u32::try_from(data.len()).expect("a chunk of a test is short").to_be_bytes());
    let from = file.len();
    file.extend(kind);
    file.extend(data);
    let sum = crc32(&file[from..]);
    file.extend(sum.to_be_bytes());
}

/// CRC-32 as PNG has it (ISO 3309), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 },
        )
    })
}

/// Reads a file with the product's own parser.
///
/// # Panics
/// It is no picture.
#[must_use]
pub fn read(path: &Path) -> Picture {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    imaging::read(&bytes, &Limits::default()).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Value of the first data element with this tag in an Explicit VR Little Endian DICOM file, without padding; for VRs with a
/// length of two bytes alone.
#[must_use]
pub fn element(dicom: &[u8], tag: (u16, u16)) -> Option<Vec<u8>> {
    let tag = [tag.0.to_le_bytes(), tag.1.to_le_bytes()].concat();
    let begins = |window: &[u8]| window.starts_with(&tag) && window[4..6].iter().all(u8::is_ascii_uppercase);
    let at = dicom.windows(8).position(begins)?;
    let length = usize::from(u16::from_le_bytes([dicom[at + 6], dicom[at + 7]]));
    let value = dicom.get(at + 8..at + 8 + length)?;
    Some(value.trim_ascii_end().strip_suffix(b"\0").unwrap_or(value.trim_ascii_end()).to_vec())
}

/// Whether a data element of an Explicit VR Little Endian DICOM file has this value; as [`element`].
#[must_use]
pub fn has_element(dicom: &[u8], tag: (u16, u16), value: &str) -> bool {
    element(dicom, tag).is_some_and(|found| found == value.as_bytes())
}

/// SOP Instance UID of an Explicit VR Little Endian DICOM file.
///
/// # Panics
/// It has none.
#[must_use]
pub fn sop_instance_uid(dicom: &[u8]) -> String {
    let uid = element(dicom, (0x0008, 0x0018)).expect("the file has a SOP Instance UID");
    String::from_utf8_lossy(&uid).into_owned()
}

/// Whether bytes hold others.
#[must_use]
pub fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Replaces every occurrence by as many other bytes.
///
/// # Panics
/// There is none, or the lengths differ.
#[must_use]
pub fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "the lengths in the file must stay right");
    assert!(holds(bytes, from), "{} is not in the file", String::from_utf8_lossy(from));
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while at + from.len() <= bytes.len() {
        if &bytes[at..at + from.len()] == from {
            bytes[at..at + from.len()].copy_from_slice(to);
        }
        at += 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_standards() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b"IEND"), 0xae42_6082);
    }

    #[test]
    fn elements_are_found_by_tag_and_value() {
        let dicom = b"..\x28\x00\x10\x21CS\x02\x0001..\x08\x00\x18\x00UI\x04\x001.2\0";
        assert!(has_element(dicom, (0x0028, 0x2110), "01"));
        assert!(!has_element(dicom, (0x0028, 0x2110), "00"));
        assert_eq!(element(dicom, (0x0028, 0x2112)), None);
        assert_eq!(sop_instance_uid(dicom), "1.2");
        assert_eq!(replaced(b"abcabc", b"bc", b"xy"), b"axyaxy");
    }
}
