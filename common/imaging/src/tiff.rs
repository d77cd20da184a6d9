//! TIFF 6.0: 8 and 16 bit, grey and RGB, one page. Transparency and further pages are read as exact-only.

use std::{
    borrow::Cow,
    io::{Cursor, ErrorKind},
    panic::{AssertUnwindSafe, catch_unwind},
};

use ::tiff::{
    ColorType, TiffError, TiffResult,
    decoder::{Decoder, DecodingResult, ifd::Value},
    encoder::{Compression, ImageEncoder, Predictor, Rational, TiffEncoder, TiffKind, TiffValue, colortype},
    tags::{ResolutionUnit, Tag, Type},
};

use crate::{
    ContentHint, Format, ImagingError, Limits, Picture, PixelTensor,
    attributes::{Attributes, LengthUnit, Resolution},
    container, planes,
};

/// Reads a TIFF file. A picture whose white is zero is read as its negative, whose black is zero.
pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<Picture, ImagingError> {
    // The decoder is young code on hostile bytes: a panic in it must cost this picture and nothing else.
    catch_unwind(AssertUnwindSafe(|| read_guarded(bytes, limits)))
        .unwrap_or(Err(malformed("its tags or pixels break the rules")))
}

fn read_guarded(bytes: &[u8], limits: &Limits) -> Result<Picture, ImagingError> {
    check_first_directory(bytes)?;
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(|error| failure(&error))?;
    let (width, height) = decoder.dimensions().map_err(|error| failure(&error))?;
    limits.check(Format::Tiff, width, height, 1)?;
    let color = decoder.colortype().map_err(|error| failure(&error))?;
    let (stride, channels) = if matches!(color, ColorType::Gray(8 | 16)) {
        (1, 1)
    } else if matches!(color, ColorType::RGB(8 | 16)) {
        (3, 3)
    } else if matches!(color, ColorType::RGBA(8 | 16)) {
        (4, 3)
    } else {
        return Err(ImagingError::Unsupported { what: "a TIFF picture other than 8- or 16-bit grey or RGB" });
    };
    let raw_bytes = usize::from(color.bit_depth() / 8) * stride * width as usize * height as usize;
    check_length(&mut decoder, raw_bytes, bytes.len())?;
    let mut decoder_limits = ::tiff::decoder::Limits::default();
    // The first limit holds for tags too, a colour profile for one, at 32 bytes in memory for one in the file.
    decoder_limits.decoding_buffer_size = raw_bytes.max(64 << 20);
    decoder_limits.intermediate_buffer_size = bytes.len();
    let mut decoder = decoder.with_limits(decoder_limits);
    let mut raw = DecodingResult::U8(Vec::new());
    decoder.read_image_to_buffer(&mut raw).map_err(|error| failure(&error))?;
    let planar = decoder.find_tag_unsigned::<u16>(Tag::PlanarConfiguration).ok().flatten() == Some(2);
    // Planes lie one after another already; those beyond the colours are transparency.
    let (stride, groups) = if planar { (1, 1) } else { (stride, channels) };
    let expected = raw_bytes / usize::from(color.bit_depth() / 8);
    let found = match &raw {
        DecodingResult::U8(raw) => Some((8, false, raw.len(), planes::split(raw, stride, groups))),
        DecodingResult::U16(raw) => Some((16, false, raw.len(), planes::split(raw, stride, groups))),
        DecodingResult::I8(raw) => Some((8, true, raw.len(), planes::split(raw, stride, groups))),
        DecodingResult::I16(raw) => Some((16, true, raw.len(), planes::split(raw, stride, groups))),
        DecodingResult::U32(_)
        | DecodingResult::U64(_)
        | DecodingResult::F16(_)
        | DecodingResult::F32(_)
        | DecodingResult::F64(_)
        | DecodingResult::I32(_)
        | DecodingResult::I64(_) => None,
    };
    let Some((bits, signed, _, samples)) = found.filter(|found| found.2 == expected) else {
        return Err(ImagingError::Unsupported { what: "a TIFF picture with floating-point or wide samples" });
    };
    let samples = samples.into_iter().take(channels * width as usize * height as usize).collect();
    let pixels = PixelTensor { width, height, channels: channels as u8, frames: 1, bits, signed, samples };
    let exact_only = if decoder.more_images() {
        Some("the TIFF has more than one page")
    } else if matches!(color, ColorType::RGBA(_)) {
        Some("the picture has transparency")
    } else if signed && channels == 3 {
        Some("the colours are signed")
    } else {
        None
    };
    let container = container::pack(&pixels, &attributes(&mut decoder).to_bytes())?;
    Ok(Picture { format: Format::Tiff, pixels, container, exact_only, hint: ContentHint::None })
}

