//! What is kept of a file besides its pixels: packed, compressed, and bounded when it is unpacked.
//!
//! A container is a version byte (1), the unpacked length as u32 little endian, and a zlib stream (RFC 1950). Unpacked it
//! holds the picture's shape and then what the format's own module wrote.

use std::io::{Read, Write};

use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};

use crate::{ImagingError, PixelTensor};

/// Most bytes that a container may unpack to. The data set of a DICOM object without its pixels is far below this.
pub(crate) const MAX_UNPACKED_BYTES: usize = 64 << 20;

const VERSION: u8 = 1;

/// Packs the shape of `pixels` and the format's own `payload`.
pub(crate) fn pack(pixels: &PixelTensor, payload: &[u8]) -> Result<Vec<u8>, ImagingError> {
    let shape = Shape::of(pixels).to_bytes();
    let length = shape.len() + payload.len();
    if length > MAX_UNPACKED_BYTES {
        return Err(ImagingError::TooLarge {
            what: "what the file holds besides its pixels, in bytes,",
            found: length as u64,
            limit: MAX_UNPACKED_BYTES as u64,
        });
    }
    let mut container = vec![VERSION];
    container.extend_from_slice(&(length as u32).to_le_bytes());
    let mut encoder = ZlibEncoder::new(container, Compression::best());
    encoder.write_all(&shape).expect("writing to memory does not fail");
    encoder.write_all(payload).expect("writing to memory does not fail");
    Ok(encoder.finish().expect("writing to memory does not fail"))
}

/// Unpacks a container; memory grows with what is really there and never beyond [`MAX_UNPACKED_BYTES`].
pub(crate) fn unpack(container: &[u8]) -> Result<(Shape, Vec<u8>), ImagingError> {
    let bad = |what| ImagingError::BadContainer { what };
    let (head, stream) = container.split_at_checked(5).ok_or(bad("it is too short"))?;
    if head[0] != VERSION {
        return Err(bad("its version is unknown"));
    }
    let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if length > MAX_UNPACKED_BYTES {
        return Err(bad("it is larger than 64 MiB when unpacked"));
    }
    let mut payload = Vec::new();
    let mut decoder = ZlibDecoder::new(stream).take(length as u64 + 1);
    decoder.read_to_end(&mut payload).map_err(|_| bad("it cannot be unpacked"))?;
    if payload.len() != length || decoder.into_inner().total_in() != stream.len() as u64 {
        return Err(bad("its length is not the stated one"));
    }
    let shape = payload.get(..Shape::BYTES).and_then(Shape::from_bytes).ok_or(bad("its shape is not one"))?;
    payload.drain(..Shape::BYTES);
    Ok((shape, payload))
}

/// The shape that new pixels must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    width: u32,
    height: u32,
    frames: u32,
    channels: u8,
    bits: u8,
    signed: bool,
}

impl Shape {
    const BYTES: usize = 15;

    pub(crate) fn of(pixels: &PixelTensor) -> Self {
        Self {
            width: pixels.width,
            height: pixels.height,
            frames: pixels.frames,
            channels: pixels.channels,
            bits: pixels.bits,
            signed: pixels.signed,
        }
    }

    fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[0..4].copy_from_slice(&self.width.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.height.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.frames.to_le_bytes());
        bytes[12..15].copy_from_slice(&[self.channels, self.bits, u8::from(self.signed)]);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let signed = match bytes.get(14)? {
            0 => false,
            1 => true,
            _ => return None,
        };
        Some(Self {
            width: word(0)?,
            height: word(4)?,
            frames: word(8)?,
            channels: bytes[12],
            bits: bytes[13],
            signed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixels() -> PixelTensor {
        PixelTensor {
            width: 2,
            height: 1,
            channels: 1,
            frames: 1,
            bits: 12,
            signed: true,
            samples: vec![-2048, 2047],
        }
    }

    #[test]
    fn unpacks_what_was_packed() {
        let container = pack(&pixels(), b"payload").unwrap();
        assert_eq!(unpack(&container).unwrap(), (Shape::of(&pixels()), b"payload".to_vec()));
    }

    #[test]
    fn a_bomb_is_refused_at_its_stated_length() {
        let mut bomb = vec![VERSION];
        bomb.extend_from_slice(&1000u32.to_le_bytes());
        let mut encoder = ZlibEncoder::new(bomb, Compression::best());
        for _ in 0..1024 {
            encoder.write_all(&[0; 65_536]).unwrap();
        }
        let bomb = encoder.finish().unwrap();
        assert_eq!(
            unpack(&bomb),
            Err(ImagingError::BadContainer { what: "its length is not the stated one" })
        );
    }

    #[test]
    fn cut_extended_and_changed_containers_are_refused() {
        let container = pack(&pixels(), &[7; 300]).unwrap();
        for length in 0..container.len() {
            assert!(unpack(&container[..length]).is_err(), "{length} bytes");
        }
        assert!(unpack(&[container.as_slice(), &[0]].concat()).is_err());
        let mut huge = container;
        huge[1..5].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(unpack(&huge).is_err());
    }
}
