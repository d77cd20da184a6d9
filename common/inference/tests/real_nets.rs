//! Real nets on the real ONNX Runtime: tiles, odd sizes, and nets that are not what they should be.
//!
//! The nets are written by `tests/nets/make_nets.py`; the library is the one that `scripts/fetch-onnxruntime.sh` brings.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::path::{Path, PathBuf};

use latentwire_inference::{
    DecoderNet, EncoderNet, Geometry, InferenceError, LatentTensor, OutputKind, Planes, Runtime,
    SessionOptions, Window,
};

/// The receptive fields of the test nets are 5 pixels at most; see `make_nets.py`.
const HALO: u32 = 8;
const SIZES: [(u32, u32); 10] =
    [(1, 1), (1, 37), (2, 1), (3, 3), (31, 33), (32, 32), (33, 64), (65, 31), (100, 70), (129, 97)];

fn runtime() -> Runtime {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.onnxruntime/libonnxruntime.so.1.31.1");
    let library = if library.is_file() { Some(library) } else { None };
    Runtime::load(library.as_deref()).unwrap_or_else(|error| panic!("{error}"))
}

fn net(file: &str) -> Vec<u8> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "nets", file].iter().collect();
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn geometry(tile: u32) -> Geometry {
    Geometry {
        stride: 2,
        pixel_channels: 3,
        latent_channels: 3,
        tile,
        encoder_halo: HALO,
        decoder_halo: HALO,
        whole: false,
    }
}

fn encoder(file: &str, tile: u32) -> Result<EncoderNet, InferenceError> {
    EncoderNet::new(&runtime(), &net(file), geometry(tile), &SessionOptions::default())
}

fn decoder(file: &str, tile: u32, output: OutputKind) -> Result<DecoderNet, InferenceError> {
    DecoderNet::new(&runtime(), &net(file), geometry(tile), &SessionOptions::default(), output)
}

/// A picture without symmetries; edges repeat beyond it.
fn pixel(channel: u32, x: i64, y: i64, width: u32, height: u32) -> f32 {
    let (x, y) = (x.clamp(0, i64::from(width) - 1) as u32, y.clamp(0, i64::from(height) - 1) as u32);
    let hash = x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77) ^ channel.wrapping_mul(0xC2B2_AE3D);
    (hash.wrapping_mul(0x27D4_EB2F) >> 8) as f32 / (1 << 24) as f32
}

fn encode(encoder: &EncoderNet, width: u32, height: u32) -> LatentTensor {
    encoder
        .encode(width, height, &mut |window, planes| {
            assert_eq!(planes.len(), 3 * (window.width * window.height) as usize);
            assert!(
                window.x >= 0 && window.x + i64::from(window.width) <= i64::from(width.next_multiple_of(2))
            );
            assert!(
                window.y >= 0 && window.y + i64::from(window.height) <= i64::from(height.next_multiple_of(2))
            );
            let mut planes = planes.iter_mut();
            for channel in 0..3 {
                for y in window.y..window.y + i64::from(window.height) {
                    for x in window.x..window.x + i64::from(window.width) {
                        *planes.next().unwrap() = pixel(channel, x, y, width, height);
                    }
                }
            }
        })
        .unwrap()
}

/// The whole picture, planar; each pixel must be emitted exactly once.
fn decode<T: Copy + Default + PartialEq>(
    decoder: &DecoderNet,
    width: u32,
    height: u32,
    latent: &LatentTensor,
    values: fn(Planes<'_>) -> &[T],
) -> Vec<T> {
    let (w, h) = (width as usize, height as usize);
    let mut picture = vec![T::default(); 3 * w * h];
    let mut covered = vec![0_u8; w * h];
    let mut place = |window: Window, planes: Planes<'_>| {
        let (x0, y0) = (window.x as usize, window.y as usize);
        let (columns, rows) = (window.width as usize, window.height as usize);
        let values = values(planes);
        assert_eq!(values.len(), 3 * columns * rows);
        for (row, values) in values.chunks_exact(columns).enumerate() {
            let (channel, y) = (row / rows, y0 + row % rows);
            let start = (channel * h + y) * w + x0;
            picture[start..start + columns].copy_from_slice(values);
            if channel == 0 {
                covered[y * w + x0..][..columns].iter_mut().for_each(|times| *times += 1);
            }
        }
    };
    decoder.decode(width, height, latent, &mut place).unwrap();
    assert!(covered.iter().all(|&times| times == 1));
    picture
}

