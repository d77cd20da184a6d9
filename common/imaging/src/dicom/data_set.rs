//! A DICOM data set (PS3.5 section 7) as a list of elements whose values stay the bytes they were.
//!
//! Written here, and not taken from `dicom-object`, for three reasons: names and descriptions keep their bytes whatever
//! character set they are in (ISO 2022 sets too); sequences are followed to a bounded depth; and no value is copied or
//! given memory before its length was checked against the file.

use std::borrow::Cow;

use dicom_core::{
    Tag, VR,
    dictionary::{DataDictionary, DataDictionaryEntry, VirtualVr},
};
use dicom_dictionary_std::{StandardDataDictionary, tags};

use super::{malformed, truncated};
use crate::ImagingError;

/// Elements of one data set or item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DataSet<'a> {
    elements: Vec<Element<'a>>,
}

/// One data element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Element<'a> {
    pub tag: Tag,
    pub vr: VR,
    pub value: Value<'a>,
}

/// Value of an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// Anything but a sequence; numbers in little endian.
    Bytes(Cow<'a, [u8]>),
    /// Items of a sequence.
    Items(Vec<DataSet<'a>>),
    /// Encapsulated pixel data (PS3.5 annex A.4): the offset table, then the fragments.
    Fragments(Vec<&'a [u8]>),
}

/// How a data set is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    ImplicitLittle,
    ExplicitLittle,
    ExplicitBig,
}

/// Sequences within sequences that are followed.
const MAX_DEPTH: usize = 24;
const UNDEFINED_LENGTH: u32 = u32::MAX;
const ITEM: Tag = Tag(0xfffe, 0xe000);
const ITEM_END: Tag = Tag(0xfffe, 0xe00d);
const SEQUENCE_END: Tag = Tag(0xfffe, 0xe0dd);

impl<'a> DataSet<'a> {
    /// Parses a whole data set.
    pub fn parse(bytes: &'a [u8], encoding: Encoding) -> Result<Self, ImagingError> {
        let mut parser = Parser { bytes, at: 0, encoding, signed: false };
        let data_set = parser.elements(bytes.len(), false, 0)?;
        // Written again in order they would stand where file meta information stands, and be read as that (PS3.10, 7.1).
        if data_set.elements.iter().any(|element| matches!(element.tag.group(), 0x0000 | 0x0002)) {
            return Err(malformed("its data set holds elements of commands or of file meta information"));
        }
        Ok(data_set)
    }

    /// Writes in Explicit VR Little Endian, in ascending order of tags, without group lengths.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut sorted: Vec<_> = self.elements.iter().collect();
        sorted.sort_by_key(|element| element.tag);
        for element in sorted.into_iter().filter(|element| element.tag.element() != 0) {
            element.write(out);
        }
    }

    pub fn get(&self, tag: Tag) -> Option<&Element<'a>> {
        self.elements.iter().find(|element| element.tag == tag)
    }

    /// Takes an element out.
    pub fn take(&mut self, tag: Tag) -> Option<Element<'a>> {
        let index = self.elements.iter().position(|element| element.tag == tag)?;
        Some(self.elements.remove(index))
    }

    /// Puts an element in, in place of one with the same tag.
    pub fn put(&mut self, tag: Tag, vr: VR, value: Value<'a>) {
        self.elements.retain(|element| element.tag != tag);
        self.elements.push(Element { tag, vr, value });
    }

    /// Puts text in; it must be in the default repertoire (ASCII), which every character set here contains.
    pub fn put_text(&mut self, tag: Tag, vr: VR, text: &str) {
        self.put(tag, vr, Value::Bytes(Cow::Owned(text.as_bytes().to_vec())));
    }

    pub fn put_u16(&mut self, tag: Tag, value: u16) {
        self.put(tag, VR::US, Value::Bytes(Cow::Owned(value.to_le_bytes().to_vec())));
    }

    pub fn retain(&mut self, keep: impl FnMut(&Element<'a>) -> bool) {
        self.elements.retain(keep);
    }

    /// Value bytes; `None` for a sequence or a missing element.
    pub fn bytes(&self, tag: Tag) -> Option<&[u8]> {
        match &self.get(tag)?.value {
            Value::Bytes(bytes) => Some(bytes),
            Value::Items(_) | Value::Fragments(_) => None,
        }
    }

    /// Text without padding; `None` if missing, empty or not ASCII.
    pub fn text(&self, tag: Tag) -> Option<&str> {
        let text = std::str::from_utf8(self.bytes(tag)?).ok()?;
        let text = text.trim_matches([' ', '\0']);
        if text.is_empty() || !text.is_ascii() { None } else { Some(text) }
    }

    /// First unsigned 16-bit number.
    pub fn u16(&self, tag: Tag) -> Option<u16> {
        let bytes = self.bytes(tag)?;
        Some(u16::from_le_bytes(bytes.get(..2)?.try_into().ok()?))
    }
}

