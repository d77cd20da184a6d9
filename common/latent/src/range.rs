//! The range coder: words of 32 bits, a state of 64, probabilities of 16; byte for byte the queue coder of the crate
//! `constriction` 0.5, which the tests hold it to.
//!
//! The coder's interval begins at `lower` and has the length `range`. A symbol takes the part of it that its own
//! interval is of 2^16; once the range is below 2^32, a word of `lower` is settled and goes out.

use crate::context::Position;
use crate::error::LatentError;
use crate::probability::{Distribution, Interval, PRECISION};

const WORD: u32 = 32;

/// Writes symbols.
pub(crate) struct RangeEncoder {
    lower: u64,
    range: u64,
    words: Vec<u32>,
}

impl Default for RangeEncoder {
    fn default() -> Self {
        Self { lower: 0, range: u64::MAX, words: Vec::new() }
    }
}

impl RangeEncoder {
    #[inline(always)]
    pub(crate) fn put(&mut self, interval: Interval) {
        let scale = self.range >> PRECISION;
        let (lower, carry) = self.lower.overflowing_add(scale * u64::from(interval.start));
        if carry {
            self.carry();
        }
        self.lower = lower;
        self.range = scale * u64::from(interval.probability);
        if self.range < 1 << WORD {
            self.words.push((self.lower >> WORD) as u32);
            self.lower <<= WORD;
            self.range <<= WORD;
        }
    }

    /// Adds one to the words that are out: `lower` has passed 2^64.
    #[cold]
    fn carry(&mut self) {
        for word in self.words.iter_mut().rev() {
            *word = word.wrapping_add(1);
            if *word != 0 {
                break;
            }
        }
    }

    /// Closes with the upper word of `lower + (2^32 - 1)`, and a word of zeros if that alone does not name the range
    /// whatever follows.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let (point, carry) = self.lower.overflowing_add(u64::from(u32::MAX));
        if carry {
            self.carry();
        }
        let closing = (point >> WORD) as u32;
        self.words.push(closing);
        if (self.lower.wrapping_add(self.range) >> WORD) as u32 == closing {
            self.words.push(0);
        }
        self.words.into_iter().flat_map(u32::to_le_bytes).collect()
    }
}

/// Why a symbol could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// No symbol has this code.
    Corrupt,
    /// More words were asked for than any sound stream has.
    Truncated,
}

/// Reads symbols.
pub(crate) struct RangeDecoder<'a> {
    lower: u64,
    range: u64,
    /// What was read, less `lower`.
    offset: u64,
    words: &'a [[u8; 4]],
    /// Words read beyond the end, as zeros. The decoder reads two words ahead, and the encoder closes with one or two,
    /// so a sound stream is read at most one word beyond its end.
    beyond: u32,
}

impl Fault {
    /// The error, at the place where it was met.
    #[cold]
    pub(crate) fn at(self, position: Position) -> LatentError {
        let Position { channel, y: row, x: column } = position;
        match self {
            Self::Corrupt => LatentError::Corrupt { channel, row, column },
            Self::Truncated => LatentError::Truncated,
        }
    }
}

