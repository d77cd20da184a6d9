//! Extended sequential DCT with 12-bit samples and Huffman coding (T.81 sections F.1 and F.2): what DICOM calls Process 4.
//!
//! `jpeg-decoder` stops at 8 bits here. Components of one size only: 12-bit pictures are grey, and colour subsampling is
//! refused.

use super::stream::{Segments, StreamInfo, malformed, truncated};
use crate::ImagingError;

/// Decodes to planes of unsigned 12-bit samples.
pub(super) fn decode(bytes: &[u8], info: &StreamInfo) -> Result<Vec<i32>, ImagingError> {
    let mut decoder = Tables::default();
    let (width, height) = (info.width as usize, info.height as usize);
    let mut samples = vec![0; width * height * usize::from(info.components)];
    let mut decoded = vec![false; usize::from(info.components)];
    let mut segments = Segments::new(bytes);
    while let Some((marker, body)) = segments.next_segment()? {
        match marker {
            0xdb => decoder.quantization_tables(body)?,
            0xc4 => decoder.huffman_tables(body)?,
            0xc1 => decoder.frame_components(body)?,
            0xdd => {
                let &[high, low] = body else { return Err(malformed("a restart interval is not one")) };
                decoder.restart_interval = usize::from(u16::from_be_bytes([high, low]));
            }
            0xda => {
                let scan = decoder.scan(body)?;
                let picture = Plane { samples: &mut samples, width, height };
                decoder.decode_scan(segments.rest(), &scan, picture)?;
                for component in scan {
                    decoded[component.plane] = true;
                }
            }
            _ => {}
        }
    }
    if decoded.contains(&false) { Err(malformed("a component has no scan")) } else { Ok(samples) }
}

#[derive(Default)]
struct Tables {
    quantization: [Option<[i32; 64]>; 4],
    dc: [Option<Huffman>; 4],
    ac: [Option<Huffman>; 4],
    /// Identifier and quantization table of each component.
    components: Vec<(u8, usize)>,
    restart_interval: usize,
}

struct ScanComponent {
    plane: usize,
    quantization: usize,
    dc: usize,
    ac: usize,
}

struct Plane<'a> {
    samples: &'a mut [i32],
    width: usize,
    height: usize,
}

impl Tables {
    fn quantization_tables(&mut self, mut body: &[u8]) -> Result<(), ImagingError> {
        while let Some((&head, rest)) = body.split_first() {
            let bytes_an_entry = usize::from(head >> 4) + 1;
            let (entries, rest) = rest.split_at_checked(64 * bytes_an_entry).ok_or_else(truncated)?;
            let slot = self.quantization.get_mut(usize::from(head & 15));
            let slot = slot.filter(|_| bytes_an_entry <= 2).ok_or(malformed("a quantization table"))?;
            let mut table = [0; 64];
            for (entry, bytes) in table.iter_mut().zip(entries.chunks_exact(bytes_an_entry)) {
                *entry = bytes.iter().fold(0, |value, &byte| value << 8 | i32::from(byte));
            }
            *slot = Some(table);
            body = rest;
        }
        Ok(())
    }

    fn huffman_tables(&mut self, mut body: &[u8]) -> Result<(), ImagingError> {
        while let Some((&head, rest)) = body.split_first() {
            let (counts, rest) = rest.split_at_checked(16).ok_or_else(truncated)?;
            let total = counts.iter().map(|&count| usize::from(count)).sum();
            let (symbols, rest) = rest.split_at_checked(total).ok_or_else(truncated)?;
            let tables = if head >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            let slot = tables.get_mut(usize::from(head & 15));
            let slot = slot.filter(|_| head >> 4 <= 1).ok_or(malformed("a Huffman table"))?;
            *slot = Some(Huffman::new(counts, symbols)?);
            body = rest;
        }
        Ok(())
    }

    fn frame_components(&mut self, body: &[u8]) -> Result<(), ImagingError> {
        let entries = body.get(6..).unwrap_or_default();
        if entries.len() != 3 * usize::from(body.get(5).copied().unwrap_or(0)) {
            return Err(malformed("its frame header has the wrong length"));
        }
        self.components.clear();
        for entry in entries.chunks_exact(3) {
            // A single component is one block a unit whatever its factors say (A.2.2).
            if entry[1] != 0x11 && entries.len() > 3 {
                return Err(ImagingError::Unsupported { what: "12-bit JPEG with subsampled colour" });
            }
            self.components.push((entry[0], usize::from(entry[2])));
        }
        Ok(())
    }