/// Writes one frame, LZW with horizontal prediction, in strips.
pub(crate) fn write(pixels: &PixelTensor, attributes: &Attributes) -> Result<Vec<u8>, ImagingError> {
    let channels = usize::from(pixels.channels);
    let samples = planes::interleave(pixels.frame(0), channels);
    let wide = pixels.bits > 8;
    let written = match (pixels.frames, channels, wide, pixels.signed) {
        (1, 1, false, false) => encode::<colortype::Gray8>(pixels, attributes, samples.map(|v| v as u8)),
        (1, 1, true, false) => encode::<colortype::Gray16>(pixels, attributes, samples.map(|v| v as u16)),
        (1, 1, false, true) => encode::<colortype::GrayI8>(pixels, attributes, samples.map(|v| v as i8)),
        (1, 1, true, true) => encode::<colortype::GrayI16>(pixels, attributes, samples.map(|v| v as i16)),
        (1, 3, false, false) => encode::<colortype::RGB8>(pixels, attributes, samples.map(|v| v as u8)),
        (1, 3, true, false) => encode::<colortype::RGB16>(pixels, attributes, samples.map(|v| v as u16)),
        _ => {
            return Err(ImagingError::Unsupported {
                what: "a TIFF file of several frames or signed colours",
            });
        }
    };
    written.map_err(|_| ImagingError::Unsupported { what: "a TIFF file of this shape" })
}

fn encode<C: colortype::ColorType>(
    pixels: &PixelTensor,
    attributes: &Attributes,
    samples: impl Iterator<Item = C::Inner>,
) -> TiffResult<Vec<u8>>
where
    [C::Inner]: TiffValue,
{
    let mut file = Cursor::new(Vec::new());
    let mut encoder =
        TiffEncoder::new(&mut file)?.with_compression(Compression::Lzw).with_predictor(Predictor::Horizontal);
    let mut image = encoder.new_image::<C>(pixels.width, pixels.height)?;
    write_attributes(&mut image, attributes)?;
    image.write_data(&samples.collect::<Vec<_>>())?;
    Ok(file.into_inner())
}

fn write_attributes<W: std::io::Write + std::io::Seek, C: colortype::ColorType, K: TiffKind>(
    image: &mut ImageEncoder<'_, W, C, K>,
    attributes: &Attributes,
) -> TiffResult<()> {
    if let Some(resolution) = attributes.resolution {
        // TIFF knows no metre: thousandths of a pixel a metre are hundred-thousandths a centimetre.
        let (unit, d) = match resolution.unit {
            LengthUnit::None => (ResolutionUnit::None, 1000),
            LengthUnit::Inch => (ResolutionUnit::Inch, 1000),
            LengthUnit::Centimetre => (ResolutionUnit::Centimeter, 1000),
            LengthUnit::Metre => (ResolutionUnit::Centimeter, 100_000),
        };
        image.resolution_unit(unit);
        image.x_resolution(Rational { n: resolution.x_milli, d });
        image.y_resolution(Rational { n: resolution.y_milli, d });
    }
    if attributes.orientation > 1 {
        image.encoder().write_tag(Tag::Orientation, u16::from(attributes.orientation))?;
    }
    if let Some(icc) = &attributes.icc {
        image.encoder().write_tag(Tag::IccProfile, Undefined(icc))?;
    }
    Ok(())
}

/// Bytes of field type UNDEFINED, as the ICC specification (annex B.4) asks.
struct Undefined<'a>(&'a [u8]);

