//! Version 1: latents of uniform quantisation.
//!
//! ```text
//! "LWTB"  u8 version = 1  u8 channels 1..=16  u8 precision = 16  u8 fractions = 8
//! per channel
//!   i32 mean_bias (Q16)      u16 n, n x { u8 channel  i8 dy  i8 dx  i32 weight (Q16) }
//!   u32 activity_bias (Q16)  u16 n, n x { u8 channel  i8 dy  i8 dx  u32 weight (Q16) }
//!   u8 bins 1..=64           (bins - 1) x u32 threshold (Q8), not descending
//!   bins x 8 x { u16 radius 0..=255   (2 radius + 2) x u16 probability - 1, summing to 2^16 }
//! ```
//!
//! A table's symbols are `-radius..=radius`, then ESCAPE.

use super::{FRACTIONS, REACH, Reader, Tap};
use crate::error::LatentError;
use crate::probability::DistributionStore;

/// Activity weights of a channel must sum to less (2^22 as a number; sound models stay near 1).
const MAX_ACTIVITY_WEIGHT: u64 = 1 << 38;

/// The context model of one channel.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    pub(crate) mean_bias_q16: i32,
    pub(crate) mean_taps: Vec<Tap<i32>>,
    pub(crate) activity_bias_q16: u32,
    pub(crate) activity_taps: Vec<Tap<u32>>,
    /// Activities (Q8) at which the next bin begins.
    pub(crate) thresholds: Vec<u32>,
    /// Index of bin 0, fraction 0 among all distributions.
    pub(crate) first_distribution: usize,
}

/// Reads what follows the version.
pub(super) fn read(
    reader: &mut Reader<'_>,
    distributions: &mut DistributionStore,
) -> Result<Vec<Channel>, LatentError> {
    let [count, precision, fractions] = reader.take()?;
    if !(1..=16).contains(&count) || precision != 16 || usize::from(fractions) != FRACTIONS {
        return Err(reader.error(format!(
            "1 to 16 channels, precision 16 and 8 fractions expected, found {count}, {precision} and {fractions}"
        )));
    }
    (0..count).map(|channel| read_channel(reader, channel, distributions)).collect()
}

fn read_channel(
    reader: &mut Reader<'_>,
    channel: u8,
    distributions: &mut DistributionStore,
) -> Result<Channel, LatentError> {
    let mean_bias_q16 = i32::from_le_bytes(reader.take()?);
    let mean_taps = reader.taps(channel, REACH, i32::from_le_bytes)?;
    let activity_bias_q16 = u32::from_le_bytes(reader.take()?);
    let activity_taps = reader.taps(channel, REACH, u32::from_le_bytes)?;
    if activity_taps.iter().map(|tap| u64::from(tap.weight)).sum::<u64>() >= MAX_ACTIVITY_WEIGHT {
        return Err(reader.error(format!("channel {channel}'s activity weights are too large")));
    }
    let bins = reader.u8()?;
    if !(1..=64).contains(&bins) {
        return Err(reader.error(format!("channel {channel} has {bins} activity bins, 1 to 64 expected")));
    }
    let thresholds =
        (1..bins).map(|_| reader.take().map(u32::from_le_bytes)).collect::<Result<Vec<_>, _>>()?;
    if !thresholds.is_sorted() {
        return Err(reader.error(format!("channel {channel}'s activity thresholds descend")));
    }
    let first_distribution = distributions.len();
    reader.distributions(usize::from(bins) * FRACTIONS, distributions)?;
    Ok(Channel { mean_bias_q16, mean_taps, activity_bias_q16, activity_taps, thresholds, first_distribution })
}
