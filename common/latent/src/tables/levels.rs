//! Version 2: latents with block levels.
//!
//! ```text
//! "LWTB"  u8 version = 2  u8 channels C 1..=255  u8 precision = 16  u8 predicted M 0..=32, <= C
//! u8 bins B 1..=64   i16 first (Q8)   u16 width (Q8) >= 1
//! u8 groups 1..=16   each: u8 fractions (1 or 8)
//!                          B x fractions x { u16 radius 0..=255  (2 radius + 2) x u16 probability - 1 }
//! per channel c
//!   u8 group (one of 8 fractions for c < M, else one of 1)
//!   i32 bias (Q8), within ±2^20      9 x i16 weight (Q8), magnitudes summing to at most 2^16
//!   if c < M: u16 n, n x { u8 channel  i8 dy  i8 dx  i32 weight (Q16) }
//! ```

use super::{FRACTIONS, Reader, Tap};
use crate::error::LatentError;
use crate::probability::DistributionStore;

/// Features that a context is a weighted sum of.
pub(crate) const FEATURES: usize = 9;
/// How far a tap of the mean may reach.
const REACH: i8 = 1;
/// Largest magnitude of a bias: 4096 octaves.
const MAX_BIAS: i32 = 1 << 20;
/// Largest sum of the magnitudes of a channel's weights: 256 as a number; sound models stay near 1.
const MAX_WEIGHTS: i32 = 1 << 16;

/// The context model of a latent with block levels.
#[derive(Clone, Debug)]
pub(crate) struct LevelModel {
    pub(crate) channels: Vec<LevelChannel>,
    /// Channels whose value is predicted: the first ones.
    pub(crate) predicted: usize,
    first: i32,
    last_bin: u64,
    /// How far above `first` the last bin begins.
    last_begins: i32,
    /// floor(2^38 / width) + 1.
    reciprocal: u64,
}

const RECIPROCAL_BITS: u32 = 38;

/// The context model of one channel.
#[derive(Clone, Debug)]
pub(crate) struct LevelChannel {
    /// log2 of the expected |error| in steps where all features are 0, Q8.
    pub(crate) bias_q8: i32,
    pub(crate) weights_q8: [i16; FEATURES],
    pub(crate) mean_taps: Vec<Tap<i32>>,
    /// Index of bin 0, fraction 0 among all distributions.
    pub(crate) first_distribution: usize,
}

impl LevelModel {
    fn new(channels: Vec<LevelChannel>, predicted: u8, bins: u8, first: i16, width: u16) -> Self {
        Self {
            channels,
            predicted: usize::from(predicted),
            first: i32::from(first),
            last_bin: u64::from(bins) - 1,
            last_begins: (i32::from(bins) - 2).max(0) * i32::from(width),
            reciprocal: (1 << RECIPROCAL_BITS) / u64::from(width) + 1,
        }
    }

    /// Bin of an expected log2 |error|, Q8: clamp((expected - first) div width + 1, 0, bins - 1).
    ///
    /// The quotient is exact: its dividend is below 2^22, and the reciprocal is too large by at most 1 of 2^38 / width.
    #[inline]
    pub(crate) fn bin(&self, expected_q8: i32) -> usize {
        let above = expected_q8 - self.first;
        if above < 0 {
            return 0;
        }
        let quotient = (above.min(self.last_begins) as u64 * self.reciprocal) >> RECIPROCAL_BITS;
        (quotient + 1).min(self.last_bin) as usize
    }
}

/// Reads what follows the version.
pub(super) fn read(
    reader: &mut Reader<'_>,
    distributions: &mut DistributionStore,
) -> Result<LevelModel, LatentError> {
    let [count, precision, predicted] = reader.take()?;
    if count == 0 || precision != 16 || predicted > 32.min(count) {
        return Err(reader.error(format!(
            "1 to 255 channels, precision 16 and up to 32 of the channels predicted expected, found {count}, \
             {precision} and {predicted}"
        )));
    }
    let bins = reader.u8()?;
    let first = i16::from_le_bytes(reader.take()?);
    let width = u16::from_le_bytes(reader.take()?);
    let groups = reader.u8()?;
    if !(1..=64).contains(&bins) || width == 0 || !(1..=16).contains(&groups) {
        return Err(reader.error(format!(
            "1 to 64 bins, a width of at least 1 and 1 to 16 groups expected, found {bins}, {width} and {groups}"
        )));
    }
    let mut starts = Vec::new();
    for group in 0..groups {
        let fractions = usize::from(reader.u8()?);
        if fractions != 1 && fractions != FRACTIONS {
            let problem = format!("group {group} has {fractions} fractions, 1 or 8 expected");
            return Err(reader.error(problem));
        }
        starts.push((fractions, distributions.len()));
        reader.distributions(usize::from(bins) * fractions, distributions)?;
    }
    let channels = (0..count)
        .map(|channel| read_channel(reader, channel, channel < predicted, &starts))
        .collect::<Result<_, _>>()?;
    Ok(LevelModel::new(channels, predicted, bins, first, width))
}

fn read_channel(
    reader: &mut Reader<'_>,
    channel: u8,
    predicted: bool,
    groups: &[(usize, usize)],
) -> Result<LevelChannel, LatentError> {
    let group = reader.u8()?;
    let needed = if predicted { FRACTIONS } else { 1 };
    let first_distribution = match groups.get(usize::from(group)) {
        Some((fractions, start)) if *fractions == needed => *start,
        _ => {
            return Err(reader.error(format!(
                "channel {channel} names group {group}, but needs one of the {} groups, with {needed} fractions",
                groups.len()
            )));
        }
    };
    let bias_q8 = i32::from_le_bytes(reader.take()?);
    if !(-MAX_BIAS..=MAX_BIAS).contains(&bias_q8) {
        return Err(reader.error(format!("channel {channel}'s bias is {bias_q8}, -2^20 to 2^20 expected")));
    }
    let mut weights_q8 = [0; FEATURES];
    for weight in &mut weights_q8 {
        *weight = i16::from_le_bytes(reader.take()?);
    }
    if weights_q8.iter().map(|weight| i32::from(*weight).abs()).sum::<i32>() > MAX_WEIGHTS {
        return Err(reader.error(format!("channel {channel}'s weights are too large")));
    }
    let mean_taps = if predicted { reader.taps(channel, REACH, i32::from_le_bytes)? } else { Vec::new() };
    Ok(LevelChannel { bias_q8, weights_q8, mean_taps, first_distribution })
}

#[cfg(test)]
mod tests {
    use super::LevelModel;

    #[test]
    fn bins_are_the_quotients() {
        for width in [1, 2, 3, 63, 64, 310, 1_000, 32_767, 65_534, 65_535_u16] {
            for bins in [1, 2, 3, 7, 54, 64] {
                for first in [i16::MIN, -1_408, 0, i16::MAX] {
                    let model = LevelModel::new(Vec::new(), 0, bins, first, width);
                    let check = |expected: i32| {
                        let quotient = (expected - i32::from(first)).div_euclid(i32::from(width));
                        let bin = (quotient + 1).clamp(0, i32::from(bins) - 1);
                        assert_eq!(model.bin(expected), bin as usize, "{expected} {first} {width} {bins}");
                    };
                    for edge in -2..=i32::from(bins) + 1 {
                        let begins = i32::from(first) + edge * i32::from(width);
                        (begins - 1..=begins + 1).for_each(check);
                    }
                    [-(1 << 25), 1 << 25].into_iter().for_each(check);
                }
            }
        }
    }
}