impl TiffValue for Undefined<'_> {
    const BYTE_LEN: u8 = 1;
    const FIELD_TYPE: Type = Type::UNDEFINED;

    fn count(&self) -> usize {
        self.0.len()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.0)
    }
}

fn attributes<R: std::io::Read + std::io::Seek>(decoder: &mut Decoder<R>) -> Attributes {
    let mut rational = |tag| match decoder.find_tag(tag) {
        Ok(Some(Value::Rational(n, d))) if d != 0 => {
            u32::try_from(u64::from(n) * 1000 / u64::from(d)).ok().filter(|&milli| milli != 0)
        }
        _ => None,
    };
    let sides = rational(Tag::XResolution).zip(rational(Tag::YResolution));
    let unit = match decoder.find_tag_unsigned::<u16>(Tag::ResolutionUnit) {
        Ok(Some(1)) => LengthUnit::None,
        Ok(Some(3)) => LengthUnit::Centimetre,
        _ => LengthUnit::Inch,
    };
    let orientation = decoder.find_tag_unsigned::<u8>(Tag::Orientation).ok().flatten();
    Attributes {
        icc: decoder.get_tag_u8_vec(Tag::IccProfile).ok().filter(|icc| !icc.is_empty()),
        resolution: sides.map(|(x_milli, y_milli)| Resolution { x_milli, y_milli, unit }),
        orientation: orientation.filter(|orientation| (1..=8).contains(orientation)).unwrap_or(1),
        ..Attributes::upright()
    }
}

/// Refuses a file too short for its picture: uncompressed pixels take their own size, and no compression of TIFF shrinks
/// more than 3000 times (LZW: 4 KiB strings in 12-bit codes; Deflate: 1032; JPEG: a bit for a block of 64).
fn check_length<R: std::io::Read + std::io::Seek>(
    decoder: &mut Decoder<R>,
    raw_bytes: usize,
    file_bytes: usize,
) -> Result<(), ImagingError> {
    let compression = decoder.find_tag_unsigned::<u16>(Tag::Compression).map_err(|error| failure(&error))?;
    let ratio = if compression.unwrap_or(1) == 1 { 1 } else { 3000 };
    if raw_bytes > file_bytes.saturating_mul(ratio) { Err(truncated()) } else { Ok(()) }
}

/// Refuses a first directory whose values cannot all be in the file: the decoder reserves memory by their counts.
fn check_first_directory(bytes: &[u8]) -> Result<(), ImagingError> {
    let big_endian = bytes.starts_with(b"MM");
    let number = |at: usize, length: usize| {
        let bytes = bytes.get(at..at.checked_add(length)?)?;
        let shift = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(if big_endian { bytes.iter().fold(0, shift) } else { bytes.iter().rev().fold(0, shift) })
    };
    let directory = number(4, 4).ok_or_else(truncated)? as usize;
    for entry in 0..number(directory, 2).ok_or_else(truncated)? as usize {
        let at = directory + 2 + 12 * entry;
        let kind = number(at + 2, 2).ok_or_else(truncated)?;
        let count = number(at + 4, 4).ok_or_else(truncated)?;
        let value_bytes = match kind {
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 | 16 | 17 | 18 => 8,
            _ => 1,
        };
        if count * value_bytes > bytes.len() as u64 {
            return Err(truncated());
        }
    }
    Ok(())
}

fn truncated() -> ImagingError {
    ImagingError::Truncated { format: Format::Tiff, what: "the end of its tags or pixels" }
}

fn malformed(what: &'static str) -> ImagingError {
    ImagingError::Malformed { format: Format::Tiff, what }
}

fn failure(error: &TiffError) -> ImagingError {
    match error {
        TiffError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => truncated(),
        TiffError::UnsupportedError(_) => {
            ImagingError::Unsupported { what: "this compression or colour model of TIFF" }
        }
        TiffError::FormatError(_)
        | TiffError::IoError(_)
        | TiffError::LimitsExceeded
        | TiffError::IntSizeError
        | TiffError::UsageError(_) => malformed("its tags or pixels break the rules"),
    }
}
