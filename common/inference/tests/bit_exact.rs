//! A decoder of integers alone gives the same bits in tiles and whole, on one thread and on two, and what it is certified
//! to give.
//!
//! The net is that of the codec's `levels-chest` (`common/codec/tests/models/rd.py`): the form of the `rd` family.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::path::Path;

use latentwire_inference::{
    DecoderNet, Geometry, InferenceError, LatentTensor, Planes, Runtime, SessionOptions, fixed_latent,
};
use latentwire_model::{CheckSpec, FileDigest, ModelFolder, Parts};

fn model() -> ModelFolder {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../codec/tests/models/levels/levels-chest");
    ModelFolder::read(&folder, Parts { encoder: false, decoder: true }).unwrap()
}

fn decoder(tile: u32, threads: usize) -> DecoderNet {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.onnxruntime/libonnxruntime.so.1.31.1");
    let runtime = Runtime::load(library.is_file().then_some(&library).map(AsRef::as_ref)).unwrap();
    let model = model();
    let geometry = Geometry { tile, ..Geometry::from(&model.decode) };
    let options = SessionOptions { pool: 1, threads };
    let output = model.decode.decoder.output;
    DecoderNet::new(&runtime, &model.decoder.unwrap(), geometry, &options, output).unwrap()
}

/// The whole picture; each pixel must be emitted exactly once.
fn picture(decoder: &DecoderNet, width: u32, height: u32, latent: &LatentTensor) -> Vec<i32> {
    let mut picture = vec![i32::MIN; (width * height) as usize];
    let mut emitted = 0;
    let mut place = |window: latentwire_inference::Window, planes: Planes<'_>| {
        let Planes::Int32(values) = planes else { panic!("int32 expected") };
        emitted += values.len();
        for (y, row) in values.chunks_exact(window.width as usize).enumerate() {
            let start = (window.y as usize + y) * width as usize + window.x as usize;
            picture[start..start + row.len()].copy_from_slice(row);
        }
    };
    decoder.decode(width, height, latent, &mut place).unwrap();
    assert_eq!(emitted, picture.len());
    picture
}

/// Sides down to 16 pixels, odd ones, and some of several tiles of 64 pixels.
const SIZES: [(u32, u32); 9] =
    [(16, 16), (17, 33), (31, 100), (64, 64), (65, 63), (130, 250), (257, 16), (16, 257), (300, 211)];

#[test]
fn tiles_leave_no_seam() {
    let (whole, tiled) = (decoder(1024, 1), decoder(64, 1));
    for (width, height) in SIZES {
        let latent = fixed_latent(u64::from(width), 22, height.div_ceil(16), width.div_ceil(16));
        let (whole, tiled) =
            (picture(&whole, width, height, &latent), picture(&tiled, width, height, &latent));
        assert!(whole == tiled, "{width} x {height}");
    }
}

#[test]
fn a_halo_that_is_too_small_shows() {
    // Else the test above would pass with a net that looks at single blocks only.
    let mut model = model();
    model.decode.tiles.decoder_halo = 16;
    let geometry = Geometry { tile: 64, ..Geometry::from(&model.decode) };
    decoder(64, 1); // loads the library
    let runtime = Runtime::load(None).unwrap();
    let (onnx, output) = (model.decoder.unwrap(), model.decode.decoder.output);
    let narrow = DecoderNet::new(&runtime, &onnx, geometry, &SessionOptions::default(), output).unwrap();
    let latent = fixed_latent(5, 22, 14, 19);
    assert!(picture(&narrow, 300, 211, &latent) != picture(&decoder(1024, 1), 300, 211, &latent));
}

#[test]
fn one_thread_and_two_give_the_same_bits() {
    let (one, two) = (decoder(512, 1), decoder(512, 2));
    for seed in 0..60 {
        let (height, width) = (1 + seed as u32 % 12, 1 + seed as u32 * 5 % 13);
        let latent = fixed_latent(seed, 22, height, width);
        assert_eq!(one.output_sha256(&latent).unwrap(), two.output_sha256(&latent).unwrap(), "{seed}");
    }
}

#[test]
fn the_start_up_check_knows_its_own_bits_and_no_others() {
    let (decoder, check) = (decoder(512, 1), model().decode.decoder.check.unwrap());
    assert!(decoder.gives_what_it_should(&check).unwrap());
    for other in [
        CheckSpec { seed: 2, ..check.clone() },
        CheckSpec { width: check.width - 1, ..check.clone() },
        CheckSpec { sha256: FileDigest([7; 32]), ..check.clone() },
    ] {
        assert!(!decoder.gives_what_it_should(&other).unwrap());
    }
    let other = fixed_latent(1, 21, 8, 12);
    assert!(matches!(
        decoder.output_sha256(&other),
        Err(InferenceError::Run { .. } | InferenceError::Shape { .. })
    ));
}
