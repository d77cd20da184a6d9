//! Pixel Data to stored values (PS3.5 section 8).

use std::borrow::Cow;

use dicom_dictionary_std::tags;

use super::{
    data_set::{DataSet, Value},
    file::PixelCoding,
    frames,
    header::{ImageHeader, Photometric},
    jpeg_ls, jpeg2000, malformed, rle, truncated,
};
use crate::{ImagingError, PixelTensor, jpeg, planes};

/// Decodes all frames. The second value says why they must not be changed, if so.
pub(super) fn decode(
    data_set: &DataSet<'_>,
    pixel_data: &Value<'_>,
    header: &ImageHeader,
    coding: PixelCoding,
) -> Result<(PixelTensor, Option<&'static str>), ImagingError> {
    let total = header.frame_samples().checked_mul(header.frames as usize).ok_or_else(too_short)?;
    let mut collector = Collector { header, samples: Vec::new(), exact_only: None };
    match (pixel_data, coding) {
        (Value::Bytes(bytes), PixelCoding::Native) => {
            let frame_bytes = native_frame_bytes(header);
            if bytes.len() as u64 * 8 < frame_bytes as u64 * 8 * u64::from(header.frames) {
                return Err(truncated("the end of Pixel Data, judged by Rows, Columns and Number of Frames"));
            }
            collector.samples.reserve_exact(total);
            for frame in bytes.chunks_exact(frame_bytes).take(header.frames as usize) {
                collector.native_frame(frame);
            }
        }
        (Value::Fragments(parts), PixelCoding::Native) if parts.is_empty() => return Err(too_short()),
        (Value::Fragments(parts), coding) if coding != PixelCoding::Native => {
            let frames = frames::split(parts, header.frames, data_set)?;
            let compressed: usize = frames.iter().map(|frame| frame.len()).sum();
            check_ratio(total, compressed)?;
            for frame in &frames {
                collector.compressed_frame(frame, coding)?;
            }
        }
        _ => return Err(malformed("Pixel Data is not stored as the transfer syntax says")),
    }
    if collector.samples.len() != total {
        return Err(malformed("its frames hold another number of pixels than its header says"));
    }
    Ok(collector.finish(data_set))
}

/// Bytes of an uncompressed frame.
fn native_frame_bytes(header: &ImageHeader) -> usize {
    let samples = if header.photometric == Photometric::YbrFull422 {
        // Two Y, a Cb and a Cr for every two pixels of a row.
        2 * header.area()
    } else {
        header.frame_samples()
    };
    samples * usize::from(header.allocated / 8)
}

/// JPEG 2000 and JPEG-LS can say "all the same" in a few bytes. Up to 64 MiB of samples they are believed; beyond, a byte
/// must stand for at most 10,000 samples.
fn check_ratio(samples: usize, compressed_bytes: usize) -> Result<(), ImagingError> {
    if samples > (64 << 20) / size_of::<i32>() && samples / 10_000 > compressed_bytes {
        return Err(too_short());
    }
    Ok(())
}

fn too_short() -> ImagingError {
    truncated("the end of its compressed Pixel Data, judged by Rows, Columns and Number of Frames")
}

struct Collector<'a> {
    header: &'a ImageHeader,
    samples: Vec<i32>,
    exact_only: Option<&'static str>,
}

