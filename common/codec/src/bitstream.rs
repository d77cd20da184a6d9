//! The coded image's bytes, as docs/BITSTREAM.md fixes them. Bytes in, slices out; no model, no pixel.

use latentwire_imaging::Format;
use latentwire_model::DecoderDigest;

use crate::error::CodecError;
use crate::policy::LatentCoding;
use crate::tiles::{TileGrid, latent_side};

/// What a coded image carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// Entropy-coded latents.
    Latent,
    /// The source file's own bytes.
    Exact,
}

/// What can be known of a coded image without a model (docs/BITSTREAM.md).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Header {
    /// Of the latent form.
    Latent(LatentHeader),
    /// Of the exact form.
    Exact(ExactHeader),
}

/// The header of the exact form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExactHeader {
    /// The file's format.
    pub format: Format,
    /// The file's size in bytes.
    pub file_bytes: u64,
}

/// The header of the latent form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatentHeader {
    /// The source file's format.
    pub format: Format,
    /// Which decoder the image needs.
    pub decoder_digest: DecoderDigest,
    /// Columns, at least 1.
    pub width: u32,
    /// Rows, at least 1.
    pub height: u32,
    /// Frames, at least 1.
    pub frames: u32,
    /// 1 (grey) or 3 (RGB).
    pub channels: u8,
    /// Stored bits a sample, 1..=16.
    pub bits: u8,
    /// Whether the samples are two's complement.
    pub signed: bool,
    /// The stored value that the net sees as 0.
    pub low: i32,
    /// The stored value that the net sees as 1; larger than `low`.
    pub high: i32,
    /// How the latent is written.
    pub coding: LatentCoding,
    /// Whether the latent is that of whole tiles: its sides are then multiples of `tile_side`.
    pub whole_tiles: bool,
    /// Quantiser step in 1/256 of the model's base steps, at least 1; 256 where the latent is not quantised.
    pub quantiser_step: u16,
    /// Channels of the latent, at least 1.
    pub latent_channels: u8,
    /// Picture pixels a latent position covers along a side: 1, 2, 4, 8, 16 or 32.
    pub latent_stride: u8,
    /// Side of an entropy-coding tile in latent positions, 16..=4096.
    pub tile_side: u16,
    /// The SOP Instance UID of the rebuilt DICOM object; `None` for other formats.
    pub sop_instance_uid: Option<String>,
}

impl Header {
    /// Reads the header of a coded image, and checks every length in it against the bytes that are
    /// there.
    ///
    /// # Errors
    /// [`CodecError::Bitstream`].
    pub fn parse(coded: &[u8]) -> Result<Self, CodecError> {
        Ok(match CodedImage::parse(coded)? {
            CodedImage::Latent(image) => Self::Latent(image.header),
            CodedImage::Exact { format, file } => {
                Self::Exact(ExactHeader { format, file_bytes: file.len() as u64 })
            }
        })
    }

    /// The form.
    pub fn form(&self) -> Form {
        match self {
            Self::Latent(_) => Form::Latent,
            Self::Exact(_) => Form::Exact,
        }
    }

    /// The source file's format.
    pub fn format(&self) -> Format {
        match self {
            Self::Latent(header) => header.format,
            Self::Exact(header) => header.format,
        }
    }

    /// Which decoder the image needs; `None` in exact form.
    pub fn decoder_digest(&self) -> Option<DecoderDigest> {
        match self {
            Self::Latent(header) => Some(header.decoder_digest),
            Self::Exact(_) => None,
        }
    }
}

/// A coded image, taken apart.
#[derive(Debug)]
pub(crate) enum CodedImage<'a> {
    Latent(LatentImage<'a>),
    Exact { format: Format, file: &'a [u8] },
}

/// A coded image in latent form, taken apart.
#[derive(Debug)]
pub(crate) struct LatentImage<'a> {
    pub(crate) header: LatentHeader,
    /// What rebuilds the file in kind.
    pub(crate) container: &'a [u8],
    /// Frame by frame, in a frame row by row, in a row left to right. With [`LatentCoding::RawRows`], a frame has one
    /// part: all its rows.
    pub(crate) tiles: Vec<&'a [u8]>,
}