    fn scan(&self, body: &[u8]) -> Result<Vec<ScanComponent>, ImagingError> {
        let bad = malformed("a scan header breaks the rules");
        let count = usize::from(*body.first().ok_or_else(|| bad.clone())?);
        if count == 0 || body.len() != 4 + 2 * count || body[1 + 2 * count..] != [0, 63, 0] {
            return Err(bad);
        }
        let mut scan = Vec::with_capacity(count);
        for entry in body[1..1 + 2 * count].chunks_exact(2) {
            let plane = self.components.iter().position(|component| component.0 == entry[0]);
            let plane = plane.ok_or_else(|| bad.clone())?;
            scan.push(ScanComponent {
                plane,
                quantization: self.components[plane].1,
                dc: usize::from(entry[1] >> 4),
                ac: usize::from(entry[1] & 15),
            });
        }
        Ok(scan)
    }

    fn decode_scan(
        &self,
        data: &[u8],
        scan: &[ScanComponent],
        picture: Plane<'_>,
    ) -> Result<(), ImagingError> {
        let missing = || malformed("a scan names a table that is not there");
        let mut tables = Vec::with_capacity(scan.len());
        for component in scan {
            let quantization = self.quantization.get(component.quantization).and_then(Option::as_ref);
            let dc = self.dc.get(component.dc).and_then(Option::as_ref);
            let ac = self.ac.get(component.ac).and_then(Option::as_ref);
            let quantization = quantization.ok_or_else(missing)?;
            tables.push((quantization, dc.ok_or_else(missing)?, ac.ok_or_else(missing)?));
        }
        let cosines = cosines();
        let mut bits = Bits::new(data);
        let mut predictions = vec![0; scan.len()];
        let (blocks_x, blocks_y) = (picture.width.div_ceil(8), picture.height.div_ceil(8));
        for unit in 0..blocks_x * blocks_y {
            if self.restart_interval != 0 && unit != 0 && unit % self.restart_interval == 0 {
                bits.restart()?;
                predictions.fill(0);
            }
            for ((component, tables), prediction) in scan.iter().zip(&tables).zip(&mut predictions) {
                let coefficients = decode_block(&mut bits, tables, prediction)?;
                let block = inverse_dct(&coefficients, &cosines);
                let (x, y) = (unit % blocks_x * 8, unit / blocks_x * 8);
                let plane = picture.width * picture.height * component.plane;
                for (row, values) in block.chunks_exact(8).enumerate().take(picture.height - y) {
                    let start = plane + (y + row) * picture.width + x;
                    let count = 8.min(picture.width - x);
                    picture.samples[start..start + count].copy_from_slice(&values[..count]);
                }
            }
        }
        Ok(())
    }
}

/// Coefficients of one block, dequantized, in rows (F.2.2).
fn decode_block(
    bits: &mut Bits<'_>,
    (quantization, dc, ac): &(&[i32; 64], &Huffman, &Huffman),
    prediction: &mut i32,
) -> Result<[f32; 64], ImagingError> {
    let mut coefficients = [0.0; 64];
    let category = dc.decode(bits)?;
    *prediction = prediction.wrapping_add(bits.signed(category)?);
    coefficients[0] = *prediction as f32 * quantization[0] as f32;
    let mut index = 1;
    while index < 64 {
        let symbol = ac.decode(bits)?;
        let (run, category) = (usize::from(symbol >> 4), symbol & 15);
        if category == 0 {
            if run != 15 {
                break;
            }
            index += 16;
            continue;
        }
        index += run;
        let position = *ZIGZAG.get(index).ok_or(malformed("a block has more than 64 coefficients"))?;
        coefficients[position] = bits.signed(category)? as f32 * quantization[index] as f32;
        index += 1;
    }
    Ok(coefficients)
}

