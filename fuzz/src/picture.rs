//! Image files, and the containers from which a receiver rebuilds them.

use std::io::Write;

use flate2::{Compression, write::ZlibEncoder};
use latentwire_codec::imaging::{
    Format, Limits, LossyStep, Picture, PixelTensor, derived_sop_instance_uid, read, rebuild,
};

/// Small, so that an honest large picture does not take the fuzzer's time.
const LIMITS: Limits = Limits { max_file_bytes: 1 << 20, max_pixels: 1 << 16, max_side: 4_096 };

/// A file of any of the four formats.
pub(crate) fn image(data: &[u8]) {
    if let Ok(picture) = read(data, &LIMITS) {
        round_trip(&picture);
    }
}

/// A DICOM file: 128 bytes of preamble and the mark go before the input.
pub(crate) fn dicom(data: &[u8]) {
    let file = [&[0; 128], b"DICM".as_slice(), data].concat();
    image(&file);
}

/// What was read can be rebuilt with the same values, and reads as the same picture.
fn round_trip(picture: &Picture) {
    let pixels = &picture.pixels;
    let area = u64::from(pixels.width) * u64::from(pixels.height) * u64::from(pixels.frames);
    assert!((1..=LIMITS.max_pixels).contains(&area));
    assert_eq!(pixels.samples.len() as u64, area * u64::from(pixels.channels));
    if picture.exact_only.is_some() {
        return;
    }
    let uid = derived_sop_instance_uid(picture.format, &picture.container, &[1; 32], &[2; 32]);
    let Ok((format, file)) = rebuild(picture.format, &picture.container, pixels, &step(uid.as_deref()))
    else {
        return;
    };
    let again = read(&file, &LIMITS).expect("what was written can be read");
    assert_eq!((again.format, &again.pixels), (format, pixels));
}

/// `[format, what a container holds after the shape]`, packed as a sender that means harm packs it; format's highest bit set: the rest is
/// the container itself.
pub(crate) fn container(data: &[u8]) {
    let Some((what, rest)) = data.split_first() else { return };
    let Some(format) = Format::from_code(what % 4 + 1) else { return };
    let pixels = PixelTensor {
        width: 4,
        height: 4,
        channels: if what & 0x10 == 0 { 1 } else { 3 },
        frames: 1,
        bits: if what & 0x20 == 0 { 8 } else { 12 },
        signed: what & 0x40 != 0,
        samples: vec![1; if what & 0x10 == 0 { 16 } else { 48 }],
    };
    let container = if what & 0x80 == 0 { packed(&pixels, rest) } else { rest.to_vec() };
    let uid = derived_sop_instance_uid(format, &container, &[1; 32], &[2; 32]);
    if let Ok((_, file)) = rebuild(format, &container, &pixels, &step(uid.as_deref())) {
        assert!(!file.is_empty());
    }
}

fn step(sop_instance_uid: Option<&str>) -> LossyStep<'_> {
    LossyStep { model: "fuzz", decoder_digest: [1; 32], ratio: 2.0, mark: None, sop_instance_uid }
}

/// A container as `latentwire-imaging` writes it: version, unpacked length, zlib over shape and payload.
fn packed(pixels: &PixelTensor, payload: &[u8]) -> Vec<u8> {
    let mut shape = [pixels.width, pixels.height, pixels.frames].map(u32::to_le_bytes).concat();
    shape.extend([pixels.channels, pixels.bits, u8::from(pixels.signed)]);
    let mut container = vec![1];
    container.extend(((shape.len() + payload.len()) as u32).to_le_bytes());
    let mut encoder = ZlibEncoder::new(container, Compression::fast());
    encoder.write_all(&shape).expect("writing to memory does not fail");
    encoder.write_all(payload).expect("writing to memory does not fail");
    encoder.finish().expect("writing to memory does not fail")
}
