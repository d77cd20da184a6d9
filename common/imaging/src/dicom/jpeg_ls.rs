//! JPEG-LS (ITU-T T.87), lossless and near-lossless, up to 16 bits, all three interleave modes.
//!
//! Written here because the decoders at hand are C++ (`charls`, which needs cmake) or bring a second DICOM stack along.
//! Not read: mapping tables, restart intervals and HP's colour transforms, none of which DICOM allows.

mod bits;
mod scan;

use bits::Bits;
use scan::{Interleave, Parameters, decode_scan};

use crate::ImagingError;

use super::{malformed, truncated};

/// A decoded picture.
pub(super) struct Decoded {
    pub precision: u8,
    /// Planes, one after another.
    pub samples: Vec<i32>,
}

/// Size of a picture, checked by `accept` before its samples get memory.
pub(super) struct Size {
    pub width: u32,
    pub height: u32,
    pub components: u8,
    pub precision: u8,
}

/// Decodes a stream whose size `accept` agrees to.
pub(super) fn decode(
    bytes: &[u8],
    accept: impl FnOnce(&Size) -> Result<(), ImagingError>,
) -> Result<Decoded, ImagingError> {
    let mut stream = Stream { bytes, at: 0 };
    if stream.marker()? != SOI {
        return Err(malformed("a JPEG-LS frame does not open with SOI"));
    }
    let mut accept = Some(accept);
    let mut frame: Option<Frame> = None;
    let mut preset = Preset::default();
    loop {
        match stream.marker()? {
            SOF55 => {
                let opened = Frame::open(stream.segment()?, accept.take())?;
                frame = Some(opened);
            }
            LSE => preset.read(stream.segment()?)?,
            SOS => {
                let frame =
                    frame.as_mut().ok_or(malformed("a JPEG-LS scan comes before its frame header"))?;
                let body = stream.segment()?;
                stream.at += frame.scan(body, &preset, &bytes[stream.at..])?;
                if frame.next_plane == usize::from(frame.size.components) {
                    break;
                }
            }
            DRI => return Err(ImagingError::Unsupported { what: "JPEG-LS with restart intervals" }),
            EOI => return Err(truncated("the end of a JPEG-LS frame")),
            _ => {
                stream.segment()?;
            }
        }
    }
    let frame = frame.ok_or(malformed("a JPEG-LS frame has no header"))?;
    Ok(Decoded { precision: frame.size.precision, samples: frame.samples })
}

struct Frame {
    size: Size,
    samples: Vec<i32>,
    next_plane: usize,
}

impl Frame {
    /// Reads the frame header (C.2.2).
    fn open(
        body: &[u8],
        accept: Option<impl FnOnce(&Size) -> Result<(), ImagingError>>,
    ) -> Result<Self, ImagingError> {
        let accept = accept.ok_or(malformed("a JPEG-LS stream has two frame headers"))?;
        let &[precision, h1, h0, w1, w0, components, ref factors @ ..] = body else {
            return Err(truncated("the end of a JPEG-LS frame header"));
        };
        let size = Size {
            width: u16::from_be_bytes([w1, w0]).into(),
            height: u16::from_be_bytes([h1, h0]).into(),
            components,
            precision,
        };
        if size.width == 0
            || size.height == 0
            || !(2..=16).contains(&precision)
            || factors.len() != 3 * usize::from(components)
        {
            return Err(malformed("a JPEG-LS frame header breaks the rules"));
        }
        if factors.chunks_exact(3).any(|factor| factor[1] != 0x11) {
            return Err(ImagingError::Unsupported { what: "JPEG-LS with subsampled colour" });
        }
        accept(&size)?;
        let samples = vec![0; size.width as usize * size.height as usize * usize::from(components)];
        Ok(Self { size, samples, next_plane: 0 })
    }

