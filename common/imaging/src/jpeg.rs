//! JPEG (ITU-T T.81): baseline, progressive, extended 12-bit and lossless streams, as files and inside DICOM.

mod extended;
mod stream;

use std::panic::{AssertUnwindSafe, catch_unwind};

use jpeg_decoder::{ColorTransform, Decoder, PixelFormat};

pub(crate) use stream::{Process, StreamInfo};

use crate::{
    ContentHint, Format, ImagingError, Limits, Picture, PixelTensor, attributes::Attributes, container,
    planes,
};

/// Reads a JPEG file. Its pixels are what a decoder shows, as RGB where the stream holds YCbCr.
pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<Picture, ImagingError> {
    let info = stream::scan(bytes)?;
    limits.check(Format::Jpeg, info.width, info.height, 1)?;
    let decoded = decode(bytes, &info, Colour::Declared)?;
    let pixels = PixelTensor {
        width: info.width,
        height: info.height,
        channels: info.components,
        frames: 1,
        bits: info.precision,
        signed: false,
        samples: decoded.samples,
    };
    let attributes = Attributes { icc: decoded.icc, resolution: info.resolution, ..Attributes::upright() };
    let attributes = Attributes { orientation: info.orientation, ..attributes };
    let container = container::pack(&pixels, &attributes.to_bytes())?;
    Ok(Picture { format: Format::Jpeg, pixels, container, exact_only: None, hint: ContentHint::None })
}

/// Which colours the three components of a stream are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Colour {
    /// As the stream's own markers say, and YCbCr where they say nothing.
    Declared,
    /// Red, green and blue: nothing to convert.
    Rgb,
    /// YCbCr, to be converted to RGB (T.871 section 7).
    Ycbcr,
}

/// Samples of one stream.
pub(crate) struct Decoded {
    /// Planes, one after another, each row by row; unsigned, of the stream's precision.
    pub samples: Vec<i32>,
    /// ICC profile in the stream.
    pub icc: Option<Vec<u8>>,
}

/// Finds out what a stream holds, without decoding it.
pub(crate) fn inspect(bytes: &[u8]) -> Result<StreamInfo, ImagingError> {
    stream::scan(bytes)
}

/// Decodes a stream whose size the caller has checked against its limits.
pub(crate) fn decode(bytes: &[u8], info: &StreamInfo, colour: Colour) -> Result<Decoded, ImagingError> {
    if !matches!(info.components, 1 | 3) {
        return Err(ImagingError::Unsupported { what: "a JPEG picture with other than 1 or 3 components" });
    }
    info.check_length(bytes.len())?;
    match (info.process, info.precision) {
        (Process::Baseline | Process::Extended | Process::Progressive, 8) | (Process::Lossless, _) => {
            decode_with_library(bytes, info, colour)
        }
        (Process::Extended, 12) => {
            let samples = extended::decode(bytes, info)?;
            Ok(Decoded { samples, icc: None })
        }
        _ => Err(ImagingError::Unsupported { what: "this process or precision of JPEG" }),
    }
}

fn decode_with_library(bytes: &[u8], info: &StreamInfo, colour: Colour) -> Result<Decoded, ImagingError> {
    // The decoder is young code on hostile bytes: a panic in it must cost this picture and nothing else.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut decoder = Decoder::new(bytes);
        match colour {
            Colour::Declared => {}
            Colour::Rgb => decoder.set_color_transform(ColorTransform::RGB),
            Colour::Ycbcr => decoder.set_color_transform(ColorTransform::YCbCr),
        }
        let raw = decoder.decode()?;
        Ok((raw, decoder.info(), decoder.icc_profile()))
    }));
    let (raw, decoded, icc) = match outcome {
        Ok(Ok(decoded)) => decoded,
        Ok(Err(jpeg_decoder::Error::Unsupported(_))) => {
            return Err(ImagingError::Unsupported { what: "this process of JPEG" });
        }
        Ok(Err(jpeg_decoder::Error::Io(_))) => return Err(stream::truncated()),
        Ok(Err(jpeg_decoder::Error::Format(_) | jpeg_decoder::Error::Internal(_))) | Err(_) => {
            return Err(stream::malformed("its compressed pixels break the rules"));
        }
    };
    let format = decoded.map(|decoded| decoded.pixel_format);
    let samples = match (format, info.components) {
        (Some(PixelFormat::L8), 1) => planes::split(&raw, 1, 1),
        (Some(PixelFormat::L16), 1) => planes::split(&planes::words(&raw, u16::from_ne_bytes), 1, 1),
        (Some(PixelFormat::RGB24), 3) if info.precision == 8 => planes::split(&raw, 3, 3),
        _ => return Err(ImagingError::Unsupported { what: "colour JPEG of more than 8 bits" }),
    };
    // Lossless prediction may run out of the range that the header states.
    if samples.iter().any(|&sample| sample >= 1 << info.precision) {
        return Err(stream::malformed("its samples go beyond their stated precision"));
    }
    let expected = info.width as usize * info.height as usize * usize::from(info.components);
    if samples.len() != expected {
        return Err(stream::malformed("it holds another number of pixels than its header says"));
    }
    Ok(Decoded { samples, icc })
}
