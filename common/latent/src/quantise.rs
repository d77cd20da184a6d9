//! Uniform scalar quantisation, one step a channel.

use crate::error::LatentError;

/// Largest magnitude of a quantised value.
pub const MAX_SYMBOL: i32 = 32_767;

/// A latent of integers ŷ, planar: index = `(channel * height + y) * width + x`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuantisedLatent {
    /// Number of channels, 1 to 255.
    pub channels: u8,
    /// Rows of a channel.
    pub height: u32,
    /// Columns of a channel.
    pub width: u32,
    /// `channels * height * width` values, each within ±[`MAX_SYMBOL`].
    pub values: Vec<i32>,
}

/// Quantises a planar latent: `q = round_half_even(value / step)`, saturated at ±[`MAX_SYMBOL`].
///
/// Division and rounding are IEEE 754 `f32` operations, so every machine gets the same integers from the same values.
/// Shapes: `values` is `[channels, height, width]`, `steps` is `[channels]`.
///
/// # Errors
/// [`LatentError::NotFinite`] for NaN or infinite values, [`LatentError::Shape`] when lengths do not fit,
/// [`LatentError::Step`] when a step is not a positive finite number.
pub fn quantise(
    values: &[f32],
    channels: u8,
    height: u32,
    width: u32,
    steps: &[f32],
) -> Result<QuantisedLatent, LatentError> {
    let plane = plane_length(values.len(), channels, height, width)?;
    check_steps(channels, steps)?;
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        return Err(LatentError::NotFinite { index });
    }
    let mut quantised = Vec::with_capacity(values.len());
    for (plane, &step) in values.chunks_exact(plane).zip(steps) {
        // A quotient that overflows to infinity saturates like any other large one: `as` on floats saturates.
        quantised.extend(
            plane
                .iter()
                .map(|value| ((value / step).round_ties_even() as i32).clamp(-MAX_SYMBOL, MAX_SYMBOL)),
        );
    }
    Ok(QuantisedLatent { channels, height, width, values: quantised })
}

/// Values of a quantised latent: `q as f32 * step`, exactly one multiplication each.
///
/// `q` is an exact `f32` (|q| < 2^24), so the product is correctly rounded and the same on every machine.
///
/// # Errors
/// [`LatentError::Shape`] when lengths do not fit, [`LatentError::Step`] when a step is not a positive finite number.
pub fn dequantise(latent: &QuantisedLatent, steps: &[f32]) -> Result<Vec<f32>, LatentError> {
    let plane = plane_length(latent.values.len(), latent.channels, latent.height, latent.width)?;
    check_steps(latent.channels, steps)?;
    let planes = latent.values.chunks_exact(plane).zip(steps);
    Ok(planes.flat_map(|(plane, &step)| plane.iter().map(move |&q| q as f32 * step)).collect())
}

/// Values in a plane, if `length` values make up `[channels, height, width]` and no side is zero.
pub(crate) fn plane_length(
    length: usize,
    channels: u8,
    height: u32,
    width: u32,
) -> Result<usize, LatentError> {
    let shape = u64::from(channels).checked_mul(u64::from(height) * u64::from(width));
    if channels == 0 || height == 0 || width == 0 {
        return Err(LatentError::Shape { problem: "a side is zero".to_owned() });
    }
    if shape != Some(length as u64) {
        let problem = format!("{channels} x {height} x {width} does not make {length} values");
        return Err(LatentError::Shape { problem });
    }
    Ok(length / usize::from(channels))
}

fn check_steps(channels: u8, steps: &[f32]) -> Result<(), LatentError> {
    if steps.len() != usize::from(channels) {
        let problem = format!("{channels} channels, {} quantiser steps", steps.len());
        return Err(LatentError::Shape { problem });
    }
    match steps.iter().position(|step| !(step.is_finite() && *step > 0.0)) {
        Some(channel) => Err(LatentError::Step { channel }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn halves_go_to_even_and_large_values_saturate() {
        let values = [0.5, 1.5, -0.5, -1.5, 2.4999, 1e30, -1e30, f32::MAX];
        let q = quantise(&values, 1, 1, 8, &[1.0]).unwrap();
        assert_eq!(q.values, [0, 2, 0, -2, 2, MAX_SYMBOL, -MAX_SYMBOL, MAX_SYMBOL]);
        assert_eq!(quantise(&[f32::MAX], 1, 1, 1, &[1e-6]).unwrap().values, [MAX_SYMBOL]);
    }

    #[test]
    fn each_channel_has_its_own_step() {
        let q = quantise(&[1.0, 2.0, 1.0, 2.0], 2, 1, 2, &[1.0, 0.5]).unwrap();
        assert_eq!(q.values, [1, 2, 2, 4]);
        assert_eq!(dequantise(&q, &[1.0, 0.5]).unwrap(), [1.0, 2.0, 1.0, 2.0]);
    }

    #[test]
    fn unusable_values_steps_and_shapes_are_refused() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(quantise(&[0.0, bad], 1, 1, 2, &[1.0]), Err(LatentError::NotFinite { index: 1 }));
        }
        for bad in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert_eq!(quantise(&[0.0], 1, 1, 1, &[bad]), Err(LatentError::Step { channel: 0 }));
        }
        for (length, channels, height, width, steps) in [
            (3, 1, 2, 2, 1),
            (0, 1, 0, 4, 1),
            (0, 0, 2, 2, 0),
            (4, 1, 2, 2, 2),
            (4, 255, u32::MAX, u32::MAX, 1),
        ] {
            let result = quantise(&vec![0.0; length], channels, height, width, &vec![1.0; steps]);
            assert!(matches!(result, Err(LatentError::Shape { .. })), "{length} {channels} {height} {width}");
        }
        let torn = QuantisedLatent { channels: 2, height: 1, width: 1, values: vec![0; 3] };
        assert!(matches!(dequantise(&torn, &[1.0, 1.0]), Err(LatentError::Shape { .. })));
    }

    proptest! {
        #[test]
        fn the_error_is_at_most_half_a_step(values in prop::collection::vec(-300f32..300.0, 1..200), step in 0.01f32..10.0) {
            let width = values.len() as u32;
            let q = quantise(&values, 1, 1, width, &[step]).unwrap();
            for (value, restored) in values.iter().zip(dequantise(&q, &[step]).unwrap()) {
                let tolerance = 0.5 * step + value.abs() * 1e-6;
                prop_assert!((value - restored).abs() <= tolerance, "{value} {restored} {step}");
            }
        }
    }
}