    /// Decodes the scan that opens with `body` (C.2.3) and returns the length of its data.
    fn scan(&mut self, body: &[u8], preset: &Preset, data: &[u8]) -> Result<usize, ImagingError> {
        let bad = malformed("a JPEG-LS scan header breaks the rules");
        let count = usize::from(*body.first().ok_or_else(|| bad.clone())?);
        let &[near, interleave, _point_transform] = body.get(1 + 2 * count..).unwrap_or_default() else {
            return Err(bad);
        };
        let interleave = match interleave {
            0 if count == 1 => Interleave::None,
            1 => Interleave::Line,
            2 => Interleave::Sample,
            _ => return Err(bad),
        };
        if count == 0 || self.next_plane + count > usize::from(self.size.components) {
            return Err(bad);
        }
        let parameters = Parameters::new(preset, self.size.precision, i32::from(near)).ok_or(bad)?;
        let (width, area) = (self.size.width as usize, self.size.width as usize * self.size.height as usize);
        let planes = &mut self.samples[self.next_plane * area..(self.next_plane + count) * area];
        let mut bits = Bits::new(data);
        decode_scan(&mut bits, &parameters, interleave, planes, width, count)?;
        self.next_plane += count;
        Ok(bits.consumed())
    }
}

/// Preset coding parameters (C.2.4.1.1); zero means the default.
#[derive(Clone, Copy, Default)]
struct Preset {
    maximum: i32,
    thresholds: [i32; 3],
    reset: i32,
}

impl Preset {
    fn read(&mut self, body: &[u8]) -> Result<(), ImagingError> {
        let numbers: Vec<i32> = body
            .get(1..)
            .unwrap_or_default()
            .chunks_exact(2)
            .map(|pair| u16::from_be_bytes([pair[0], pair[1]]).into())
            .collect();
        match (body.first(), numbers.as_slice()) {
            (Some(1), &[maximum, t1, t2, t3, reset]) => {
                *self = Self { maximum, thresholds: [t1, t2, t3], reset };
                Ok(())
            }
            _ => Err(ImagingError::Unsupported { what: "JPEG-LS with mapping tables or oversize pictures" }),
        }
    }
}

struct Stream<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Stream<'a> {
    /// The next marker; bytes before it (padding of the last scan) are skipped.
    fn marker(&mut self) -> Result<u8, ImagingError> {
        loop {
            match self.bytes.get(self.at..self.at + 2) {
                Some(&[0xff, marker]) if marker >= 0x80 && marker != 0xff => {
                    self.at += 2;
                    return Ok(marker);
                }
                Some(_) => self.at += 1,
                None => return Err(truncated("the end of a JPEG-LS frame")),
            }
        }
    }

    /// Parameters of the marker segment.
    fn segment(&mut self) -> Result<&'a [u8], ImagingError> {
        let missing = || truncated("the end of a JPEG-LS marker segment");
        let length = self.bytes.get(self.at..self.at + 2).ok_or_else(missing)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let body = self.bytes.get(self.at + 2..self.at + length.max(2)).ok_or_else(missing)?;
        self.at += length.max(2);
        Ok(body)
    }
}

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const DRI: u8 = 0xdd;
const SOF55: u8 = 0xf7;
const LSE: u8 = 0xf8;

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of T.87 annex H.3.
    const EXAMPLE: [u8; 60] = [
        0xff, 0xd8, 0xff, 0xf7, 0x00, 0x0b, 0x08, 0x00, 0x04, 0x00, 0x04, 0x01, 0x01, 0x11, 0x00, 0xff, 0xda,
        0x00, 0x08, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0xc0, 0x00, 0x00, 0x6c, 0x80, 0x20, 0x8e, 0x01, 0xc0,
        0x00, 0x00, 0x57, 0x40, 0x00, 0x00, 0x6e, 0xe6, 0x00, 0x00, 0x01, 0xbc, 0x18, 0x00, 0x00, 0x05, 0xd8,
        0x00, 0x00, 0x91, 0x60, 0xff, 0xd9, 0x00, 0x00, 0x00,
    ];

    #[test]
    fn the_standards_example() {
        let decoded = decode(&EXAMPLE, |size| {
            assert_eq!((size.width, size.height, size.components, size.precision), (4, 4, 1, 8));
            Ok(())
        });
        let decoded = decoded.unwrap();
        assert_eq!(decoded.samples, [0, 0, 90, 74, 68, 50, 43, 205, 64, 145, 145, 145, 100, 145, 145, 145]);
    }

    #[test]
    fn every_cut_is_an_error() {
        for length in 0..55 {
            assert!(decode(&EXAMPLE[..length], |_| Ok(())).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn the_caller_refuses_before_memory_is_taken() {
        let mut huge = EXAMPLE;
        huge[7..11].copy_from_slice(&[0xff; 4]);
        let refused = decode(&huge, |_| Err(ImagingError::ShapeMismatch));
        assert!(matches!(refused, Err(ImagingError::ShapeMismatch)));
    }
}
