//! What the codec's tests share: the tiny models, synthetic pictures, and hand-written files.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot make its own input has failed")]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use latentwire_codec::imaging::{Limits, PixelTensor};
use latentwire_codec::model::Parts;
use latentwire_codec::{Codec, CodecConfig, Floors, Policy, SessionOptions};

pub const BOTH: Parts = Parts { encoder: true, decoder: true };

/// The codec with every sound model.
pub fn codec() -> &'static Codec {
    static CODEC: OnceLock<Codec> = OnceLock::new();
    CODEC.get_or_init(|| Codec::load(&config(&models("sound"), BOTH)).unwrap())
}

pub fn models(set: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models").join(set)
}

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub fn config(models: &Path, parts: Parts) -> CodecConfig {
    CodecConfig {
        models: models.to_owned(),
        pins: None,
        research: false,
        parts,
        sessions: SessionOptions::default(),
        dylib: fetched_library(),
        limits: Limits::default(),
    }
}

/// What `scripts/fetch-onnxruntime.sh` has put into the checkout, unless the environment names another.
fn fetched_library() -> Option<PathBuf> {
    if std::env::var_os("ORT_DYLIB_PATH").is_some() {
        return None;
    }
    let folder = std::fs::read_dir(repository().join(".onnxruntime")).ok()?;
    let mut found = folder.flatten().map(|entry| entry.path());
    found.find(|path| path.to_string_lossy().contains("libonnxruntime.so"))
}

/// A policy that names its model and asks for no floor.
pub fn with_model(id: &str) -> Policy {
    Policy { model: Some(id.to_owned()), floors: Floors::NONE, ..Policy::default() }
}

/// Pseudo-random numbers, the same every time (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// In -1..1.
    pub fn signed(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

/// What a synthetic picture looks like.
#[derive(Clone, Copy)]
pub struct Look {
    pub width: u32,
    pub height: u32,
    pub channels: u8,
    /// Amplitude of white noise, as a share of the range.
    pub noise: f64,
    pub seed: u64,
}

impl Look {
    pub fn grey(width: u32, height: u32) -> Self {
        Self { width, height, channels: 1, noise: 0.04, seed: 1 }
    }

    pub fn colour(width: u32, height: u32) -> Self {
        Self { channels: 3, ..Self::grey(width, height) }
    }

    /// Smooth waves with noise, planar, within `low..=high`.
    pub fn samples(self, low: i32, high: i32) -> Vec<i32> {
        let mut random = Random::new(self.seed);
        let mut samples = Vec::new();
        for channel in 0..self.channels {
            let phase = f64::from(channel) + self.seed as f64;
            for y in 0..self.height {
                for x in 0..self.width {
                    let (x, y) = (f64::from(x) / 19.0, f64::from(y) / 23.0);
                    let wave = 0.5 + 0.2 * (x + phase).sin() + 0.2 * (y - phase).cos();
                    let value = wave + self.noise * random.signed();
                    let span = f64::from(high) - f64::from(low);
                    samples.push(low + (value.clamp(0.0, 1.0) * span).round() as i32);
                }
            }
        }
        samples
    }

    pub fn png8(self) -> Vec<u8> {
        let samples = self.samples(0, 255);
        png(self.width, self.height, self.channels, 8, &samples)
    }

    pub fn png16(self) -> Vec<u8> {
        let samples = self.samples(900, 61_234);
        png(self.width, self.height, self.channels, 16, &samples)
    }
}

/// A PNG of planar samples.
pub fn png(width: u32, height: u32, channels: u8, bits: u8, samples: &[i32]) -> Vec<u8> {
    let area = (width * height) as usize;
    let mut data = Vec::new();
    for pixel in 0..area {
        for channel in 0..usize::from(channels) {
            let sample = samples[channel * area + pixel] as u16;
            match bits {
                8 => data.push(sample as u8),
                _ => data.extend_from_slice(&sample.to_be_bytes()),
            }
        }
    }
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(if channels == 3 { png::ColorType::Rgb } else { png::ColorType::Grayscale });
    encoder.set_depth(if bits == 8 { png::BitDepth::Eight } else { png::BitDepth::Sixteen });
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&data).unwrap();
    writer.finish().unwrap();
    file
}