impl<'a> RangeDecoder<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, LatentError> {
        // The encoder closes even a single symbol with a word.
        if bytes.is_empty() || !bytes.len().is_multiple_of(4) {
            return Err(LatentError::Truncated);
        }
        let mut new = Self { lower: 0, range: u64::MAX, offset: 0, words: bytes.as_chunks().0, beyond: 0 };
        for _ in 0..2 {
            new.offset = new.offset << WORD | new.word().map_err(|_| LatentError::Truncated)?;
        }
        Ok(new)
    }

    /// Reads the symbol in the middle, if it is the next one.
    ///
    /// What follows from it is then a constant in the caller's flow, not a number that waits for the tables: the
    /// processor goes ahead with the next symbol.
    #[inline(always)]
    pub(crate) fn centre(&mut self, distribution: Distribution<'_>) -> Result<bool, Fault> {
        let scale = self.range >> PRECISION;
        let (_, interval) = distribution.centre();
        let found = self.offset.wrapping_sub(scale * u64::from(interval.start))
            < scale * u64::from(interval.probability);
        if found {
            self.take(scale, interval)?;
        }
        Ok(found)
    }

    /// Reads a symbol that is not the one in the middle.
    pub(crate) fn off_centre(&mut self, distribution: Distribution<'_>) -> Result<u32, Fault> {
        let scale = self.range >> PRECISION;
        let (centre, interval) = distribution.centre();
        let (symbol, interval) = if u32::from(interval.probability) >= STEEP {
            beside(distribution, centre, self.offset, scale).ok_or(Fault::Corrupt)?
        } else {
            let quantile = self.offset / scale;
            if quantile >> PRECISION != 0 {
                return Err(Fault::Corrupt);
            }
            distribution.at_quantile(quantile as u32)
        };
        self.take(scale, interval)?;
        Ok(symbol)
    }

    /// Reads a bit that is 0 or 1 with equal probability.
    pub(crate) fn fair_bit(&mut self) -> Result<u32, Fault> {
        let scale = self.range >> PRECISION;
        if self.offset >= scale << PRECISION {
            return Err(Fault::Corrupt);
        }
        let bit = u32::from(self.offset >= scale << (PRECISION - 1));
        self.take(scale, Interval::fair_bit(bit))?;
        Ok(bit)
    }

    #[inline(always)]
    fn take(&mut self, scale: u64, interval: Interval) -> Result<(), Fault> {
        let start = scale * u64::from(interval.start);
        self.lower = self.lower.wrapping_add(start);
        self.offset -= start;
        self.range = scale * u64::from(interval.probability);
        if self.range < 1 << WORD {
            self.lower <<= WORD;
            self.range <<= WORD;
            self.offset = self.offset << WORD | self.word()?;
        }
        Ok(())
    }

    #[inline(always)]
    fn word(&mut self) -> Result<u64, Fault> {
        if let Some((word, rest)) = self.words.split_first() {
            self.words = rest;
            return Ok(u64::from(u32::from_le_bytes(*word)));
        }
        self.beyond += 1;
        if self.beyond > 1 { Err(Fault::Truncated) } else { Ok(0) }
    }

    /// Checks that the bytes end as the encoder would have ended them after the same symbols.
    pub(crate) fn finish(self) -> Result<(), LatentError> {
        if !self.words.is_empty() {
            return Err(LatentError::TrailingData);
        }
        let upper = |value: u64| value >> WORD;
        let closing = upper(self.lower.wrapping_add(u64::from(u32::MAX)));
        let zeros_follow = upper(self.lower.wrapping_add(self.range)) == closing;
        let point = self.lower.wrapping_add(self.offset);
        match (zeros_follow, self.beyond) {
            (true, 0) | (false, 1) if point == closing << WORD => Ok(()),
            (true, 1) => Err(LatentError::Truncated),
            _ => Err(LatentError::TrailingData),
        }
    }
}

/// From this probability of the symbol in the middle on, its neighbours are tried one after another: a few
/// multiplications take less time than a division.
const STEEP: u32 = 1 << 12;

/// The symbol that an offset names, if any, when it is not the one in the middle.
#[inline]
fn beside(distribution: Distribution<'_>, centre: u32, offset: u64, scale: u64) -> Option<(u32, Interval)> {
    let intervals = distribution.intervals();
    let (below, above) = intervals.split_at(centre as usize);
    if offset < scale * u64::from(intervals[centre as usize].start) {
        // The first interval starts at 0.
        let found = below.iter().rposition(|interval| offset >= scale * u64::from(interval.start))?;
        return Some((found as u32, below[found]));
    }
    let inside =
        |interval: &Interval| offset < scale * (u64::from(interval.start) + u64::from(interval.probability));
    let found = above[1..].iter().position(inside)?;
    Some((centre + 1 + found as u32, above[1 + found]))
}

#[cfg(test)]
mod tests {
    use constriction::stream::model::ContiguousCategoricalEntropyModel;
    use constriction::stream::queue::DefaultRangeEncoder;
    use constriction::stream::{Decode, Encode};
    use proptest::prelude::*;

    use super::*;
    use crate::probability::DistributionStore;

    fn next(decoder: &mut RangeDecoder<'_>, distribution: Distribution<'_>) -> Result<u32, Fault> {
        if decoder.centre(distribution)? {
            return Ok(distribution.centre().0);
        }
        decoder.off_centre(distribution)
    }

