//! CPU time of each step of a latent journey, ONNX Runtime and file codecs apart.
//!
//! ```text
//! cargo run --profile ci -p latentwire-codec --example journey_cost -- MODELS MODEL_ID PICTURE [ROUNDS]
//! ```
//!
//! Sessions run on the calling thread, so that thread's CPU time is the journey's. The whole of
//! `prepare` and `restore` is measured, then ONNX Runtime and the file codecs alone on the same
//! picture; what is left is ours. The share asked for is at most 25 % at 512x512. Linux only: the
//! times come from `/proc/thread-self/schedstat`.

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::path::Path;

use latentwire_codec::imaging::{self, Limits, LossyStep};
use latentwire_codec::model::{ModelFolder, Parts, Quantiser, find};
use latentwire_codec::{BelowFloor, Codec, CodecConfig, Mode, Policy, SessionOptions};
use latentwire_inference::{DecoderNet, EncoderNet, Geometry, Runtime};
use latentwire_latent::{Tables, decode, dequantise, encode, quantise};
use sha2::{Digest, Sha256};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [models, model, picture, rest @ ..] = &arguments[..] else {
        return Err("usage: journey_cost MODELS MODEL_ID PICTURE [ROUNDS]".into());
    };
    let rounds = rest.first().map_or(Ok(10), |text| text.parse())?;
    let measured = Journey::load(Path::new(models), model, &fs::read(picture)?)?.measure(rounds)?;
    measured.print();
    Ok(())
}

/// Everything that a measurement needs, loaded once.
struct Journey {
    codec: Codec,
    policy: Policy,
    source: Vec<u8>,
    folder: ModelFolder,
    encoder: EncoderNet,
    decoder: DecoderNet,
}

impl Journey {
    fn load(models: &Path, id: &str, source: &[u8]) -> Result<Self, Box<dyn Error>> {
        let parts = Parts { encoder: true, decoder: true };
        let sessions = SessionOptions { pool: 1, threads: 1 };
        let mut folders = find(models)?.into_iter().map(|path| ModelFolder::read(&path, parts));
        let folder = folders.find(|folder| folder.as_ref().map_or(true, |folder| folder.id == id));
        let folder = folder.ok_or("no such model")??;
        let runtime = Runtime::load(None)?;
        let geometry = Geometry::from(&folder.decode);
        let onnx = |bytes: &Option<Vec<u8>>| bytes.clone().ok_or("half of the model is missing");
        let encoder = EncoderNet::new(&runtime, &onnx(&folder.encoder)?, geometry, &sessions)?;
        let output = folder.decode.decoder.output;
        let decoder = DecoderNet::new(&runtime, &onnx(&folder.decoder)?, geometry, &sessions, output)?;
        let pins = Some(vec![folder.digest]);
        let (models, limits) = (models.to_owned(), Limits::default());
        let codec =
            Codec::load(&CodecConfig { models, pins, research: true, parts, sessions, dylib: None, limits })?;
        let policy =
            Policy { model: Some(id.to_owned()), below_floor: BelowFloor::SendMarked, ..Policy::default() };
        Ok(Self { codec, policy, source: source.to_vec(), folder, encoder, decoder })
    }

