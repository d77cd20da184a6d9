//! `tables.bin`: the entropy coder's context model, as integers.
//!
//! Layout, little endian (normative text: `docs/BITSTREAM.md`):
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

use crate::error::LatentError;
use crate::probability::{Distribution, DistributionStore};

/// Fractional positions of the mean that have tables of their own.
pub(crate) const FRACTIONS: usize = 8;
/// How far a tap may reach, in rows and in columns.
pub(crate) const REACH: i8 = 2;
/// Activity weights of a channel must sum to less (2^22 as a number; sound models stay near 1).
const MAX_ACTIVITY_WEIGHT: u64 = 1 << 38;

/// Entropy tables of one model: the context model and the probabilities, all integers.
#[derive(Clone, Debug)]
pub struct Tables {
    channels: Vec<Channel>,
    distributions: DistributionStore,
}

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
    first_distribution: usize,
}

/// A neighbour that has a say: `weight` is Q16.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tap<W> {
    pub(crate) channel: u8,
    pub(crate) dy: i8,
    pub(crate) dx: i8,
    pub(crate) weight: W,
}

impl Tables {
    /// Reads and validates a `tables.bin`.
    ///
    /// Taps must be causal, within two rows and columns, and not repeated; each table's probabilities must sum to
    /// 2^16. Memory is bounded by a small multiple of `bytes.len()`.
    ///
    /// # Errors
    /// [`LatentError::Tables`].
    pub fn parse(bytes: &[u8]) -> Result<Self, LatentError> {
        let mut reader = Reader { bytes, offset: 0 };
        if reader.take::<4>()? != *b"LWTB" {
            return Err(reader.error("it does not begin with LWTB"));
        }
        let [version, count, precision, fractions] = reader.take::<4>()?;
        if version != 1 {
            return Err(reader.error(format!("its version is {version}, this program reads version 1")));
        }
        if !(1..=16).contains(&count) || precision != 16 || usize::from(fractions) != FRACTIONS {
            return Err(reader.error(format!(
                "1 to 16 channels, precision 16 and 8 fractions expected, found {count}, {precision} and {fractions}"
            )));
        }
        let mut distributions = DistributionStore::default();
        let channels = (0..count)
            .map(|channel| read_channel(&mut reader, channel, &mut distributions))
            .collect::<Result<_, _>>()?;
        if reader.offset != bytes.len() {
            return Err(reader.error("bytes are left over after its last table"));
        }
        Ok(Self { channels, distributions })
    }

    /// Number of channels that the tables are for, 1 to 16.
    pub fn channels(&self) -> u8 {
        self.channels.len() as u8
    }

    pub(crate) fn channel(&self, channel: usize) -> &Channel {
        &self.channels[channel]
    }

    /// The distribution of residuals in a context.
    #[inline]
    pub(crate) fn distribution(&self, channel: &Channel, bin: usize, fraction: usize) -> Distribution<'_> {
        self.distributions.get(channel.first_distribution + bin * FRACTIONS + fraction)
    }

    /// Largest probability of any symbol, in 1/65536; less than 65536.
    pub(crate) fn largest_probability(&self) -> u32 {
        self.distributions.largest_probability()
    }
}

fn read_channel(
    reader: &mut Reader<'_>,
    channel: u8,
    distributions: &mut DistributionStore,
) -> Result<Channel, LatentError> {
    let mean_bias_q16 = i32::from_le_bytes(reader.take()?);
    let mean_taps = read_taps(reader, channel, i32::from_le_bytes)?;
    let activity_bias_q16 = u32::from_le_bytes(reader.take()?);
    let activity_taps = read_taps(reader, channel, u32::from_le_bytes)?;
    if activity_taps.iter().map(|tap| u64::from(tap.weight)).sum::<u64>() >= MAX_ACTIVITY_WEIGHT {
        return Err(reader.error(format!("channel {channel}'s activity weights are too large")));
    }
    let bins = reader.take::<1>()?[0];
    if !(1..=64).contains(&bins) {
        return Err(reader.error(format!("channel {channel} has {bins} activity bins, 1 to 64 expected")));
    }
    let thresholds =
        (1..bins).map(|_| reader.take().map(u32::from_le_bytes)).collect::<Result<Vec<_>, _>>()?;
    if !thresholds.is_sorted() {
        return Err(reader.error(format!("channel {channel}'s activity thresholds descend")));
    }
    let first_distribution = distributions.len();
    for _ in 0..usize::from(bins) * FRACTIONS {
        let radius = u16::from_le_bytes(reader.take()?);
        if radius > 255 {
            return Err(reader.error(format!("a table's radius is {radius}, 0 to 255 expected")));
        }
        let probabilities = (0..2 * radius + 2)
            .map(|_| reader.take().map(|bytes| u32::from(u16::from_le_bytes(bytes)) + 1))
            .collect::<Result<Vec<_>, _>>()?;
        if !distributions.push(&probabilities) {
            return Err(reader.error("a table's probabilities do not sum to 65536"));
        }
    }
    Ok(Channel { mean_bias_q16, mean_taps, activity_bias_q16, activity_taps, thresholds, first_distribution })
}

fn read_taps<W>(
    reader: &mut Reader<'_>,
    channel: u8,
    weight: fn([u8; 4]) -> W,
) -> Result<Vec<Tap<W>>, LatentError> {
    let count = u16::from_le_bytes(reader.take()?);
    let mut taps = Vec::<Tap<W>>::new();
    for _ in 0..count {
        let [of, dy, dx] = reader.take()?;
        let (dy, dx) = (dy as i8, dx as i8);
        let within = (-REACH..=REACH).contains(&dy) && (-REACH..=REACH).contains(&dx);
        let causal = of < channel || (of == channel && (dy < 0 || (dy == 0 && dx < 0)));
        if !within || !causal {
            return Err(reader.error(format!(
                "channel {channel} looks at channel {of}, row {dy:+}, column {dx:+}: only what is already decoded, \
                 at most {REACH} rows and columns away, may be looked at"
            )));
        }
        if taps.iter().any(|tap| (tap.channel, tap.dy, tap.dx) == (of, dy, dx)) {
            return Err(reader.error(format!("channel {channel} looks twice at the same neighbour")));
        }
        taps.push(Tap { channel: of, dy, dx, weight: weight(reader.take()?) });
    }
    Ok(taps)
}

struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], LatentError> {
        let found = self.bytes[self.offset..].first_chunk().copied();
        let found = found.ok_or_else(|| self.error("it ends too early"))?;
        self.offset += N;
        Ok(found)
    }

    fn error(&self, problem: impl Into<String>) -> LatentError {
        LatentError::Tables { problem: problem.into(), offset: self.offset }
    }
}