/// A grey multi-frame DICOM file in Explicit VR Little Endian, 16 bits allocated (PS3.10, PS3.5
/// section 7.1.2).
pub struct Dicom {
    pub width: u16,
    pub height: u16,
    pub frames: u32,
    pub bits: u16,
    pub signed: bool,
    pub modality: &'static str,
    pub body_part: &'static str,
    pub transfer_syntax: &'static str,
    pub samples: Vec<i32>,
}

impl Dicom {
    pub const SOP_INSTANCE_UID: &'static str = "2.25.77777";

    pub fn new(width: u16, height: u16, frames: u32, bits: u16, signed: bool, samples: Vec<i32>) -> Self {
        let (modality, body_part, transfer_syntax) = ("OT", "", "1.2.840.10008.1.2.1");
        Self { width, height, frames, bits, signed, modality, body_part, transfer_syntax, samples }
    }

    pub fn file(&self) -> Vec<u8> {
        let uid = |text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            bytes.resize(bytes.len().next_multiple_of(2), 0);
            bytes
        };
        let text = |text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            bytes.resize(bytes.len().next_multiple_of(2), b' ');
            bytes
        };
        let sop_class = "1.2.840.10008.5.1.4.1.1.7.3";
        let mut meta = Vec::new();
        element(&mut meta, 2, 1, b"OB", &[0, 1]);
        element(&mut meta, 2, 2, b"UI", &uid(sop_class));
        element(&mut meta, 2, 3, b"UI", &uid(Self::SOP_INSTANCE_UID));
        element(&mut meta, 2, 0x10, b"UI", &uid(self.transfer_syntax));
        element(&mut meta, 2, 0x12, b"UI", &uid("2.25.1"));
        let mut file = vec![0; 128];
        file.extend_from_slice(b"DICM");
        element(&mut file, 2, 0, b"UL", &(meta.len() as u32).to_le_bytes());
        file.extend_from_slice(&meta);
        element(&mut file, 8, 0x16, b"UI", &uid(sop_class));
        element(&mut file, 8, 0x18, b"UI", &uid(Self::SOP_INSTANCE_UID));
        element(&mut file, 8, 0x60, b"CS", &text(self.modality));
        element(&mut file, 0x18, 0x15, b"CS", &text(self.body_part));
        element(&mut file, 0x20, 0xd, b"UI", &uid("2.25.2"));
        element(&mut file, 0x20, 0xe, b"UI", &uid("2.25.3"));
        element(&mut file, 0x28, 2, b"US", &1_u16.to_le_bytes());
        element(&mut file, 0x28, 4, b"CS", &text("MONOCHROME2"));
        element(&mut file, 0x28, 8, b"IS", &text(&self.frames.to_string()));
        element(&mut file, 0x28, 0x10, b"US", &self.height.to_le_bytes());
        element(&mut file, 0x28, 0x11, b"US", &self.width.to_le_bytes());
        element(&mut file, 0x28, 0x100, b"US", &16_u16.to_le_bytes());
        element(&mut file, 0x28, 0x101, b"US", &self.bits.to_le_bytes());
        element(&mut file, 0x28, 0x102, b"US", &(self.bits - 1).to_le_bytes());
        element(&mut file, 0x28, 0x103, b"US", &u16::from(self.signed).to_le_bytes());
        let pixels: Vec<u8> = self.samples.iter().flat_map(|sample| (*sample as u16).to_le_bytes()).collect();
        element(&mut file, 0x7fe0, 0x10, b"OW", &pixels);
        file
    }
}

fn element(out: &mut Vec<u8>, group: u16, element: u16, vr: &[u8; 2], value: &[u8]) {
    out.extend_from_slice(&group.to_le_bytes());
    out.extend_from_slice(&element.to_le_bytes());
    out.extend_from_slice(vr);
    if matches!(vr, b"OB" | b"OW") {
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&(value.len() as u32).to_le_bytes());
    } else {
        out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    }
    out.extend_from_slice(value);
}

/// Copies the files of a model folder.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

pub fn shape(pixels: &PixelTensor) -> (u32, u32, u8, u32, u8, bool) {
    (pixels.width, pixels.height, pixels.channels, pixels.frames, pixels.bits, pixels.signed)
}