impl Collector<'_> {
    fn native_frame(&mut self, frame: &[u8]) {
        if self.header.photometric == Photometric::YbrFull422 {
            let interleaved = widen_422(frame);
            self.push_colour(planes::split(&interleaved, 3, 3));
            return;
        }
        let words: Cow<'_, [u16]> = if self.header.allocated == 16 {
            planes::words(frame, u16::from_le_bytes).into()
        } else {
            frame.iter().map(|&byte| byte.into()).collect::<Vec<u16>>().into()
        };
        self.push_words(&words, self.header.planar);
    }

    fn compressed_frame(&mut self, frame: &[u8], coding: PixelCoding) -> Result<(), ImagingError> {
        match coding {
            PixelCoding::Native => Err(malformed("Pixel Data is not stored as the transfer syntax says")),
            PixelCoding::Rle => {
                let header = self.header;
                let bytes_a_sample = usize::from(header.allocated / 8);
                let words = rle::decode(frame, header.area(), header.samples.into(), bytes_a_sample)?;
                self.push_words(&words, true);
                Ok(())
            }
            PixelCoding::Jpeg => self.jpeg_frame(frame),
            PixelCoding::JpegLs => {
                let decoded = jpeg_ls::decode(frame, |size| {
                    // Every row of every plane takes a bit at least.
                    let rows = u64::from(size.height) * u64::from(size.components);
                    if frame.len() as u64 * 8 < rows {
                        return Err(too_short());
                    }
                    self.check_size(size.width, size.height, size.components.into())
                })?;
                self.push_coded(decoded.samples, decoded.precision, false);
                Ok(())
            }
            PixelCoding::Jpeg2000 => {
                let size = jpeg2000::size(frame)?;
                self.check_size(size.width, size.height, size.components)?;
                let decoded = jpeg2000::decode(frame, &size)?;
                self.push_coded(decoded.samples, decoded.precision, decoded.signed);
                Ok(())
            }
        }
    }

    fn jpeg_frame(&mut self, frame: &[u8]) -> Result<(), ImagingError> {
        let info = jpeg::inspect(frame).map_err(in_dicom)?;
        self.check_size(info.width, info.height, info.components.into())?;
        let colour = match self.header.photometric {
            // JFIF and Adobe markers know better than the header, which is often left at RGB.
            Photometric::Rgb if !info.declares_colour || info.process == jpeg::Process::Lossless => {
                jpeg::Colour::Rgb
            }
            Photometric::YbrFull | Photometric::YbrFull422 => jpeg::Colour::Ycbcr,
            Photometric::Rgb | Photometric::Monochrome | Photometric::Palette | Photometric::YbrJpeg2000 => {
                jpeg::Colour::Declared
            }
        };
        let decoded = jpeg::decode(frame, &info, colour).map_err(in_dicom)?;
        // The colours are RGB now, so they skip the conversion of uncompressed YBR.
        self.push_coded(decoded.samples, info.precision, false);
        Ok(())
    }

    fn check_size(&self, width: u32, height: u32, components: u16) -> Result<(), ImagingError> {
        let header = self.header;
        if (width, height, components) != (header.columns, header.rows, header.samples.into()) {
            return Err(malformed(
                "a compressed frame differs in size from Rows, Columns or Samples per Pixel",
            ));
        }
        Ok(())
    }

    /// Words of Bits Allocated, as uncompressed and RLE frames hold them.
    fn push_words(&mut self, words: &[u16], planar: bool) {
        let header = self.header;
        let channels = usize::from(header.samples);
        let start = self.samples.len();
        let shift = header.high_bit + 1 - header.stored;
        let spare = 16 - header.stored;
        let mut clean = true;
        let value = |word: u16| {
            let field = word >> shift << spare;
            let value =
                if header.signed { i32::from(field as i16 >> spare) } else { i32::from(field >> spare) };
            // Around the stored bits there may be zeros or copies of the sign; anything else is not ours to drop.
            let zeros = u32::from(field >> spare) << shift;
            let extended = (value << shift) as u32 & ((1 << header.allocated) - 1);
            (value, u32::from(word) == zeros || u32::from(word) == extended)
        };
        let mut push = |word: u16| {
            let (value, is_clean) = value(word);
            clean &= is_clean;
            self.samples.push(value);
        };
        if planar || channels == 1 {
            words.iter().copied().for_each(&mut push);
        } else {
            for channel in 0..channels {
                words.iter().skip(channel).step_by(channels).copied().for_each(&mut push);
            }
        }
        if !clean {
            self.exact_only = Some("bits beside the stored ones are in use (overlay planes in Pixel Data)");
        }
        if matches!(header.photometric, Photometric::YbrFull | Photometric::YbrFull422) {
            let colour = self.samples.split_off(start);
            self.push_colour(colour);
        }
    }

    /// Samples of a codec that knows numbers, not words (PS3.5 section 8.2): they are in the low bits already.
    fn push_coded(&mut self, samples: Vec<i32>, precision: u8, coded_signed: bool) {
        let spare = 32 - u32::from(precision);
        match (self.header.signed, coded_signed) {
            (true, true) | (false, false) => self.samples.extend(samples),
            // The encoder was given two's complement words and took them for unsigned numbers.
            (true, false) => self.samples.extend(samples.iter().map(|&sample| sample << spare >> spare)),
            (false, true) => {
                self.samples.extend(samples.iter().map(|&sample| ((sample as u32) << spare >> spare) as i32));
            }
        }
    }

    /// Y, Cb and Cr planes to R, G and B planes (PS3.3 C.7.6.3.1.2, YBR_FULL).
    fn push_colour(&mut self, ybr: Vec<i32>) {
        let area = ybr.len() / 3;
        let (y, chroma) = ybr.split_at(area);
        let (cb, cr) = chroma.split_at(area);
        let byte = |value: f32| value.round().clamp(0.0, 255.0) as i32;
        let pixels = || {
            y.iter().zip(cb).zip(cr).map(|((&y, &cb), &cr)| (y as f32, cb as f32 - 128.0, cr as f32 - 128.0))
        };
        self.samples.extend(pixels().map(|(y, _, cr)| byte(y + 1.402 * cr)));
        self.samples.extend(pixels().map(|(y, cb, cr)| byte(y - 0.344_136 * cb - 0.714_136 * cr)));
        self.samples.extend(pixels().map(|(y, cb, _)| byte(y + 1.772 * cb)));
    }

    fn finish(self, data_set: &DataSet<'_>) -> (PixelTensor, Option<&'static str>) {
        let header = self.header;
        let mut pixels = PixelTensor {
            width: header.columns,
            height: header.rows,
            channels: header.samples,
            frames: header.frames,
            bits: header.stored,
            signed: header.signed,
            samples: self.samples,
        };
        let mut exact_only = self.exact_only;
        let (low, high) = pixels.storable_range();
        let (smallest, largest) = pixels.value_range();
        if smallest < low || largest > high {
            // A codec's numbers may go beyond Bits Stored; then the header cannot be believed, nor rewritten.
            pixels.bits = 16;
            exact_only = Some("values go beyond Bits Stored");
            let (low, high) = pixels.storable_range();
            pixels.samples.iter_mut().for_each(|sample| *sample = (*sample).clamp(low, high));
        }
        if header.photometric == Photometric::Palette {
            exact_only = Some("the pixels are palette indices");
        } else if header.stored < 8 {
            exact_only = Some("the samples have fewer than 8 bits");
        } else if data_set.text(tags::MODALITY) == Some("SEG") {
            exact_only = Some("the pixels are a segmentation");
        } else if data_set.get(tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA).is_some() {
            exact_only = Some("a colour lookup table refers to the values");
        }
        (pixels, exact_only)
    }
}

/// Doubles the chroma of YBR_FULL_422: Y1 Y2 Cb Cr to two pixels (PS3.3 C.7.6.3.1.2).
fn widen_422(frame: &[u8]) -> Vec<u8> {
    frame.chunks_exact(4).flat_map(|four| [four[0], four[2], four[3], four[1], four[2], four[3]]).collect()
}

/// Errors of a JPEG stream, told of the DICOM file around it.
fn in_dicom(error: ImagingError) -> ImagingError {
    if matches!(error, ImagingError::Truncated { .. }) {
        truncated("the end of a JPEG frame")
    } else if matches!(error, ImagingError::Malformed { .. }) {
        malformed("a JPEG frame breaks the rules of its format")
    } else {
        error
    }
}
