//! The marker segments of a JPEG stream (T.81 annex B): what it holds, and whether it is whole.

use crate::{
    Format, ImagingError,
    attributes::{LengthUnit, Resolution, exif_orientation},
};

/// What a stream's markers say.
#[derive(Clone, Debug)]
pub(crate) struct StreamInfo {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Components a pixel.
    pub components: u8,
    /// Bits a sample.
    pub precision: u8,
    /// Coding process.
    pub process: Process,
    /// Whether the markers (JFIF, Adobe) say which colours the components are.
    pub declares_colour: bool,
    /// Exif orientation, 1 to 8.
    pub orientation: u8,
    /// JFIF density.
    pub resolution: Option<Resolution>,
}

/// Coding process of a stream (T.81 table B.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Process {
    /// SOF0.
    Baseline,
    /// SOF1: sequential DCT, Huffman.
    Extended,
    /// SOF2: progressive DCT, Huffman.
    Progressive,
    /// SOF3: lossless, Huffman.
    Lossless,
    /// Hierarchical or arithmetic.
    Other,
}

impl StreamInfo {
    /// Refuses a stream that is too short for its picture: a Huffman code has at least one bit, and every 8x8 block (or
    /// every sample, lossless) at least one code.
    pub fn check_length(&self, bytes: usize) -> Result<(), ImagingError> {
        let (width, height) = (u64::from(self.width), u64::from(self.height));
        let codes = match self.process {
            Process::Lossless => width * height,
            Process::Baseline | Process::Extended | Process::Progressive | Process::Other => {
                width.div_ceil(8) * height.div_ceil(8)
            }
        };
        if bytes as u64 * 8 < codes { Err(truncated()) } else { Ok(()) }
    }
}

/// Walks over the markers up to EOI.
pub(crate) fn scan(bytes: &[u8]) -> Result<StreamInfo, ImagingError> {
    let mut info = None;
    let mut side = Declarations::default();
    let mut segments = Segments::new(bytes);
    while let Some((marker, body)) = segments.next_segment()? {
        match marker {
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                if info.is_some() {
                    return Err(malformed("it has two frame headers"));
                }
                info = Some(frame_header(marker, body)?);
            }
            0xe0..=0xef => side.application_segment(marker, body),
            _ => {}
        }
    }
    let mut info = info.ok_or(malformed("it has no frame header"))?;
    info.declares_colour = side.declares_colour;
    info.orientation = side.orientation.unwrap_or(1);
    info.resolution = side.resolution;
    Ok(info)
}

/// Marker segments one after another; entropy-coded data is skipped over, and available after an SOS segment.
pub(super) struct Segments<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Segments<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next marker with its parameters; `None` at EOI.
    pub(super) fn next_segment(&mut self) -> Result<Option<(u8, &'a [u8])>, ImagingError> {
        loop {
            let marker = self.next_marker()?;
            match marker {
                0xd9 => return Ok(None),
                0xd8 | 0x01 | 0xd0..=0xd7 => {}
                _ => {
                    let length = self.bytes.get(self.at..self.at + 2).ok_or_else(truncated)?;
                    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
                    if length < 2 {
                        return Err(malformed("a marker segment has no room for its length"));
                    }
                    let body = self.bytes.get(self.at + 2..self.at + length).ok_or_else(truncated)?;
                    self.at += length;
                    return Ok(Some((marker, body)));
                }
            }
        }
    }

    /// What follows the last segment: after SOS, the entropy-coded data.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Skips to the next marker that is neither a stuffed byte nor a fill byte.
    fn next_marker(&mut self) -> Result<u8, ImagingError> {
        loop {
            let ff = self.rest().iter().position(|&byte| byte == 0xff).ok_or_else(truncated)?;
            self.at += ff + 1;
            match self.bytes.get(self.at) {
                None => return Err(truncated()),
                Some(0xff) => {}
                Some(0x00) => self.at += 1,
                Some(&marker) => {
                    self.at += 1;
                    return Ok(marker);
                }
            }
        }
    }
}

fn frame_header(marker: u8, body: &[u8]) -> Result<StreamInfo, ImagingError> {
    let &[precision, h1, h0, w1, w0, components, ..] = body else {
        return Err(malformed("its frame header is too short"));
    };
    Ok(StreamInfo {
        width: u16::from_be_bytes([w1, w0]).into(),
        height: u16::from_be_bytes([h1, h0]).into(),
        components,
        precision,
        process: match marker {
            0xc0 => Process::Baseline,
            0xc1 => Process::Extended,
            0xc2 => Process::Progressive,
            0xc3 => Process::Lossless,
            _ => Process::Other,
        },
        declares_colour: false,
        orientation: 1,
        resolution: None,
    })
}

#[derive(Default)]
struct Declarations {
    declares_colour: bool,
    orientation: Option<u8>,
    resolution: Option<Resolution>,
}

impl Declarations {
    fn application_segment(&mut self, marker: u8, body: &[u8]) {
        if marker == 0xe0 && body.starts_with(b"JFIF\0") {
            self.declares_colour = true;
            self.resolution = self.resolution.or_else(|| jfif_density(body));
        } else if marker == 0xee && body.starts_with(b"Adobe") && body.len() >= 12 {
            self.declares_colour = true;
        } else if let Some(exif) = body.strip_prefix(b"Exif\0\0")
            && marker == 0xe1
        {
            self.orientation = self.orientation.or_else(|| exif_orientation(exif));
        }
    }
}

/// Density fields of a JFIF segment (T.871 section 10.1).
fn jfif_density(body: &[u8]) -> Option<Resolution> {
    let &[unit, x1, x0, y1, y0] = body.get(7..12)? else { return None };
    let unit = match unit {
        0 => LengthUnit::None,
        1 => LengthUnit::Inch,
        2 => LengthUnit::Centimetre,
        _ => return None,
    };
    let (x, y) = (u16::from_be_bytes([x1, x0]), u16::from_be_bytes([y1, y0]));
    if x == 0 || y == 0 || (unit == LengthUnit::None && x == y) {
        return None;
    }
    Some(Resolution { x_milli: u32::from(x) * 1000, y_milli: u32::from(y) * 1000, unit })
}

pub(super) fn truncated() -> ImagingError {
    ImagingError::Truncated { format: Format::Jpeg, what: "its end-of-image marker or the end of its pixels" }
}

pub(super) fn malformed(what: &'static str) -> ImagingError {
    ImagingError::Malformed { format: Format::Jpeg, what }
}
