//! Integer probability tables, as entropy models of the range coder.

use std::borrow::Borrow;
use std::num::NonZeroU32;

use constriction::stream::model::{DecoderModel, EncoderModel, EntropyModel};

/// Bits of a probability: they sum to `1 << PRECISION`.
pub(crate) const PRECISION: usize = 16;
/// Sum of a distribution's probabilities.
const TOTAL: u32 = 1 << PRECISION;
/// Bits of a quantile that the decoder looks up at once; the rest is searched.
const LOOKUP_BITS: usize = 8;
const LOOKUP_SHIFT: usize = PRECISION - LOOKUP_BITS;

/// A symbol's interval; both fit 16 bits, as no distribution has a certain symbol.
#[derive(Clone, Copy, Debug)]
struct Interval {
    start: u16,
    probability: u16,
}

/// All distributions of a model, end to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct DistributionStore {
    intervals: Vec<Interval>,
    /// For each distribution, the first symbol that a quantile with the given upper bits can belong to.
    lookup: Vec<[u16; 1 << LOOKUP_BITS]>,
    /// For each distribution, where its intervals begin; and the end of the last.
    starts: Vec<u32>,
    largest: u16,
}

impl DistributionStore {
    pub(crate) fn len(&self) -> usize {
        self.lookup.len()
    }

    pub(crate) fn largest_probability(&self) -> u32 {
        u32::from(self.largest)
    }

    /// Adds a distribution, if its two or more probabilities (each at least 1) sum to 2^16.
    pub(crate) fn push(&mut self, probabilities: &[u32]) -> bool {
        let sum: u64 = probabilities.iter().map(|&p| u64::from(p)).sum();
        if sum != u64::from(TOTAL) || probabilities.len() < 2 || probabilities.contains(&0) {
            return false;
        }
        let first = self.intervals.len();
        let mut start = 0;
        for &probability in probabilities {
            // At least two probabilities of at least 1 that sum to 2^16: each is below 2^16, and so is each start.
            self.intervals.push(Interval { start: start as u16, probability: probability as u16 });
            self.largest = self.largest.max(probability as u16);
            start += probability;
        }
        let intervals = &self.intervals[first..];
        let mut symbol = 0;
        self.lookup.push(std::array::from_fn(|upper| {
            let quantile = (upper << LOOKUP_SHIFT) as u32;
            while u32::from(intervals[symbol].start) + u32::from(intervals[symbol].probability) <= quantile {
                symbol += 1;
            }
            symbol as u16
        }));
        if self.starts.is_empty() {
            self.starts.push(0);
        }
        self.starts.push(self.intervals.len() as u32);
        true
    }

    #[inline]
    pub(crate) fn get(&self, index: usize) -> Distribution<'_> {
        let range = self.starts[index] as usize..self.starts[index + 1] as usize;
        Distribution { intervals: &self.intervals[range], lookup: &self.lookup[index] }
    }
}

/// Probabilities of residuals `-radius..=radius` (symbols `0..=2 * radius`) and of ESCAPE (symbol `2 * radius + 1`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Distribution<'a> {
    intervals: &'a [Interval],
    lookup: &'a [u16; 1 << LOOKUP_BITS],
}

impl Distribution<'_> {
    /// Largest residual that has a symbol of its own.
    #[inline]
    pub(crate) fn radius(&self) -> i32 {
        (self.intervals.len() / 2) as i32 - 1
    }
}

impl EntropyModel<PRECISION> for Distribution<'_> {
    type Symbol = u32;
    type Probability = u32;
}

impl EncoderModel<PRECISION> for Distribution<'_> {
    #[inline]
    fn left_cumulative_and_probability(&self, symbol: impl Borrow<u32>) -> Option<(u32, NonZeroU32)> {
        let interval = self.intervals.get(*symbol.borrow() as usize)?;
        Some((u32::from(interval.start), NonZeroU32::new(u32::from(interval.probability))?))
    }
}

impl DecoderModel<PRECISION> for Distribution<'_> {
    #[inline]
    fn quantile_function(&self, quantile: u32) -> (u32, u32, NonZeroU32) {
        let mut symbol = usize::from(self.lookup[quantile as usize >> LOOKUP_SHIFT]);
        loop {
            let interval = self.intervals[symbol];
            let (start, probability) = (u32::from(interval.start), u32::from(interval.probability));
            if quantile - start < probability {
                let probability = NonZeroU32::new(probability).expect("a quantile lies in no empty interval");
                return (symbol as u32, start, probability);
            }
            symbol += 1;
        }
    }
}

/// A bit that is 0 or 1 with equal probability.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FairBit;

const HALF: NonZeroU32 = NonZeroU32::new(TOTAL / 2).expect("2^15 is not zero");

impl EntropyModel<PRECISION> for FairBit {
    type Symbol = u32;
    type Probability = u32;
}

impl EncoderModel<PRECISION> for FairBit {
    #[inline]
    fn left_cumulative_and_probability(&self, symbol: impl Borrow<u32>) -> Option<(u32, NonZeroU32)> {
        Some((HALF.get() * (symbol.borrow() & 1), HALF))
    }
}

impl DecoderModel<PRECISION> for FairBit {
    #[inline]
    fn quantile_function(&self, quantile: u32) -> (u32, u32, NonZeroU32) {
        let bit = quantile >> (PRECISION - 1);
        (bit, HALF.get() * bit, HALF)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quantile_finds_its_symbol() {
        let mut store = DistributionStore::default();
        for probabilities in [
            vec![1, 65_535],
            vec![65_535, 1],
            vec![32_768, 32_768],
            vec![1, 1, 65_532, 1, 1],
            [vec![1; 511], vec![65_536 - 511]].concat(),
        ] {
            assert!(store.push(&probabilities));
            let model = store.get(store.len() - 1);
            let mut quantile = 0;
            for (symbol, &probability) in probabilities.iter().enumerate() {
                let symbol = symbol as u32;
                let (start, found) = model.left_cumulative_and_probability(symbol).unwrap();
                assert_eq!((start, found.get()), (quantile, probability));
                for inside in [quantile, quantile + probability / 2, quantile + probability - 1] {
                    assert_eq!(model.quantile_function(inside), (symbol, start, found));
                }
                quantile += probability;
            }
            assert!(model.left_cumulative_and_probability(probabilities.len() as u32).is_none());
        }
        assert_eq!(store.largest_probability(), 65_535);
    }

    #[test]
    fn unsound_distributions_are_refused() {
        let mut store = DistributionStore::default();
        for probabilities in [vec![], vec![65_536], vec![0, 65_536], vec![1, 65_534], vec![65_536, 65_536]] {
            assert!(!store.push(&probabilities), "{probabilities:?}");
        }
        assert_eq!(store.len(), 0);
    }
}