impl<'a> CodedImage<'a> {
    pub(crate) fn parse(coded: &'a [u8]) -> Result<Self, CodecError> {
        let mut cursor = Cursor { rest: coded };
        if cursor.take(4)? != MAGIC {
            return Err(malformed("it does not begin with LWBS"));
        }
        if cursor.u8()? != VERSION {
            return Err(malformed("its version is not 1"));
        }
        let form = cursor.u8()?;
        let format = Format::from_code(cursor.u8()?).ok_or(malformed("its source format is unknown"))?;
        let flags = cursor.u8()?;
        match form {
            FORM_LATENT => LatentImage::parse(cursor, format, flags).map(Self::Latent),
            FORM_EXACT if flags != 0 => Err(malformed("a reserved flag is set")),
            FORM_EXACT => {
                let length = cursor.u64()?;
                let file = cursor.rest;
                if length == 0 || length != file.len() as u64 {
                    return Err(malformed("the file's length is not what the header says"));
                }
                Ok(Self::Exact { format, file })
            }
            _ => Err(malformed("its form is neither latent nor exact")),
        }
    }
}

impl<'a> LatentImage<'a> {
    fn parse(mut cursor: Cursor<'a>, format: Format, flags: u8) -> Result<Self, CodecError> {
        if flags & !FLAG_SIGNED != 0 {
            return Err(malformed("a reserved flag is set"));
        }
        let decoder_digest = DecoderDigest(cursor.array()?);
        let (width, height, frames) = (cursor.u32()?, cursor.u32()?, cursor.u32()?);
        let (channels, bits) = (cursor.u8()?, cursor.u8()?);
        let (colour_space, tile_order) = (cursor.u8()?, cursor.u8()?);
        let (low, high) = (cursor.i32()?, cursor.i32()?);
        let quantiser_step = cursor.u16()?;
        let (latent_channels, latent_stride) = (cursor.u8()?, cursor.u8()?);
        let (tile_side, tile_overlap) = (cursor.u16()?, cursor.u16()?);
        let uid_length = cursor.u8()?;
        let sop_instance_uid = sop_instance_uid(cursor.take(usize::from(uid_length))?, format)?;
        if tile_order > MAX_TILE_ORDER || tile_overlap != 0 || colour_space != colour_space_of(channels) {
            return Err(malformed("its colour space, tile order or tile overlap is unknown"));
        }
        let coding = match tile_order & TILE_ORDER_RAW_ROWS {
            0 => LatentCoding::Entropy,
            _ => LatentCoding::RawRows,
        };
        let header = LatentHeader {
            format,
            decoder_digest,
            width,
            height,
            frames,
            channels,
            bits,
            signed: flags & FLAG_SIGNED != 0,
            low,
            high,
            coding,
            whole_tiles: tile_order & TILE_ORDER_WHOLE != 0,
            quantiser_step,
            latent_channels,
            latent_stride,
            tile_side,
            sop_instance_uid,
        };
        header.check()?;
        let container_length = cursor.u32()? as usize;
        match coding {
            LatentCoding::Entropy => Self::parse_tiles(cursor, header, container_length),
            LatentCoding::RawRows => Self::parse_rows(cursor, header, container_length),
        }
    }

    fn parse_tiles(
        mut cursor: Cursor<'a>,
        header: LatentHeader,
        container_length: usize,
    ) -> Result<Self, CodecError> {
        let tile_count = header.tile_count().filter(|count| *count <= (cursor.rest.len() / 4) as u64);
        let tile_count = tile_count.ok_or(malformed("it is shorter than its tile table"))?;
        let table = cursor.take(tile_count as usize * 4)?;
        let container = cursor.take(container_length)?;
        let tiles = table
            .chunks_exact(4)
            .map(|length| {
                cursor.take(u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize)
            })
            .collect::<Result<Vec<_>, _>>()?;
        if !cursor.rest.is_empty() {
            return Err(malformed("bytes are left over after the last tile"));
        }
        Ok(Self { header, container, tiles })
    }

    fn parse_rows(
        mut cursor: Cursor<'a>,
        header: LatentHeader,
        container_length: usize,
    ) -> Result<Self, CodecError> {
        let container = cursor.take(container_length)?;
        let values = header.raw_values_per_frame();
        let whole = values * u128::from(header.frames) * 4;
        if whole != cursor.rest.len() as u128 {
            return Err(malformed("its rows are not as many as its head says"));
        }
        // What equals a length in memory fits one, and a frame is no longer than all of them.
        let tiles = cursor.rest.chunks_exact(values as usize * 4).collect();
        Ok(Self { header, container, tiles })
    }
}