impl Element<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        match &self.value {
            Value::Bytes(bytes) => {
                self.write_header(out, bytes.len().next_multiple_of(2) as u32);
                out.extend_from_slice(bytes);
                if bytes.len() % 2 == 1 {
                    out.push(padding(self.vr));
                }
            }
            Value::Items(items) => {
                write_header(out, self.tag, VR::SQ, UNDEFINED_LENGTH);
                for item in items {
                    write_delimiter(out, ITEM, UNDEFINED_LENGTH);
                    item.write(out);
                    write_delimiter(out, ITEM_END, 0);
                }
                write_delimiter(out, SEQUENCE_END, 0);
            }
            Value::Fragments(fragments) => {
                self.write_header(out, UNDEFINED_LENGTH);
                for fragment in fragments {
                    write_delimiter(out, ITEM, fragment.len().next_multiple_of(2) as u32);
                    out.extend_from_slice(fragment);
                    out.extend_from_slice(&[0][..fragment.len() % 2]);
                }
                write_delimiter(out, SEQUENCE_END, 0);
            }
        }
    }

    fn write_header(&self, out: &mut Vec<u8>, length: u32) {
        // A value too long for a 16-bit length is written as UN (PS3.5 section 6.2.2, note 6).
        let vr = if has_long_header(self.vr) || length <= 0xfffe { self.vr } else { VR::UN };
        write_header(out, self.tag, vr, length);
    }
}

fn write_header(out: &mut Vec<u8>, tag: Tag, vr: VR, length: u32) {
    out.extend_from_slice(&tag.group().to_le_bytes());
    out.extend_from_slice(&tag.element().to_le_bytes());
    out.extend_from_slice(&vr.to_bytes());
    if has_long_header(vr) {
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&length.to_le_bytes());
    } else {
        out.extend_from_slice(&(length as u16).to_le_bytes());
    }
}