    /// Probabilities that sum to 2^16: small ones, and one that takes what is left.
    fn any_probabilities() -> impl Strategy<Value = Vec<u32>> {
        (1..60_usize, any::<prop::sample::Index>()).prop_flat_map(|(half, at)| {
            let each = prop_oneof![1..30_u32, 1..500_u32];
            prop::collection::vec(each, 2 * half).prop_map(move |mut probabilities| {
                let rest = 65_536 - probabilities.iter().sum::<u32>();
                let at = at.index(probabilities.len());
                probabilities[at] += rest;
                probabilities
            })
        })
    }

    proptest! {
        #[test]
        fn bytes_are_those_of_constriction(
            tables in prop::collection::vec(any_probabilities(), 1..5),
            choices in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..400),
            common in any::<bool>(),
        ) {
            let mut store = DistributionStore::default();
            let mut models = Vec::new();
            for table in &tables {
                prop_assert!(store.push(table));
                models.push(
                    ContiguousCategoricalEntropyModel::<u32, Vec<u32>, 16>::from_nonzero_fixed_point_probabilities(
                        table.iter().copied(), false,
                    ).unwrap(),
                );
            }
            let chosen: Vec<(usize, usize)> = choices.iter().map(|(table, symbol)| {
                let table = table.index(tables.len());
                let likeliest = (0..tables[table].len()).max_by_key(|&s| tables[table][s]).unwrap();
                (table, if common { likeliest } else { symbol.index(tables[table].len()) })
            }).collect();
            let (mut ours, mut theirs) = (RangeEncoder::default(), DefaultRangeEncoder::new());
            for &(table, symbol) in &chosen {
                ours.put(store.get(table).interval(symbol as u32));
                theirs.encode_symbol(symbol, &models[table]).unwrap();
            }
            let bytes = ours.finish();
            let words = theirs.into_compressed().unwrap();
            prop_assert_eq!(&bytes, &words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>());
            let mut decoder = RangeDecoder::new(&bytes).unwrap();
            for &(table, symbol) in &chosen {
                prop_assert_eq!(next(&mut decoder, store.get(table)), Ok(symbol as u32));
            }
            prop_assert_eq!(decoder.finish(), Ok(()));
        }

        #[test]
        fn any_words_are_read_as_constriction_reads_them(
            table in any_probabilities(), words in prop::collection::vec(prop_oneof![any::<u32>(), Just(u32::MAX), Just(0)], 1..40),
        ) {
            let mut store = DistributionStore::default();
            prop_assert!(store.push(&table));
            let model = ContiguousCategoricalEntropyModel::<u32, Vec<u32>, 16>::from_nonzero_fixed_point_probabilities(
                table.iter().copied(), false,
            ).unwrap();
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            let mut ours = RangeDecoder::new(&bytes).unwrap();
            let mut theirs = constriction::stream::queue::DefaultRangeDecoder::from_compressed(words.as_slice()).unwrap();
            for _ in 0..2_000 {
                match (next(&mut ours, store.get(0)), theirs.decode_symbol(&model)) {
                    (Err(Fault::Truncated), _) => break,
                    (ours, theirs) => {
                        prop_assert_eq!(ours.ok(), theirs.ok().map(|symbol: usize| symbol as u32));
                        if ours.is_err() {
                            break;
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_carry_goes_through_words_of_ones() {
        // Alternating extremes drive lower past 2^64 again and again.
        let mut store = DistributionStore::default();
        assert!(store.push(&[65_535, 1]) && store.push(&[1, 65_535]));
        for length in 1..300 {
            let mut encoder = RangeEncoder::default();
            let symbols: Vec<_> = (0..length).map(|i| (i % 2, u32::from(i * i % 7 < 4))).collect();
            for &(table, symbol) in &symbols {
                encoder.put(store.get(table).interval(symbol));
            }
            let bytes = encoder.finish();
            let mut decoder = RangeDecoder::new(&bytes).unwrap();
            for &(table, symbol) in &symbols {
                assert_eq!(next(&mut decoder, store.get(table)), Ok(symbol));
            }
            decoder.finish().unwrap();
        }
    }
}
