//! Encapsulated Pixel Data (PS3.5 annex A.4): which fragments make which frame.

use std::borrow::Cow;

use dicom_core::Tag;

use super::{data_set::DataSet, malformed, truncated};
use crate::ImagingError;

/// Bytes of each frame, in order. `parts` are the items of the Pixel Data, the Basic Offset Table first.
pub(super) fn split<'a>(
    parts: &[&'a [u8]],
    frames: u32,
    data_set: &DataSet<'_>,
) -> Result<Vec<Cow<'a, [u8]>>, ImagingError> {
    let (offset_table, fragments) =
        parts.split_first().ok_or(malformed("its compressed Pixel Data has no offset table"))?;
    let frames = frames as usize;
    if fragments.len() < frames {
        return Err(truncated("the end of its compressed Pixel Data"));
    }
    if fragments.len() == frames {
        return Ok(fragments.iter().map(|&fragment| Cow::Borrowed(fragment)).collect());
    }
    if frames == 1 {
        return Ok(vec![Cow::Owned(fragments.concat())]);
    }
    let starts = extended_starts(data_set)
        .or_else(|| (!offset_table.is_empty()).then(|| basic_starts(offset_table)))
        .map(|offsets| fragments_at(&offsets, fragments))
        .unwrap_or_else(|| Some(code_stream_starts(fragments)));
    let starts = starts.filter(|starts| starts.len() == frames && starts.first() == Some(&0));
    let starts = starts.ok_or(malformed("its fragments cannot be told apart into frames"))?;
    let ends = starts.iter().skip(1).copied().chain([fragments.len()]);
    Ok(starts.iter().zip(ends).map(|(&start, end)| Cow::Owned(fragments[start..end].concat())).collect())
}

/// Offsets of the Basic Offset Table.
fn basic_starts(table: &[u8]) -> Vec<u64> {
    table
        .chunks_exact(4)
        .map(|entry| u32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]).into())
        .collect()
}

/// Offsets of the Extended Offset Table (7FE0,0001), if there is one.
fn extended_starts(data_set: &DataSet<'_>) -> Option<Vec<u64>> {
    let table = data_set.bytes(Tag(0x7fe0, 0x0001))?;
    Some(
        table
            .chunks_exact(8)
            .map(|entry| entry.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
            .collect(),
    )
}

/// Fragment numbers of byte offsets counted from the first fragment's item tag; `None` if one points elsewhere.
fn fragments_at(offsets: &[u64], fragments: &[&[u8]]) -> Option<Vec<usize>> {
    let mut starts = Vec::with_capacity(offsets.len().min(fragments.len()));
    let (mut fragment, mut at) = (0, 0);
    for &offset in offsets {
        while at < offset {
            at += 8 + fragments.get(fragment)?.len() as u64;
            fragment += 1;
        }
        if at != offset || fragment >= fragments.len() || starts.last() == Some(&fragment) {
            return None;
        }
        starts.push(fragment);
    }
    Some(starts)
}

/// Fragments that open a JPEG (SOI) or JPEG 2000 (SOC) code stream.
fn code_stream_starts(fragments: &[&[u8]]) -> Vec<usize> {
    let opens = |fragment: &[u8]| fragment.starts_with(&[0xff, 0xd8]) || fragment.starts_with(&[0xff, 0x4f]);
    (0..fragments.len()).filter(|&index| opens(fragments[index])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_fragment_a_frame_and_one_frame_in_many() {
        let none = DataSet::default();
        let parts: [&[u8]; 3] = [b"", b"ab", b"cd"];
        assert_eq!(split(&parts, 2, &none).unwrap(), [&b"ab"[..], b"cd"]);
        assert_eq!(split(&parts, 1, &none).unwrap(), [&b"abcd"[..]]);
        assert!(split(&parts, 3, &none).is_err());
        assert!(split(&[], 1, &none).is_err());
    }

    #[test]
    fn frames_in_several_fragments_follow_the_offset_table() {
        let none = DataSet::default();
        let table = [0u32, 20].map(u32::to_le_bytes).concat();
        let parts: [&[u8]; 4] = [&table, b"ab", b"cd", b"efgh"];
        assert_eq!(split(&parts, 2, &none).unwrap(), [&b"abcd"[..], b"efgh"]);
        let table = [0u32, 19].map(u32::to_le_bytes).concat();
        assert!(split(&[&table, b"ab", b"cd", b"efgh"], 2, &none).is_err());
        let table = [4u32, 20].map(u32::to_le_bytes).concat();
        assert!(split(&[&table, b"ab", b"cd", b"efgh"], 2, &none).is_err());
    }

    #[test]
    fn without_a_table_frames_open_with_a_marker() {
        let none = DataSet::default();
        let parts: [&[u8]; 4] = [b"", b"\xff\xd8a", b"b", b"\xff\xd8c"];
        assert_eq!(split(&parts, 2, &none).unwrap(), [&b"\xff\xd8ab"[..], b"\xff\xd8c"]);
    }
}