fn write_delimiter(out: &mut Vec<u8>, tag: Tag, length: u32) {
    out.extend_from_slice(&tag.group().to_le_bytes());
    out.extend_from_slice(&tag.element().to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    encoding: Encoding,
    /// Pixel Representation, which decides between US and SS in Implicit VR.
    signed: bool,
}

impl<'a> Parser<'a> {
    fn elements(&mut self, end: usize, in_item: bool, depth: usize) -> Result<DataSet<'a>, ImagingError> {
        if depth > MAX_DEPTH {
            return Err(malformed("its sequences are nested more than 24 deep"));
        }
        let mut elements = Vec::new();
        while self.at < end {
            if depth == 0 && self.bytes[self.at..end].iter().take(8).all(|&byte| byte == 0) {
                break; // padding at the end of a file
            }
            let tag = self.tag(end)?;
            if tag == ITEM_END && in_item {
                self.take(4, end)?;
                return Ok(DataSet { elements });
            }
            if tag.group() == ITEM.group() {
                return Err(malformed("an item delimiter stands where an element must"));
            }
            let (vr, length) = self.vr_and_length(tag, end)?;
            let value = self.value(tag, vr, length, end, depth)?;
            if tag == tags::PIXEL_REPRESENTATION
                && let Value::Bytes(bytes) = &value
            {
                self.signed = bytes.first() == Some(&1);
            }
            let vr = if matches!(value, Value::Items(_)) { VR::SQ } else { vr };
            elements.push(Element { tag, vr, value });
        }
        if in_item { Err(truncated("the end of an item")) } else { Ok(DataSet { elements }) }
    }

    fn value(
        &mut self,
        tag: Tag,
        vr: VR,
        length: u32,
        end: usize,
        depth: usize,
    ) -> Result<Value<'a>, ImagingError> {
        if length != UNDEFINED_LENGTH {
            let value_end = self.at.checked_add(length as usize).filter(|&value_end| value_end <= end);
            let value_end = value_end.ok_or_else(|| {
                truncated(if tag == tags::PIXEL_DATA {
                    "the end of Pixel Data"
                } else {
                    "the end of an element"
                })
            })?;
            if vr == VR::SQ {
                return Ok(Value::Items(self.items(value_end, true, depth)?));
            }
            let bytes = &self.bytes[self.at..value_end];
            self.at = value_end;
            return Ok(Value::Bytes(self.little_endian(vr, bytes)));
        }
        match (self.encoding, vr) {
            (Encoding::ExplicitLittle, VR::OB | VR::OW) if tag == tags::PIXEL_DATA => {
                Ok(Value::Fragments(self.fragments(end)?))
            }
            (_, VR::SQ) | (Encoding::ImplicitLittle, _) => Ok(Value::Items(self.items(end, false, depth)?)),
            // The content of an unknown sequence is in Implicit VR Little Endian (PS3.5 section 6.2.2, note 4).
            (Encoding::ExplicitLittle | Encoding::ExplicitBig, VR::UN) => {
                let encoding = std::mem::replace(&mut self.encoding, Encoding::ImplicitLittle);
                let items = self.items(end, false, depth);
                self.encoding = encoding;
                Ok(Value::Items(items?))
            }
            _ => Err(malformed("an element of undefined length is no sequence")),
        }
    }

    /// Items up to `end` exactly (`sized`) or up to the sequence's delimiter.
    fn items(&mut self, end: usize, sized: bool, depth: usize) -> Result<Vec<DataSet<'a>>, ImagingError> {
        let mut items = Vec::new();
        loop {
            if sized && self.at == end {
                return Ok(items);
            }
            let tag = self.tag(end)?;
            let length = self.long(end)?;
            match tag {
                SEQUENCE_END => return Ok(items),
                ITEM if length == UNDEFINED_LENGTH => items.push(self.elements(end, true, depth + 1)?),
                ITEM => {
                    let item_end = self.at.checked_add(length as usize).filter(|&item_end| item_end <= end);
                    let item_end = item_end.ok_or_else(|| truncated("the end of an item"))?;
                    items.push(self.elements(item_end, false, depth + 1)?);
                }
                _ => return Err(malformed("a sequence holds something other than items")),
            }
        }
    }

    fn fragments(&mut self, end: usize) -> Result<Vec<&'a [u8]>, ImagingError> {
        let mut fragments = Vec::new();
        loop {
            let missing = |_| truncated("the end of its compressed Pixel Data");
            let tag = self.tag(end).map_err(missing)?;
            let length = self.long(end).map_err(missing)?;
            match tag {
                SEQUENCE_END => return Ok(fragments),
                ITEM => fragments.push(self.take(length as usize, end).map_err(missing)?),
                _ => return Err(malformed("compressed Pixel Data holds something other than fragments")),
            }
        }
    }

    fn vr_and_length(&mut self, tag: Tag, end: usize) -> Result<(VR, u32), ImagingError> {
        if self.encoding == Encoding::ImplicitLittle {
            return Ok((self.dictionary_vr(tag), self.long(end)?));
        }
        let code = self.take(2, end)?;
        let vr = VR::from_binary([code[0], code[1]]);
        let vr = vr.ok_or(malformed("an element's value representation is none of PS3.5 table 6.2-1"))?;
        if has_long_header(vr) {
            self.take(2, end)?;
            return Ok((vr, self.long(end)?));
        }
        Ok((vr, self.short(end)?.into()))
    }

    fn dictionary_vr(&self, tag: Tag) -> VR {
        if tag.element() == 0 {
            return VR::UL;
        }
        if tag.group() % 2 == 1 {
            return if (0x10..0x100).contains(&tag.element()) { VR::LO } else { VR::UN };
        }
        match StandardDataDictionary.by_tag(tag).map(DataDictionaryEntry::vr) {
            Some(VirtualVr::Exact(vr)) => vr,
            Some(VirtualVr::Xs) => {
                if self.signed {
                    VR::SS
                } else {
                    VR::US
                }
            }
            Some(VirtualVr::Ox | VirtualVr::Px | VirtualVr::Lt) => VR::OW,
            _ => VR::UN,
        }
    }

    fn little_endian(&self, vr: VR, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let unit = if matches!(vr, VR::AT | VR::OW | VR::SS | VR::US) {
            2
        } else if matches!(vr, VR::FL | VR::OF | VR::OL | VR::SL | VR::UL) {
            4
        } else if matches!(vr, VR::FD | VR::OD | VR::OV | VR::SV | VR::UV) {
            8
        } else {
            1
        };
        if self.encoding != Encoding::ExplicitBig || unit == 1 {
            return Cow::Borrowed(bytes);
        }
        let mut swapped = bytes.to_vec();
        for number in swapped.chunks_exact_mut(unit) {
            number.reverse();
        }
        Cow::Owned(swapped)
    }

    fn tag(&mut self, end: usize) -> Result<Tag, ImagingError> {
        Ok(Tag(self.short(end)?, self.short(end)?))
    }

    fn short(&mut self, end: usize) -> Result<u16, ImagingError> {
        let bytes = self.take(2, end)?;
        let bytes = [bytes[0], bytes[1]];
        Ok(if self.encoding == Encoding::ExplicitBig {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        })
    }

    fn long(&mut self, end: usize) -> Result<u32, ImagingError> {
        let bytes = self.take(4, end)?;
        let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
        Ok(if self.encoding == Encoding::ExplicitBig {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    fn take(&mut self, count: usize, end: usize) -> Result<&'a [u8], ImagingError> {
        let stop = self.at.checked_add(count).filter(|&stop| stop <= end);
        let stop = stop.ok_or_else(|| truncated("the end of an element"))?;
        let bytes = &self.bytes[self.at..stop];
        self.at = stop;
        Ok(bytes)
    }
}

/// Whether a VR has two reserved bytes and a 32-bit length (PS3.5 table 7.1-1).
fn has_long_header(vr: VR) -> bool {
    matches!(
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
    )
}

/// Byte that fills a value to an even length (PS3.5 section 6.2).
fn padding(vr: VR) -> u8 {
    if matches!(vr, VR::UI | VR::OB | VR::UN) { 0 } else { b' ' }
}