fn floats(planes: Planes<'_>) -> &[f32] {
    match planes {
        Planes::Float32(values) => values,
        Planes::Int32(_) => panic!("float32 expected"),
    }
}

fn integers(planes: Planes<'_>) -> &[i32] {
    match planes {
        Planes::Int32(values) => values,
        Planes::Float32(_) => panic!("int32 expected"),
    }
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn tiled_and_untiled_encoders_agree() {
    let (whole, tiled) = (encoder("encoder.onnx", 1024).unwrap(), encoder("encoder.onnx", 32).unwrap());
    for (width, height) in SIZES {
        let (whole, tiled) = (encode(&whole, width, height), encode(&tiled, width, height));
        assert_eq!((tiled.width, tiled.height), (width.div_ceil(2), height.div_ceil(2)));
        let difference = largest_difference(&whole.values, &tiled.values);
        assert!(difference <= 1e-5, "{width} x {height}: {difference}");
    }
}

#[test]
fn tiled_and_untiled_decoders_agree() {
    let kind = OutputKind::Float32;
    let (whole, tiled) =
        (decoder("decoder.onnx", 1024, kind).unwrap(), decoder("decoder.onnx", 32, kind).unwrap());
    let encoder = encoder("encoder.onnx", 1024).unwrap();
    for (width, height) in SIZES {
        let latent = encode(&encoder, width, height);
        let whole = decode(&whole, width, height, &latent, floats);
        let tiled = decode(&tiled, width, height, &latent, floats);
        let difference = largest_difference(&whole, &tiled);
        assert!(difference <= 1e-5, "{width} x {height}: {difference}");
    }
}

#[test]
fn a_halo_that_is_too_small_shows() {
    // Else the two tests above would pass with nets that look at single pixels only.
    let narrow = Geometry { encoder_halo: 0, decoder_halo: 0, ..geometry(32) };
    let options = SessionOptions::default();
    let tiled = EncoderNet::new(&runtime(), &net("encoder.onnx"), narrow, &options).unwrap();
    let whole = encoder("encoder.onnx", 1024).unwrap();
    let latent = encode(&whole, 100, 70);
    assert!(largest_difference(&latent.values, &encode(&tiled, 100, 70).values) > 1e-3);
    let tiled =
        DecoderNet::new(&runtime(), &net("decoder.onnx"), narrow, &options, OutputKind::Float32).unwrap();
    let whole = decoder("decoder.onnx", 1024, OutputKind::Float32).unwrap();
    let (whole, tiled) = (decode(&whole, 100, 70, &latent, floats), decode(&tiled, 100, 70, &latent, floats));
    assert!(largest_difference(&whole, &tiled) > 1e-3);
}

/// Of `whole_encoder.onnx` and `whole_decoder.onnx`: tiles of 32x32 pixels and 16x16 latents, no other.
fn whole_geometry() -> Geometry {
    Geometry { latent_channels: 1, encoder_halo: 0, decoder_halo: 0, whole: true, ..geometry(32) }
}

#[test]
fn nets_of_one_size_take_pictures_of_any_size_in_whole_tiles() {
    let options = SessionOptions::default();
    let encoder =
        EncoderNet::new(&runtime(), &net("whole_encoder.onnx"), whole_geometry(), &options).unwrap();
    let kind = OutputKind::Float32;
    let decoder =
        DecoderNet::new(&runtime(), &net("whole_decoder.onnx"), whole_geometry(), &options, kind).unwrap();
    for (width, height) in SIZES {
        // Blocks of 2x2 pixels, which these nets give back; odd edges go on as `encode` must be asked to fill them.
        let value = |x: i64, y: i64| {
            let (x, y) = (x.clamp(0, i64::from(width) - 1), y.clamp(0, i64::from(height) - 1));
            pixel(0, x / 2, y / 2, width, height)
        };
        let mut windows = 0;
        let latent = encoder.encode(width, height, &mut |window, planes| {
            assert_eq!((window.width, window.height, planes.len()), (32, 32, 3 * 32 * 32));
            windows += 1;
            for (at, plane) in planes.iter_mut().enumerate() {
                let (x, y) = ((at % 32) as i64, (at / 32 % 32) as i64);
                *plane = value(window.x + x, window.y + y);
            }
        });
        let latent = latent.unwrap();
        assert_eq!(windows, width.div_ceil(32) * height.div_ceil(32), "{width} x {height}");
        assert_eq!((latent.width, latent.height), (width.div_ceil(32) * 16, height.div_ceil(32) * 16));
        let picture = decode(&decoder, width, height, &latent, floats);
        let (columns, lines) = (width as usize, height as usize);
        for (at, found) in picture.iter().enumerate() {
            let (x, y) = ((at % columns) as i64, (at / columns % lines) as i64);
            assert!((found - value(x, y)).abs() < 1e-4, "{width} x {height} at {x}, {y}");
        }

        let short = LatentTensor { width: width.div_ceil(2), height: height.div_ceil(2), ..latent };
        if short.width != width.div_ceil(32) * 16 {
            let result = decoder.decode(width, height, &short, &mut |_, _| {});
            assert!(matches!(result, Err(InferenceError::Shape { net: "decoder", .. })), "{result:?}");
        }
    }
}

#[test]
fn nets_of_one_size_are_refused_where_the_manifest_says_another() {
    let options = SessionOptions::default();
    let larger = Geometry { tile: 64, ..whole_geometry() };
    let cut = Geometry { whole: false, ..whole_geometry() };
    for geometry in [larger, cut] {
        let result = EncoderNet::new(&runtime(), &net("whole_encoder.onnx"), geometry, &options);
        assert!(matches!(result, Err(InferenceError::Shape { net: "encoder", .. })), "{result:?}");
        let kind = OutputKind::Float32;
        let result = DecoderNet::new(&runtime(), &net("whole_decoder.onnx"), geometry, &options, kind);
        assert!(matches!(result, Err(InferenceError::Shape { net: "decoder", .. })), "{result:?}");
    }
    // A net that takes any size may be given whole tiles.
    let free = Geometry { latent_channels: 3, ..whole_geometry() };
    assert!(EncoderNet::new(&runtime(), &net("encoder.onnx"), free, &options).is_ok());
}

#[test]
fn int32_output_is_the_fixed_point_of_float32_output() {
    let latent = encode(&encoder("encoder.onnx", 1024).unwrap(), 65, 47);
    let float = decoder("decoder.onnx", 32, OutputKind::Float32).unwrap();
    let fixed = decoder("decoder_int32.onnx", 32, OutputKind::Int32 { shift: 12 }).unwrap();
    let (float, fixed) = (decode(&float, 65, 47, &latent, floats), decode(&fixed, 65, 47, &latent, integers));
    for (float, fixed) in float.iter().zip(fixed) {
        assert!((float * 4096.0 - fixed as f32).abs() <= 1.0, "{float} {fixed}");
    }
}

#[test]
fn more_threads_and_more_sessions_give_the_same_bits() {
    let one = encode(&encoder("encoder.onnx", 64).unwrap(), 100, 70);
    let options = SessionOptions { pool: 2, threads: 2 };
    let shared = EncoderNet::new(&runtime(), &net("encoder.onnx"), geometry(64), &options).unwrap();
    std::thread::scope(|scope| {
        let users: Vec<_> = (0..4).map(|_| scope.spawn(|| encode(&shared, 100, 70))).collect();
        for user in users {
            assert_eq!(user.join().unwrap(), one);
        }
    });
}

#[test]
fn a_net_that_gives_nan_is_refused_and_the_session_stays_usable() {
    // Both nets divide by what they are given, at stride 1.
    let geometry = Geometry { stride: 1, ..geometry(64) };
    let options = SessionOptions::default();
    let encoder = EncoderNet::new(&runtime(), &net("divides_encoder.onnx"), geometry, &options).unwrap();
    let decoder =
        DecoderNet::new(&runtime(), &net("divides_decoder.onnx"), geometry, &options, OutputKind::Float32)
            .unwrap();
    for _ in 0..3 {
        let result = encoder.encode(5, 3, &mut |_, planes| planes.fill(0.0));
        assert!(matches!(result, Err(InferenceError::NotFinite { net: "encoder" })), "{result:?}");
    }
    let latent = encoder.encode(5, 3, &mut |_, planes| planes.fill(0.5)).unwrap();
    assert_eq!(latent.values, [1.0; 45]);

    let zeros = LatentTensor { values: vec![0.0; 45], ..latent.clone() };
    let result = decoder.decode(5, 3, &zeros, &mut |_, _| panic!("nothing may be emitted"));
    assert!(matches!(result, Err(InferenceError::NotFinite { net: "decoder" })), "{result:?}");
    assert!(decoder.decode(5, 3, &latent, &mut |_, _| {}).is_ok());

    let infinite = LatentTensor { values: vec![f32::INFINITY; 45], ..latent };
    let result = decoder.decode(5, 3, &infinite, &mut |_, _| {});
    assert!(matches!(result, Err(InferenceError::NotFinite { .. })), "{result:?}");
}

#[test]
fn nets_that_are_not_what_the_manifest_says_are_refused_at_load() {
    for file in [
        "decoder.onnx",
        "encoder_stride1.onnx",
        "encoder_hides_channels.onnx",
        "encoder_four_channels.onnx",
        "encoder_fixed_size.onnx",
        "encoder_other_name.onnx",
        "encoder_transposes.onnx",
    ] {
        let result = encoder(file, 64);
        assert!(matches!(result, Err(InferenceError::Shape { net: "encoder", .. })), "{file}: {result:?}");
    }
    for (file, output) in [
        ("encoder.onnx", OutputKind::Float32),
        ("decoder.onnx", OutputKind::Int32 { shift: 12 }),
        ("decoder_int32.onnx", OutputKind::Float32),
    ] {
        let result = decoder(file, 64, output);
        assert!(matches!(result, Err(InferenceError::Shape { net: "decoder", .. })), "{file}: {result:?}");
    }
    let stride4 = Geometry { stride: 4, ..geometry(64) };
    let result = EncoderNet::new(&runtime(), &net("encoder.onnx"), stride4, &SessionOptions::default());
    assert!(matches!(result, Err(InferenceError::Shape { .. })), "{result:?}");
}

#[test]
fn bytes_that_are_no_model_are_an_error() {
    let whole = net("encoder.onnx");
    let mut broken = whole.clone();
    broken[100..140].fill(0xFF);
    for bytes in [&b""[..], b"not a model", &whole[..whole.len() / 2], &broken, &[0xFF; 64]] {
        let result = EncoderNet::new(&runtime(), bytes, geometry(64), &SessionOptions::default());
        assert!(matches!(result, Err(InferenceError::Load { net: "encoder", .. })), "{result:?}");
    }
}

#[test]
fn wrong_pictures_and_latents_are_refused() {
    let encoder = encoder("encoder.onnx", 64).unwrap();
    let decoder = decoder("decoder.onnx", 64, OutputKind::Float32).unwrap();
    for (width, height) in [(0, 5), (5, 0), (0, 0)] {
        let result = encoder.encode(width, height, &mut |_, _| {});
        assert!(matches!(result, Err(InferenceError::ZeroSize)), "{result:?}");
    }
    let result = encoder.encode(70_000, 1, &mut |_, _| {});
    assert!(matches!(result, Err(InferenceError::TooLarge { .. })), "{result:?}");

    let good = encode(&encoder, 9, 7);
    for latent in [
        LatentTensor { channels: 4, ..good.clone() },
        LatentTensor { height: 5, ..good.clone() },
        LatentTensor { width: 4, height: 5, ..good.clone() },
        LatentTensor { values: good.values[1..].to_vec(), ..good.clone() },
    ] {
        let result = decoder.decode(9, 7, &latent, &mut |_, _| {});
        assert!(matches!(result, Err(InferenceError::Shape { net: "decoder", .. })), "{result:?}");
    }
    assert!(decoder.decode(9, 7, &good, &mut |_, _| {}).is_ok());
    assert!(matches!(decoder.decode(9, 0, &good, &mut |_, _| {}), Err(InferenceError::ZeroSize)));
}

#[test]
fn a_panic_while_filling_leaves_the_net_usable() {
    let encoder = encoder("encoder.onnx", 64).unwrap();
    let panicked = std::thread::scope(|scope| {
        scope.spawn(|| encoder.encode(9, 7, &mut |_, _| panic!("on purpose"))).join().is_err()
    });
    assert!(panicked);
    encode(&encoder, 9, 7);
}

#[test]
fn the_version_is_the_libraries_own() {
    assert_eq!(runtime().version(), "1.31.1");
}