/// Samples of one block, level-shifted and clamped to 12 bits (A.3.3, A.3.1).
fn inverse_dct(coefficients: &[f32; 64], cosines: &[[f32; 8]; 8]) -> [i32; 64] {
    let mut rows = [0.0f32; 64];
    for v in 0..8 {
        for x in 0..8 {
            rows[8 * v + x] = (0..8).map(|u| coefficients[8 * v + u] * cosines[x][u]).sum();
        }
    }
    let mut block = [0; 64];
    for y in 0..8 {
        for x in 0..8 {
            let value: f32 = (0..8).map(|v| rows[8 * v + x] * cosines[y][v]).sum();
            block[8 * y + x] = (value.round() as i32).saturating_add(2048).clamp(0, 4095);
        }
    }
    block
}

/// `C(u) / 2 * cos((2x + 1) u pi / 16)` by x and u.
fn cosines() -> [[f32; 8]; 8] {
    let mut table = [[0.0; 8]; 8];
    for (x, row) in table.iter_mut().enumerate() {
        for (u, entry) in row.iter_mut().enumerate() {
            let scale = if u == 0 { 0.5f64.sqrt() / 2.0 } else { 0.5 };
            let angle = (2 * x + 1) as f64 * u as f64 * std::f64::consts::PI / 16.0;
            *entry = (scale * angle.cos()) as f32;
        }
    }
    table
}

/// A canonical Huffman code (annex C), decoded bit by bit (F.2.2.3).
struct Huffman {
    symbols: Vec<u8>,
    /// By code length less one: first code, first symbol, number of codes.
    lengths: [(u32, usize, u32); 16],
}

impl Huffman {
    fn new(counts: &[u8], symbols: &[u8]) -> Result<Self, ImagingError> {
        let mut lengths = [(0, 0, 0); 16];
        let (mut code, mut first) = (0u32, 0);
        for (bits, (entry, &count)) in lengths.iter_mut().zip(counts).enumerate() {
            *entry = (code, first, u32::from(count));
            code += u32::from(count);
            first += usize::from(count);
            if code > 1 << (bits + 1) {
                return Err(malformed("a Huffman table has more codes than fit"));
            }
            code <<= 1;
        }
        Ok(Self { symbols: symbols.to_vec(), lengths })
    }

    fn decode(&self, bits: &mut Bits<'_>) -> Result<u8, ImagingError> {
        let mut code = 0;
        for &(first_code, first_symbol, count) in &self.lengths {
            code = code << 1 | bits.bit()?;
            if code >= first_code && code - first_code < count {
                return Ok(self.symbols[first_symbol + (code - first_code) as usize]);
            }
        }
        Err(malformed("a code is in no Huffman table"))
    }
}

/// Entropy-coded bits with stuffed bytes taken out; ends at a marker.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    byte: u8,
    left: u8,
}

impl<'a> Bits<'a> {
    fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, byte: 0, left: 0 }
    }

    fn bit(&mut self) -> Result<u32, ImagingError> {
        if self.left == 0 {
            self.byte = *self.data.get(self.at).ok_or_else(truncated)?;
            self.at += 1;
            if self.byte == 0xff {
                if self.data.get(self.at) != Some(&0) {
                    return Err(truncated());
                }
                self.at += 1;
            }
            self.left = 8;
        }
        self.left -= 1;
        Ok(u32::from(self.byte >> self.left & 1))
    }

    /// The signed value of a category: RECEIVE and EXTEND (F.2.2.1).
    fn signed(&mut self, category: u8) -> Result<i32, ImagingError> {
        if category > 16 {
            return Err(malformed("a coefficient has more than 16 bits"));
        }
        let mut value = 0;
        for _ in 0..category {
            value = value << 1 | self.bit()? as i32;
        }
        let half = 1 << category >> 1;
        Ok(if value < half { value - (1 << category) + 1 } else { value })
    }

    /// Skips padding and the restart marker.
    fn restart(&mut self) -> Result<(), ImagingError> {
        self.left = 0;
        match self.data.get(self.at..self.at + 2) {
            Some(&[0xff, 0xd0..=0xd7]) => {
                self.at += 2;
                Ok(())
            }
            _ => Err(malformed("a restart marker is missing")),
        }
    }
}

/// Position in rows of each coefficient in zigzag order (figure A.6).
const ZIGZAG: [usize; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
    46, 53, 60, 61, 54, 47, 55, 62, 63,
];
