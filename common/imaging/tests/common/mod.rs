//! Pictures by formula, the same in `synthetic.py`, and the files that tests start from.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses a part; tests stop at what they did not expect"
)]

use std::{fs, path::PathBuf};

use latentwire_imaging::{LossyStep, PixelTensor};

/// Width and height of the pictures in `vectors/`.
pub const VECTOR_SIZE: (u32, u32) = (44, 38);

fn triangle(t: i64, half_period: i64) -> i64 {
    (t.rem_euclid(2 * half_period) - half_period).abs()
}

fn original_sample(x: i64, y: i64, c: i64, largest: i64) -> i64 {
    let texture = (7919 * x + 104_729 * y + 1_299_709 * c) % 47;
    (6 * triangle(3 * x + y + 29 * c, 100) + 4 * triangle(2 * y + x + c, 60) + 3 * texture) * largest / 978
}

/// A picture of the given size, 0 to `largest`, then moved by `offset`.
pub fn original(width: u32, height: u32, channels: u8, bits: u8, largest: i64, offset: i64) -> PixelTensor {
    picture(width, height, channels, bits, offset, |x, y, c| original_sample(x, y, c, largest))
}

/// The same with errors of up to 3 % of `largest`, twice as large in the lower right quarter.
pub fn distorted(width: u32, height: u32, channels: u8, bits: u8, largest: i64, offset: i64) -> PixelTensor {
    picture(width, height, channels, bits, offset, |x, y, c| {
        let strength = if 2 * x > width.into() && 2 * y > height.into() { 2 } else { 1 };
        let error = ((31 * x + 17 * y + 11 * c) % 23 - 11) * strength * largest;
        (original_sample(x, y, c, largest) + error.div_euclid(400)).clamp(0, largest)
    })
}

fn picture(
    width: u32,
    height: u32,
    channels: u8,
    bits: u8,
    offset: i64,
    sample: impl Fn(i64, i64, i64) -> i64,
) -> PixelTensor {
    let mut samples = Vec::new();
    for c in 0..channels {
        for y in 0..height {
            samples.extend((0..width).map(|x| (sample(x.into(), y.into(), c.into()) + offset) as i32));
        }
    }
    PixelTensor { width, height, channels, frames: 1, bits, signed: offset < 0, samples }
}

pub fn vector(name: &str) -> Vec<u8> {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name).with_extension("dcm");
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn sample(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../samples").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Files of every format and coding, small enough to be damaged thousands of times.
pub fn small_files() -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    let (width, height) = VECTOR_SIZE;
    for (name, pixels) in [
        ("grey8", original(width, height, 1, 8, 255, 0)),
        ("colour8", original(width, height, 3, 8, 255, 0)),
        ("grey16", original(width, height, 1, 16, 65_535, 0)),
    ] {
        files.push((format!("{name}.png"), png_file(&pixels)));
        files.push((format!("{name}.tiff"), tiff_file(&pixels)));
    }
    for name in
        ["grey8_jpeg_baseline", "grey12_jpeg_extended", "colour8_jpeg_baseline", "grey12_jpeg_lossless"]
    {
        files.push((format!("{name}.jpg"), jpeg_in(name)));
    }
    files
}

/// The JPEG stream in a DICOM vector.
pub fn jpeg_in(name: &str) -> Vec<u8> {
    let bytes = vector(name);
    let start = bytes.windows(3).position(|three| three == [0xff, 0xd8, 0xff]).unwrap();
    let end = bytes.windows(2).rposition(|two| two == [0xff, 0xd9]).unwrap();
    bytes[start..end + 2].to_vec()
}

pub fn interleaved(pixels: &PixelTensor) -> impl Iterator<Item = i32> {
    let area = (pixels.width * pixels.height) as usize;
    (0..area)
        .flat_map(move |at| (0..usize::from(pixels.channels)).map(move |c| pixels.samples[c * area + at]))
}

/// A PNG by the `png` crate itself.
pub fn png_file(pixels: &PixelTensor) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, pixels.width, pixels.height);
    encoder.set_color(if pixels.channels == 3 { png::ColorType::Rgb } else { png::ColorType::Grayscale });
    encoder.set_depth(if pixels.bits > 8 { png::BitDepth::Sixteen } else { png::BitDepth::Eight });
    let mut writer = encoder.write_header().unwrap();
    let raw: Vec<u8> = if pixels.bits > 8 {
        interleaved(pixels).flat_map(|sample| (sample as u16).to_be_bytes()).collect()
    } else {
        interleaved(pixels).map(|sample| sample as u8).collect()
    };
    writer.write_image_data(&raw).unwrap();
    writer.finish().unwrap();
    file
}

/// An uncompressed TIFF by the `tiff` crate itself.
pub fn tiff_file(pixels: &PixelTensor) -> Vec<u8> {
    use tiff::encoder::{TiffEncoder, colortype};
    let mut file = std::io::Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut file).unwrap();
    let (width, height) = (pixels.width, pixels.height);
    let bytes: Vec<u8> = interleaved(pixels).map(|sample| sample as u8).collect();
    let words: Vec<u16> = interleaved(pixels).map(|sample| sample as u16).collect();
    match (pixels.channels, pixels.bits > 8) {
        (1, false) => encoder.write_image::<colortype::Gray8>(width, height, &bytes).unwrap(),
        (1, true) => encoder.write_image::<colortype::Gray16>(width, height, &words).unwrap(),
        (_, false) => encoder.write_image::<colortype::RGB8>(width, height, &bytes).unwrap(),
        (_, true) => encoder.write_image::<colortype::RGB16>(width, height, &words).unwrap(),
    }
    file.into_inner()
}

pub fn lossy_step() -> LossyStep<'static> {
    LossyStep {
        model: "ae224-brain",
        decoder_digest: [0xab; 32],
        ratio: 23.4567,
        mark: None,
        sop_instance_uid: None,
    }
}
