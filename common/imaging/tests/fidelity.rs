//! Fidelity figures against scikit-image (`make_ssim_reference.py`), and their corner cases.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod common;

use common::{distorted, original};
use latentwire_imaging::{ImagingError, PixelTensor, measure};

#[test]
fn figures_are_those_of_scikit_image() {
    let table = include_str!("ssim_reference.tsv");
    let mut cases = 0;
    for line in table.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let number = |index: usize| fields[index].parse::<i64>().unwrap();
        let figure = |index: usize| fields[index].parse::<f64>().unwrap();
        let (width, height) = (number(1) as u32, number(2) as u32);
        let (channels, bits) = (number(3) as u8, number(4) as u8);
        let a = original(width, height, channels, bits, number(5), number(6));
        let b = distorted(width, height, channels, bits, number(5), number(6));
        let measured = measure(&a, &b).unwrap();
        let near = |found: f64, expected: f64, tolerance: f64| (found - expected).abs() <= tolerance;
        // The task asks for 1e-4; sums of whole numbers do better.
        assert!(near(measured.ssim, figure(7), 1e-9), "{line}: {measured:?}");
        assert!(near(measured.min_local_ssim, figure(8), 1e-9), "{line}: {measured:?}");
        assert!(near(measured.psnr_db.unwrap(), figure(9), 1e-9), "{line}: {measured:?}");
        assert!(near(measured.mse, figure(10), 1e-11), "{line}: {measured:?}");
        assert_eq!(i64::from(measured.max_abs_error), number(11), "{line}");
        cases += 1;
    }
    assert_eq!(cases, 10);
}

#[test]
fn a_picture_is_like_itself() {
    for (channels, bits, largest) in [(1, 8, 255), (3, 8, 255), (1, 16, 65_535)] {
        let picture = original(40, 30, channels, bits, largest, 0);
        let measured = measure(&picture, &picture).unwrap();
        assert!((measured.ssim - 1.0).abs() < 1e-12 && (measured.min_local_ssim - 1.0).abs() < 1e-12);
        assert_eq!((measured.psnr_db, measured.mse, measured.max_abs_error), (None, 0.0, 0));
    }
}

#[test]
fn of_several_frames_the_worst_counts() {
    let (a, b) = (original(32, 32, 1, 8, 255, 0), distorted(32, 32, 1, 8, 255, 0));
    let join = |first: &PixelTensor, second: &PixelTensor| {
        let samples = [first.samples.as_slice(), &second.samples].concat();
        PixelTensor { frames: 2, samples, ..first.clone() }
    };
    let single = measure(&a, &b).unwrap();
    assert_eq!(measure(&join(&a, &a), &join(&a, &b)).unwrap(), single);
    assert_eq!(measure(&join(&a, &a), &join(&b, &a)).unwrap(), single);
    assert!(single.ssim < 0.99);
}

#[test]
fn damage_in_one_place_shows_in_the_local_figure() {
    let a = original(256, 256, 1, 8, 255, 0);
    let mut b = a.clone();
    for y in 200..230 {
        b.samples[y * 256 + 10..y * 256 + 40].fill(0);
    }
    let measured = measure(&a, &b).unwrap();
    assert!(measured.ssim > 0.95, "{measured:?}");
    assert!(measured.min_local_ssim < 0.8, "{measured:?}");
}

#[test]
fn extremes_stay_finite() {
    let flat = |bits, value| PixelTensor {
        width: 9,
        height: 8,
        channels: 1,
        frames: 1,
        bits,
        signed: false,
        samples: vec![value; 72],
    };
    let measured = measure(&flat(8, 0), &flat(8, 255)).unwrap();
    assert!(measured.ssim < 0.01 && measured.ssim.is_finite());
    assert_eq!((measured.mse, measured.psnr_db, measured.max_abs_error), (1.0, Some(0.0), 255));
    // A 16-bit picture of one value has no range of its own; it counts as 1.
    let measured = measure(&flat(16, 65_535), &flat(16, 65_535)).unwrap();
    assert_eq!((measured.ssim, measured.mse), (1.0, 0.0));
    let measured = measure(&flat(16, 65_535), &flat(16, 0)).unwrap();
    assert!(measured.ssim.is_finite() && measured.max_abs_error == 65_535);
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let picture = original(6, 40, 1, 8, 255, 0);
    assert!(matches!(
        measure(&picture, &picture),
        Err(ImagingError::TooSmall { width: 6, height: 40, minimum: 7, .. })
    ));
    let a = original(20, 20, 1, 8, 255, 0);
    for b in [original(20, 21, 1, 8, 255, 0), original(20, 20, 3, 8, 255, 0)] {
        assert_eq!(measure(&a, &b), Err(ImagingError::ShapeMismatch));
    }
    let short = PixelTensor { samples: a.samples[1..].to_vec(), ..a.clone() };
    assert_eq!(measure(&a, &short), Err(ImagingError::ShapeMismatch));
}