    fn measure(&self, rounds: u32) -> Result<Costs, Box<dyn Error>> {
        let clock = Clock { rounds };
        let prepared = self.codec.prepare(&self.source, &self.policy)?;
        if prepared.report.mode != Mode::Latent {
            return Err("the picture travels exact".into());
        }
        let picture = imaging::read(&self.source, &Limits::default())?;
        let (pixels, coded) = (&picture.pixels, &prepared.coded);
        let reconstruction = prepared.reconstruction.as_ref().ok_or("nothing was measured")?;
        let (width, height, frames) = (pixels.width, pixels.height, pixels.frames);
        let latent = self.encoder.encode(width, height, &mut |_, planes| planes.fill(0.4))?;
        let spec = &self.folder.decode;
        let tables = Tables::parse(&self.folder.tables)?;
        let lossy = LossyStep {
            model: &self.folder.id,
            decoder_digest: self.folder.digest.0,
            ratio: 1.0,
            mark: None,
            sop_instance_uid: prepared.derived_sop_instance_uid.as_deref(),
        };

        let encode_net = clock.time(|| {
            for _ in 0..frames {
                self.encoder.encode(width, height, &mut |_, planes| planes.fill(0.4))?;
            }
            Ok(())
        })?;
        let decode_net = clock.time(|| {
            for _ in 0..frames {
                self.decoder.decode(width, height, &latent, &mut |_, _| ())?;
            }
            Ok(())
        })?;
        // The picture's own latent, to cost the coder on what it really codes.
        let range = pixels.data_range().max(1) as f32;
        let low = if pixels.bits == 8 { 0 } else { pixels.value_range().0 };
        let own = self.encoder.encode(width, height, &mut |window, planes| {
            let area = (window.width * window.height) as usize;
            for (index, value) in planes.iter_mut().enumerate() {
                let (plane, at) = (index / area, index % area);
                let x = (at as u32 % window.width + window.x as u32).min(width - 1);
                let y = (at as u32 / window.width + window.y as u32).min(height - 1);
                let plane = plane.min(usize::from(pixels.channels) - 1) as u8;
                *value = (pixels.plane(0, plane)[(y * width + x) as usize] - low) as f32 / range;
            }
        })?;
        let Quantiser::Uniform { steps } = &spec.latent.quantiser else {
            return Err("this example costs models with one step a channel".into());
        };
        let quantised = quantise(&own.values, own.channels, own.height, own.width, steps)?;
        let bytes = encode(&tables, &quantised)?;
        let frames = f64::from(frames);
        Ok(Costs {
            shape: format!("{width}x{height}, {frames} frame(s), {} channel(s)", pixels.channels),
            bits_per_pixel: coded.len() as f64 * 8.0 / (f64::from(width) * f64::from(height) * frames),
            prepare: clock.time(|| Ok(self.codec.prepare(&self.source, &self.policy)?))?,
            restore: clock.time(|| Ok(self.codec.restore(coded)?))?,
            encode_net,
            decode_net,
            read: clock.time(|| Ok(imaging::read(&self.source, &Limits::default())?))?,
            rebuild: clock
                .time(|| Ok(imaging::rebuild(picture.format, &picture.container, reconstruction, &lossy)?))?,
            hash_file: clock.time(|| Ok(Sha256::digest(&self.source)))?,
            hash_pixels: clock.time(|| Ok(reconstruction.sha256()))?,
            quantise: frames
                * clock.time(|| Ok(quantise(&own.values, own.channels, own.height, own.width, steps)?))?,
            entropy_encode: frames * clock.time(|| Ok(encode(&tables, &quantised)?))?,
            entropy_decode: frames
                * clock.time(|| {
                    let quantised = decode(&tables, own.channels, own.height, own.width, &bytes)?;
                    Ok(dequantise(&quantised, steps)?)
                })?,
            measure: clock.time(|| Ok(imaging::measure(pixels, reconstruction)?))?,
        })
    }
}

/// CPU milliseconds a journey.
struct Costs {
    shape: String,
    bits_per_pixel: f64,
    prepare: f64,
    restore: f64,
    encode_net: f64,
    decode_net: f64,
    read: f64,
    rebuild: f64,
    hash_file: f64,
    hash_pixels: f64,
    quantise: f64,
    entropy_encode: f64,
    entropy_decode: f64,
    measure: f64,
}

impl Costs {
    fn print(&self) {
        let total = self.prepare + self.restore;
        let nets = self.encode_net + 2.0 * self.decode_net;
        let files = self.read + self.rebuild;
        let ours = total - nets - files;
        let named = self.hash_file
            + 2.0 * self.hash_pixels
            + self.quantise
            + self.entropy_encode
            + 2.0 * self.entropy_decode
            + self.measure;
        let row =
            |name: &str, value: f64| println!("{name:<44}{value:>9.2} ms {:>6.1} %", 100.0 * value / total);
        println!("{}, {:.3} bits a pixel; CPU time of one thread", self.shape, self.bits_per_pixel);
        row("prepare (sender, measured)", self.prepare);
        row("restore (receiver)", self.restore);
        println!();
        row("ONNX Runtime, encoder once", self.encode_net);
        row("ONNX Runtime, decoder twice", 2.0 * self.decode_net);
        row("file codec, read", self.read);
        row("file codec, rebuild", self.rebuild);
        row("SHA-256 of the file", self.hash_file);
        row("SHA-256 of the reconstruction, twice", 2.0 * self.hash_pixels);
        row("quantise", self.quantise);
        row("entropy-encode", self.entropy_encode);
        row("entropy-decode and dequantise, twice", 2.0 * self.entropy_decode);
        row("measure", self.measure);
        row("the rest: normalise, store, tiles, copies", ours - named);
        println!();
        row("all but ONNX Runtime and file codecs", ours);
    }
}

/// Mean CPU time of this thread over some rounds.
struct Clock {
    rounds: u32,
}

impl Clock {
    fn time<T>(&self, mut step: impl FnMut() -> Result<T, Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
        black_box(step()?);
        let start = cpu_nanoseconds()?;
        for _ in 0..self.rounds {
            black_box(step()?);
        }
        Ok((cpu_nanoseconds()? - start) as f64 / 1e6 / f64::from(self.rounds))
    }
}

/// CPU time of this thread so far. The kernel brings its figure up to date when the thread yields.
fn cpu_nanoseconds() -> Result<u64, Box<dyn Error>> {
    std::thread::yield_now();
    let statistics = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(statistics.split_whitespace().next().ok_or("no scheduler statistics")?.parse()?)
}
