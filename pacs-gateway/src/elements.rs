//! A few data elements of a data set, found without reading the rest (PS3.5 section 7).
//!
//! This reads what a peer sent, so it takes no memory by a length field, and counts what it passes. (dicom-rs 0.10 sizes
//! buffers by length fields, and its lazy reader panics on delimiters without a beginning; it serves here for writing alone.)

use std::io::{self, Read};

use bytes::Bytes;
use dicom_core::{Tag, VR};
use dicom_dictionary_std::uids;
use flate2::read::DeflateDecoder;
use thiserror::Error;

/// Longest value that is kept, bytes; UIDs have at most 64.
const MAX_VALUE_BYTES: u32 = 256;
/// Elements, items and delimiters that are passed at most before the last wanted element.
const MAX_ELEMENTS: u32 = 1 << 20;
/// Bytes of a deflated data set that are inflated to look into.
const MAX_INFLATED_BYTES: u64 = 1 << 20;
/// Length that stands for "until the delimiter".
const UNDEFINED: u32 = u32::MAX;

/// Explicit VR Big Endian: retired, deprecated in the dictionary, and still stored.
pub const EXPLICIT_VR_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

/// How data elements are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Implicit VR Little Endian; command sets too.
    ImplicitLittle,
    /// Explicit VR Little Endian.
    ExplicitLittle,
    /// Explicit VR Big Endian, retired.
    ExplicitBig,
    /// Explicit VR Little Endian, deflated.
    Deflated,
}

/// Why a data set could not be looked into. Nothing of its content is in it.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ElementError {
    /// It ends in the middle of an element.
    #[error("the data set ends in the middle of an element")]
    Truncated,
    /// It is none.
    #[error("the bytes are no data set in this transfer syntax")]
    Malformed,
}

impl Encoding {
    /// The encoding of a transfer syntax.
    #[must_use]
    pub fn of(transfer_syntax: &str) -> Self {
        match transfer_syntax {
            uids::IMPLICIT_VR_LITTLE_ENDIAN => Self::ImplicitLittle,
            EXPLICIT_VR_BIG_ENDIAN => Self::ExplicitBig,
            uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN => Self::Deflated,
            _ => Self::ExplicitLittle,
        }
    }
}

/// Values of the `wanted` elements of a data set's outermost level, in the order of `wanted`, which must ascend. One that is
/// missing or longer than 256 bytes is `None`. Looking stops behind the last.
///
/// # Errors
/// [`ElementError`] for bytes that are no data set.
pub fn find<const N: usize>(
    data_set: &[Bytes],
    encoding: Encoding,
    wanted: [Tag; N],
) -> Result<[Option<Vec<u8>>; N], ElementError> {
    if encoding != Encoding::Deflated {
        return Scan::new(Pieces::new(data_set), encoding).find(wanted);
    }
    let mut head = Vec::new();
    let inflated = DeflateDecoder::new(Pieces::new(data_set)).take(MAX_INFLATED_BYTES).read_to_end(&mut head);
    // What was inflated before the damage is as good as ever; if it does not suffice, the scan says so.
    if inflated.is_err() && head.is_empty() {
        return Err(ElementError::Malformed);
    }
    Scan::new(Pieces::new(&[head.into()]), Encoding::ExplicitLittle).find(wanted)
}

/// A value as text, without padding; `None` if it is no ASCII.
#[must_use]
pub fn text(value: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(value).ok().filter(|text| text.is_ascii())?;
    Some(text.trim_end_matches(['\0', ' ']).trim_start_matches(' '))
}

/// A value as a UID (PS3.5 section 9): 1 to 64 digits and dots.
#[must_use]
pub fn uid(value: &[u8]) -> Option<&str> {
    text(value).filter(|uid| is_uid(uid))
}

/// Whether this is written as a UID is.
#[must_use]
pub fn is_uid(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// Bytes in pieces, read one after the other.
struct Pieces<'a> {
    pieces: &'a [Bytes],
    at: usize,
}

impl<'a> Pieces<'a> {
    fn new(pieces: &'a [Bytes]) -> Self {
        Self { pieces, at: 0 }
    }

