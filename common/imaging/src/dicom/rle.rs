//! DICOM RLE (PS3.5 annex G): PackBits segments, one for each byte of a sample, the most significant first.

use super::{malformed, truncated};
use crate::ImagingError;

/// Decodes a frame into planes of `area` samples, each of `bytes_a_sample` bytes.
pub(super) fn decode(
    frame: &[u8],
    area: usize,
    samples: usize,
    bytes_a_sample: usize,
) -> Result<Vec<u16>, ImagingError> {
    let header = frame.get(..64).ok_or_else(|| truncated("the end of an RLE header"))?;
    let word = |index: usize| {
        let at = 4 * index;
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize
    };
    let segments = samples * bytes_a_sample;
    if word(0) != segments {
        return Err(malformed("an RLE frame has the wrong number of segments"));
    }
    // A run of 128 bytes takes two: a frame that cannot fill its picture is refused before memory is asked for.
    if frame.len().saturating_mul(64) < area * segments {
        return Err(truncated("the end of an RLE frame"));
    }
    let mut decoded = vec![0u16; area * samples];
    for segment in 0..segments {
        let start = word(1 + segment);
        let end = if segment + 1 < segments { word(2 + segment) } else { frame.len() };
        let packed = frame.get(start.max(64)..end).filter(|_| start >= 64);
        let packed = packed.ok_or(malformed("an RLE segment lies outside its frame"))?;
        let plane = segment / bytes_a_sample;
        let shift = 8 * (bytes_a_sample - 1 - segment % bytes_a_sample);
        unpack(packed, shift, &mut decoded[plane * area..(plane + 1) * area])?;
    }
    Ok(decoded)
}

/// PackBits (G.3.2): puts one byte into each sample.
fn unpack(packed: &[u8], shift: usize, samples: &mut [u16]) -> Result<(), ImagingError> {
    let missing = || truncated("the end of an RLE segment");
    let mut packed = packed.iter();
    let mut at = 0;
    while at < samples.len() {
        let code = *packed.next().ok_or_else(missing)?;
        match code {
            128 => {}
            0..=127 => {
                let count = usize::from(code) + 1;
                if packed.len() < count {
                    return Err(missing());
                }
                for &byte in packed.by_ref().take(count) {
                    let sample =
                        samples.get_mut(at).ok_or(malformed("an RLE segment is longer than its plane"))?;
                    *sample |= u16::from(byte) << shift;
                    at += 1;
                }
            }
            129..=255 => {
                let byte = *packed.next().ok_or_else(missing)?;
                let count = 257 - usize::from(code);
                let run = samples.get_mut(at..at + count);
                for sample in run.ok_or(malformed("an RLE segment is longer than its plane"))? {
                    *sample |= u16::from(byte) << shift;
                }
                at += count;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(segments: &[&[u8]]) -> Vec<u8> {
        let mut header = [0u32; 16];
        header[0] = segments.len() as u32;
        let mut offset = 64;
        for (entry, segment) in header[1..].iter_mut().zip(segments) {
            *entry = offset;
            offset += segment.len() as u32;
        }
        let mut frame = header.map(u32::to_le_bytes).concat();
        frame.extend(segments.concat());
        frame
    }

    #[test]
    fn literals_runs_and_no_ops() {
        let frame = frame(&[&[128, 1, 0x12, 0x34, 255, 0x56], &[253, 0xab]]);
        assert_eq!(decode(&frame, 4, 1, 2).unwrap(), [0x12ab, 0x34ab, 0x56ab, 0x56ab]);
    }

    #[test]
    fn damage_is_refused() {
        let sound = frame(&[&[253, 7]]);
        assert_eq!(decode(&sound, 4, 1, 1).unwrap(), [7; 4]);
        assert!(decode(&sound, 5, 1, 1).is_err(), "too short a segment");
        assert!(decode(&sound, 3, 1, 1).is_err(), "too long a segment");
        assert!(decode(&sound, 4, 3, 1).is_err(), "wrong number of segments");
        assert!(decode(&sound, 1 << 40, 1, 1).is_err(), "far too large a picture");
        for length in 0..sound.len() {
            assert!(decode(&sound[..length], 4, 1, 1).is_err(), "{length} bytes");
        }
        let mut outside = sound;
        outside[4..8].copy_from_slice(&9999u32.to_le_bytes());
        assert!(decode(&outside, 4, 1, 1).is_err());
    }
}
