//! Rate–distortion optimised quantisation: each coefficient takes the integer that costs least, error and bits together.
//!
//! ```text
//! cost(q) = error_weight · (q - v)^2 + bits(q | what was chosen before)      v: the coefficient in steps
//! ```
//!
//! The candidates are the nearest integer and its neighbour on the side of what the context expects, so that a value
//! that stands alone among zeros has to be worth its bits, and one among its like costs what it does. Nothing of this
//! binds a receiver: whatever is chosen decodes as what it is (Sullivan and Wiegand, "Rate-distortion optimization for
//! video compression", 1998; as in every encoder of HEVC and AV1).

use super::context::{Code, traverse};
use super::quantiser::{LevelQuantiser, in_steps};
use crate::context::{Prediction, Shape};
use crate::error::LatentError;
use crate::quantise::{MAX_SYMBOL, QuantisedLatent};
use crate::range::Fault;
use crate::tables::Tables;

/// Largest weight of an error.
const MAX_ERROR_WEIGHT: f32 = 1e6;

/// Quantises a planar latent whose channel 0 holds the blocks' levels, for the fewest bits at a weight of errors.
///
/// Levels are rounded as by [`super::quantise_levels`]. `error_weight` says how many bits an error of one squared step
/// counts as much as, above 0 and at most 10^6: large, and every value takes its nearest integer.
/// Shape: `values` is `[channels, height, width]`, channels being the quantiser's.
///
/// # Errors
/// As [`super::quantise_levels`], with [`LatentError::ErrorWeight`] for a weight out of its range;
/// [`LatentError::ChannelMismatch`] and [`LatentError::TablesKind`] for tables that are not of such latents.
pub fn choose_levels(
    tables: &Tables,
    values: &[f32],
    height: u32,
    width: u32,
    quantiser: &LevelQuantiser,
    error_weight: f32,
) -> Result<QuantisedLatent, LatentError> {
    if !(error_weight > 0.0 && error_weight <= MAX_ERROR_WEIGHT) {
        return Err(LatentError::ErrorWeight);
    }
    tables.levels()?;
    let channels = quantiser.channels();
    if tables.channels() != channels {
        return Err(LatentError::ChannelMismatch { tables: tables.channels(), latent: channels });
    }
    let wanted = in_steps(values, height, width, quantiser)?;
    // Beyond the last channel that could hold anything but zeros there is nothing to choose.
    let plane = wanted.len() / usize::from(channels);
    let last =
        wanted.chunks_exact(plane).rposition(|plane| plane.iter().any(|v| v.abs() >= 0.5)).unwrap_or(0);
    let shape = Shape { channels: last as u8 + 1, height, width };
    let mut choosing = Choosing { error_weight, wanted: &wanted, values: Vec::with_capacity(wanted.len()) };
    traverse(tables, quantiser, shape, &mut choosing)?;
    let mut values = choosing.values;
    values.resize(wanted.len(), 0);
    Ok(QuantisedLatent { channels, height, width, values })
}

/// Chooses a latent's values, one after another.
struct Choosing<'a> {
    error_weight: f32,
    /// The values in steps that are left.
    wanted: &'a [f32],
    values: Vec<i32>,
}

impl Code for Choosing<'_> {
    #[inline(always)]
    fn code(&mut self, channel: usize, prediction: Prediction<'_>) -> Result<i32, Fault> {
        let (&wanted, rest) = self.wanted.split_first().expect("the shape was made of the number of values");
        self.wanted = rest;
        let nearest = nearest(wanted);
        let settled = channel == 0 || nearest == prediction.mean;
        Ok(if settled { nearest } else { self.cheaper(wanted, nearest, prediction) })
    }

    fn done(&mut self, row: &[i32]) {
        self.values.extend_from_slice(row);
    }
}

impl Choosing<'_> {
    /// The nearest integer, or the next one towards the mean.
    fn cheaper(&self, wanted: f32, nearest: i32, prediction: Prediction<'_>) -> i32 {
        let other = nearest + (prediction.mean - nearest).signum();
        let error = |q: i32| {
            let error = q as f32 - wanted;
            self.error_weight * error * error
        };
        let more = error(other) - error(nearest);
        // Most often the error alone decides: no integer costs more bits than a probability of 2^-16 and an escape.
        if more > 64.0 || more >= prediction.bits(nearest) - prediction.bits(other) { nearest } else { other }
    }
}

/// The nearest integer, halves away from zero, within what can be coded.
#[inline(always)]
fn nearest(v: f32) -> i32 {
    // Truncation is the floor here: the sum is not negative.
    let magnitude = ((v.abs() + 0.5) as i32).min(MAX_SYMBOL);
    if v < 0.0 { -magnitude } else { magnitude }
}