    fn rest(&mut self) -> &'a [u8] {
        while let Some((piece, following)) = self.pieces.split_first() {
            if self.at < piece.len() {
                return &piece[self.at..];
            }
            (self.pieces, self.at) = (following, 0);
        }
        &[]
    }

    /// Passes over bytes; `false` if there are not as many.
    fn skip(&mut self, bytes: u32) -> bool {
        let mut left = bytes as usize;
        while left > 0 {
            let here = self.rest().len().min(left);
            if here == 0 {
                return false;
            }
            self.at += here;
            left -= here;
        }
        true
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.rest();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.at += length;
        Ok(length)
    }
}

struct Scan<'a> {
    source: Pieces<'a>,
    encoding: Encoding,
    /// Sequences and items of undefined length that are open.
    depth: u32,
    /// Depth inside an element of VR UN and undefined length, which holds Implicit VR (PS3.5 section 6.2.2).
    implicit_from: Option<u32>,
}

impl<'a> Scan<'a> {
    fn new(source: Pieces<'a>, encoding: Encoding) -> Self {
        Self { source, encoding, depth: 0, implicit_from: None }
    }

    fn find<const N: usize>(mut self, wanted: [Tag; N]) -> Result<[Option<Vec<u8>>; N], ElementError> {
        let mut found = [const { None }; N];
        for _ in 0..MAX_ELEMENTS {
            let Some(tag) = self.tag()? else { return Ok(found) };
            if tag.group() == 0xfffe {
                self.delimiter(tag)?;
                continue;
            }
            if self.depth == 0 && wanted.last().is_none_or(|last| tag > *last) {
                return Ok(found);
            }
            let (vr, length) = self.vr_and_length()?;
            let place = wanted.iter().position(|wanted| self.depth == 0 && *wanted == tag);
            match place {
                _ if length == UNDEFINED => self.enter(vr),
                Some(place) if length <= MAX_VALUE_BYTES => {
                    let mut value = vec![0; length as usize];
                    self.exactly(&mut value)?;
                    found[place] = Some(value);
                }
                Some(_) | None => self.skip(length)?,
            }
        }
        Err(ElementError::Malformed)
    }

    /// The next tag; `None` where the data set ends in good order.
    fn tag(&mut self) -> Result<Option<Tag>, ElementError> {
        if self.source.rest().is_empty() {
            return if self.depth == 0 { Ok(None) } else { Err(ElementError::Truncated) };
        }
        Ok(Some(Tag(self.u16()?, self.u16()?)))
    }

    fn vr_and_length(&mut self) -> Result<(Option<VR>, u32), ElementError> {
        if self.is_implicit() {
            return Ok((None, self.u32()?));
        }
        let mut letters = [0; 2];
        self.exactly(&mut letters)?;
        let vr = VR::from_binary(letters).ok_or(ElementError::Malformed)?;
        let long = matches!(
            vr,
            VR::OB
                | VR::OD
                | VR::OF
                | VR::OL
                | VR::OV
                | VR::OW
                | VR::SQ
                | VR::SV
                | VR::UC
                | VR::UN
                | VR::UR
                | VR::UT
                | VR::UV
        );
        if !long {
            return Ok((Some(vr), self.u16()?.into()));
        }
        self.skip(2)?;
        Ok((Some(vr), self.u32()?))
    }

    fn is_implicit(&self) -> bool {
        self.encoding == Encoding::ImplicitLittle || self.implicit_from.is_some()
    }

    /// Goes into a value that a delimiter will end.
    fn enter(&mut self, vr: Option<VR>) {
        if vr == Some(VR::UN) {
            self.implicit_from = Some(self.depth);
        }
        // As many as elements at most.
        self.depth += 1;
    }

    /// An item, or the end of one or of a sequence.
    fn delimiter(&mut self, tag: Tag) -> Result<(), ElementError> {
        let length = self.u32()?;
        match (tag.element(), self.depth) {
            (0xe000 | 0xe00d | 0xe0dd, 0) => Err(ElementError::Malformed),
            (0xe000, _) if length == UNDEFINED => {
                self.depth += 1;
                Ok(())
            }
            (0xe000, _) => self.skip(length),
            (0xe00d | 0xe0dd, _) => {
                self.depth -= 1;
                if self.implicit_from == Some(self.depth) {
                    self.implicit_from = None;
                }
                Ok(())
            }
            _ => Err(ElementError::Malformed),
        }
    }