impl LatentHeader {
    /// Size of the pixels as raw data in bytes: samples x ceil(bits / 8).
    pub fn raw_bytes(&self) -> u64 {
        let pixels = u64::from(self.width).saturating_mul(u64::from(self.height));
        let samples = pixels.saturating_mul(u64::from(self.frames)).saturating_mul(u64::from(self.channels));
        samples.saturating_mul(u64::from(self.bits.div_ceil(8)))
    }

    /// How a frame's latent is cut into entropy-coding tiles.
    pub(crate) fn tile_grid(&self) -> TileGrid {
        let side = u32::from(self.tile_side);
        // `check` has refused the sides that `None` is for.
        let positions = |pixels| self.latent_side(pixels).unwrap_or(u32::MAX);
        TileGrid { width: positions(self.width), height: positions(self.height), side }
    }

    /// Bytes of a row of raw values, where the latent is written as those: 4 for each channel of each position.
    pub fn raw_row_bytes(&self) -> u64 {
        u64::from(self.tile_grid().width) * u64::from(self.latent_channels) * 4
    }

    /// Tiles of all frames; `None` past `u64`.
    fn tile_count(&self) -> Option<u64> {
        self.tile_grid().count().checked_mul(u64::from(self.frames))
    }

    /// Values of a frame's latent.
    fn raw_values_per_frame(&self) -> u128 {
        let grid = self.tile_grid();
        u128::from(grid.width) * u128::from(grid.height) * u128::from(self.latent_channels)
    }

    fn latent_side(&self, pixels: u32) -> Option<u32> {
        let whole_tile = self.whole_tiles.then_some(u32::from(self.tile_side));
        latent_side(pixels, u32::from(self.latent_stride), whole_tile)
    }

    fn check(&self) -> Result<(), CodecError> {
        if self.width == 0 || self.height == 0 || self.frames == 0 {
            return Err(malformed("it has no pixels"));
        }
        if !matches!(self.channels, 1 | 3) || !(1..=16).contains(&self.bits) {
            return Err(malformed("its channels or bits are out of range"));
        }
        let (least, most) = if self.signed {
            (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1)
        } else {
            (0, (1 << self.bits) - 1)
        };
        if self.low < least || self.high > most || self.low >= self.high {
            return Err(malformed("its range of values does not fit its bits"));
        }
        if self.quantiser_step == 0 {
            return Err(malformed("its quantiser step is zero"));
        }
        if self.latent_channels == 0 || !self.latent_stride.is_power_of_two() || self.latent_stride > 32 {
            return Err(malformed("its latent channels or stride are out of range"));
        }
        if !(16..=4096).contains(&self.tile_side) {
            return Err(malformed("its tile side is out of range"));
        }
        if [self.width, self.height].into_iter().any(|side| self.latent_side(side).is_none()) {
            return Err(malformed("its sides are too long for whole tiles"));
        }
        if self.coding == LatentCoding::RawRows && self.quantiser_step != NO_QUANTISER {
            return Err(malformed("its rows are raw, and yet it names a quantiser step"));
        }
        Ok(())
    }
}

/// Size of the exact form of a file of so many bytes.
pub(crate) fn exact_length(file: usize) -> usize {
    EXACT_HEAD + file
}

/// Writes the exact form.
pub(crate) fn write_exact(format: Format, file: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(exact_length(file.len()));
    write_head(&mut out, FORM_EXACT, format, 0);
    out.extend_from_slice(&(file.len() as u64).to_le_bytes());
    out.extend_from_slice(file);
    out
}