    fn skip(&mut self, bytes: u32) -> Result<(), ElementError> {
        if self.source.skip(bytes) { Ok(()) } else { Err(ElementError::Truncated) }
    }

    fn exactly(&mut self, buffer: &mut [u8]) -> Result<(), ElementError> {
        self.source.read_exact(buffer).map_err(|_| ElementError::Truncated)
    }

    fn u16(&mut self) -> Result<u16, ElementError> {
        let mut bytes = [0; 2];
        self.exactly(&mut bytes)?;
        let big = self.encoding == Encoding::ExplicitBig;
        Ok(if big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn u32(&mut self) -> Result<u32, ElementError> {
        let mut bytes = [0; 4];
        self.exactly(&mut bytes)?;
        let big = self.encoding == Encoding::ExplicitBig;
        Ok(if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use dicom_dictionary_std::tags;
    use flate2::{Compression, write::DeflateEncoder};
    use proptest::prelude::*;

    use super::*;

    const WANTED: [Tag; 2] = [tags::SOP_INSTANCE_UID, tags::STUDY_INSTANCE_UID];

    /// An element of a short VR.
    fn explicit(tag: Tag, vr: &[u8; 2], value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len()).expect("a short value").to_le_bytes();
        [&le(tag)[..], vr, &length, value].concat()
    }

    fn long(tag: Tag, vr: &[u8; 2], length: u32, value: &[u8]) -> Vec<u8> {
        [&le(tag)[..], vr, &[0, 0], &length.to_le_bytes(), value].concat()
    }

    fn implicit(tag: Tag, length: u32, value: &[u8]) -> Vec<u8> {
        [&le(tag)[..], &length.to_le_bytes(), value].concat()
    }

    fn le(tag: Tag) -> Vec<u8> {
        [tag.group().to_le_bytes(), tag.element().to_le_bytes()].concat()
    }

    /// An item of undefined length around this, and the end of the sequence that it is in.
    fn item_and_end(inside: &[u8]) -> Vec<u8> {
        let mark = |element, length| implicit(Tag(0xfffe, element), length, &[]);
        [mark(0xe000, UNDEFINED), inside.to_vec(), mark(0xe00d, 0), mark(0xe0dd, 0)].concat()
    }

    fn pieces(bytes: &[u8], size: usize) -> Vec<Bytes> {
        bytes.chunks(size).map(Bytes::copy_from_slice).collect()
    }

    /// UIDs before and behind a sequence of undefined length, which holds other UIDs.
    fn sample() -> Vec<u8> {
        let nested = [
            explicit(tags::SOP_INSTANCE_UID, b"UI", b"9.9\0"),
            long(tags::REFERENCED_SERIES_SEQUENCE, b"SQ", UNDEFINED, &item_and_end(&[])),
        ];
        [
            explicit(tags::SOP_INSTANCE_UID, b"UI", b"1.2\0"),
            long(tags::REFERENCED_STUDY_SEQUENCE, b"SQ", UNDEFINED, &item_and_end(&nested.concat())),
            explicit(tags::STUDY_INSTANCE_UID, b"UI", b"1.3\0"),
            long(tags::PIXEL_DATA, b"OW", 0xffff_fff0, b"cut"),
        ]
        .concat()
    }

    fn uids(data_set: &[Bytes], encoding: Encoding) -> Result<[Option<String>; 2], ElementError> {
        let found = find(data_set, encoding, WANTED)?;
        Ok(found.map(|value| value.as_deref().and_then(uid).map(str::to_owned)))
    }

    fn both() -> Result<[Option<String>; 2], ElementError> {
        Ok([Some("1.2".to_owned()), Some("1.3".to_owned())])
    }

    #[test]
    fn outer_elements_are_found_however_the_bytes_are_cut() {
        for size in [1, 3, 7, 1000] {
            assert_eq!(uids(&pieces(&sample(), size), Encoding::ExplicitLittle), both(), "{size}");
        }
    }

    #[test]
    fn a_deflated_data_set_is_looked_into() {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&sample()).expect("memory");
        let deflated = encoder.finish().expect("memory");
        assert_eq!(uids(&pieces(&deflated, 16), Encoding::Deflated), both());
        assert_eq!(uids(&pieces(&[0xff; 40], 40), Encoding::Deflated), Err(ElementError::Malformed));
    }

    #[test]
    fn an_unknown_sequence_holds_implicit_vr() {
        let inside = implicit(tags::SOP_INSTANCE_UID, 4, b"9.9\0");
        let data_set = [
            explicit(tags::SOP_INSTANCE_UID, b"UI", b"1.2\0"),
            long(Tag(0x0009, 0x1001), b"UN", UNDEFINED, &item_and_end(&inside)),
            explicit(tags::STUDY_INSTANCE_UID, b"UI", b"1.3\0"),
        ];
        assert_eq!(uids(&pieces(&data_set.concat(), 100), Encoding::ExplicitLittle), both());
    }

    #[test]
    fn implicit_and_big_endian_data_sets_are_read_too() {
        let data_set = [
            implicit(tags::SOP_INSTANCE_UID, 4, b"1.2\0"),
            implicit(tags::REFERENCED_STUDY_SEQUENCE, UNDEFINED, &item_and_end(&[])),
            implicit(tags::STUDY_INSTANCE_UID, 4, b"1.3\0"),
        ];
        assert_eq!(uids(&pieces(&data_set.concat(), 100), Encoding::ImplicitLittle), both());
        let big = b"\x00\x08\x00\x18UI\x00\x041.2\0\x00\x20\x00\x0dUI\x00\x041.3\0";
        assert_eq!(uids(&pieces(big, 100), Encoding::ExplicitBig), both());
    }

    #[test]
    fn damage_is_told() {
        let cut = &sample()[..30];
        assert_eq!(uids(&pieces(cut, 100), Encoding::ExplicitLittle), Err(ElementError::Truncated));
        // A delimiter without a beginning, then an item.
        let unbalanced = [implicit(Tag(0xfffe, 0xe00d), 0, &[]), implicit(Tag(0xfffe, 0xe000), 0, &[])];
        assert_eq!(
            uids(&pieces(&unbalanced.concat(), 100), Encoding::ExplicitLittle),
            Err(ElementError::Malformed)
        );
        let endless = implicit(Tag(8, 1), 0, &[]).repeat(MAX_ELEMENTS as usize + 1);
        assert_eq!(uids(&pieces(&endless, 1 << 20), Encoding::ImplicitLittle), Err(ElementError::Malformed));
        let vr = explicit(tags::SOP_INSTANCE_UID, b"\x01\x02", b"1.2\0");
        assert_eq!(uids(&pieces(&vr, 100), Encoding::ExplicitLittle), Err(ElementError::Malformed));
    }

    #[test]
    fn a_long_value_is_passed_over() {
        let data_set = [
            explicit(tags::SOP_INSTANCE_UID, b"UI", &[b'1'; 300]),
            explicit(tags::STUDY_INSTANCE_UID, b"UI", b"1.3\0"),
        ];
        let found = uids(&pieces(&data_set.concat(), 100), Encoding::ExplicitLittle);
        assert_eq!(found, Ok([None, Some("1.3".to_owned())]));
    }

    #[test]
    fn uids_are_told_from_what_is_none() {
        assert_eq!(uid(b"1.2.840\0"), Some("1.2.840"));
        for value in [&b""[..], b"\0", b"1.2 3", b"DOE^JOHN", &[b'1'; 65], b"\xff\xfe"] {
            assert_eq!(uid(value), None, "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_end_in_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), size in 1_usize..50) {
            for encoding in
                [Encoding::ImplicitLittle, Encoding::ExplicitLittle, Encoding::ExplicitBig, Encoding::Deflated]
            {
                let _ = find(&pieces(&bytes, size), encoding, WANTED);
            }
        }

        #[test]
        fn no_damage_ends_in_a_panic(at in 0_usize..120, byte in any::<u8>()) {
            let mut bytes = sample();
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = find(&pieces(&bytes, 64), Encoding::ExplicitLittle, WANTED);
        }
    }
}