/// Writes the latent form; `tiles` in the order, and of the kind, of [`LatentImage::tiles`].
///
/// # Errors
/// [`CodecError::TooLarge`] if the container or a tile has 4 GiB or more.
pub(crate) fn write_latent(
    header: &LatentHeader,
    container: &[u8],
    tiles: &[Vec<u8>],
) -> Result<Vec<u8>, CodecError> {
    let uid = header.sop_instance_uid.as_deref().unwrap_or_default();
    let payload: usize = tiles.iter().map(Vec::len).sum();
    let mut out =
        Vec::with_capacity(LATENT_HEAD + uid.len() + 4 + 4 * tiles.len() + container.len() + payload);
    write_head(&mut out, FORM_LATENT, header.format, if header.signed { FLAG_SIGNED } else { 0 });
    out.extend_from_slice(&header.decoder_digest.0);
    for side in [header.width, header.height, header.frames] {
        out.extend_from_slice(&side.to_le_bytes());
    }
    out.extend_from_slice(&[
        header.channels,
        header.bits,
        colour_space_of(header.channels),
        tile_order_of(header),
    ]);
    out.extend_from_slice(&header.low.to_le_bytes());
    out.extend_from_slice(&header.high.to_le_bytes());
    out.extend_from_slice(&header.quantiser_step.to_le_bytes());
    out.extend_from_slice(&[header.latent_channels, header.latent_stride]);
    out.extend_from_slice(&header.tile_side.to_le_bytes());
    out.extend_from_slice(&0_u16.to_le_bytes());
    out.push(u8::try_from(uid.len()).map_err(|_| CodecError::TooLarge { what: "the SOP Instance UID" })?);
    out.extend_from_slice(uid.as_bytes());
    out.extend_from_slice(&length_u32(container, "the file's container")?);
    if header.coding == LatentCoding::Entropy {
        for tile in tiles {
            out.extend_from_slice(&length_u32(tile, "a coded tile")?);
        }
    }
    out.extend_from_slice(container);
    for tile in tiles {
        out.extend_from_slice(tile);
    }
    Ok(out)
}

fn write_head(out: &mut Vec<u8>, form: u8, format: Format, flags: u8) {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[VERSION, form, format.code(), flags]);
}

fn length_u32(bytes: &[u8], what: &'static str) -> Result<[u8; 4], CodecError> {
    let length = u32::try_from(bytes.len()).map_err(|_| CodecError::TooLarge { what })?;
    Ok(length.to_le_bytes())
}

fn sop_instance_uid(uid: &[u8], format: Format) -> Result<Option<String>, CodecError> {
    if uid.is_empty() {
        return Ok(None);
    }
    let sound = uid.len() <= 64 && uid.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    if format != Format::Dicom || !sound {
        return Err(malformed("its SOP Instance UID is not one"));
    }
    Ok(Some(uid.iter().map(|byte| char::from(*byte)).collect()))
}

fn colour_space_of(channels: u8) -> u8 {
    if channels == 3 { COLOUR_SPACE_RGB } else { COLOUR_SPACE_GREY }
}

fn tile_order_of(header: &LatentHeader) -> u8 {
    let whole = if header.whole_tiles { TILE_ORDER_WHOLE } else { 0 };
    let coding = match header.coding {
        LatentCoding::Entropy => 0,
        LatentCoding::RawRows => TILE_ORDER_RAW_ROWS,
    };
    whole | coding
}

fn malformed(what: &'static str) -> CodecError {
    CodecError::Bitstream { what }
}

/// Reads forward; never past the end.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], CodecError> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or(malformed("it ends too early"))?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(malformed("it ends too early"))?;
        self.rest = rest;
        Ok(*head)
    }

    fn u8(&mut self) -> Result<u8, CodecError> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, CodecError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, CodecError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, CodecError> {
        self.array().map(u64::from_le_bytes)
    }

    fn i32(&mut self) -> Result<i32, CodecError> {
        self.array().map(i32::from_le_bytes)
    }
}

/// What the field of the quantiser step holds where nothing is quantised: the model's own steps.
pub(crate) const NO_QUANTISER: u16 = 256;

const MAGIC: [u8; 4] = *b"LWBS";
const VERSION: u8 = 1;
const FORM_LATENT: u8 = 1;
const FORM_EXACT: u8 = 2;
const FLAG_SIGNED: u8 = 1;
const COLOUR_SPACE_GREY: u8 = 0;
const COLOUR_SPACE_RGB: u8 = 1;
const TILE_ORDER_WHOLE: u8 = 1;
const TILE_ORDER_RAW_ROWS: u8 = 2;
const MAX_TILE_ORDER: u8 = TILE_ORDER_WHOLE | TILE_ORDER_RAW_ROWS;
const EXACT_HEAD: usize = 16;
const LATENT_HEAD: usize = 73;
