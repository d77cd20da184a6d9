//! Integer probability tables.

/// Bits of a probability: they sum to `1 << PRECISION`.
pub(crate) const PRECISION: usize = 16;
/// Sum of a distribution's probabilities.
const TOTAL: u32 = 1 << PRECISION;
/// Bits of a quantile that the decoder looks up at once; the rest is searched.
const LOOKUP_BITS: usize = 8;
const LOOKUP_SHIFT: usize = PRECISION - LOOKUP_BITS;

/// A symbol's interval; both fit 16 bits, as no distribution has a certain symbol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Interval {
    pub(crate) start: u16,
    pub(crate) probability: u16,
}

impl Interval {
    /// The interval of a bit that is 0 or 1 with equal probability.
    pub(crate) fn fair_bit(bit: u32) -> Self {
        const HALF: u16 = 1 << (PRECISION - 1);
        Self { start: if bit == 0 { 0 } else { HALF }, probability: HALF }
    }
}

/// All distributions of a model, end to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct DistributionStore {
    intervals: Vec<Interval>,
    heads: Vec<Head>,
    /// For each distribution, the first symbol that a quantile with the given upper bits can belong to.
    lookup: Vec<[u16; 1 << LOOKUP_BITS]>,
    largest: u16,
}

/// Where a distribution's intervals are.
#[derive(Clone, Copy, Debug)]
struct Head {
    first: u32,
    /// The symbol in the middle.
    radius: u16,
    centre: Interval,
}

impl DistributionStore {
    pub(crate) fn len(&self) -> usize {
        self.heads.len()
    }

    pub(crate) fn largest_probability(&self) -> u32 {
        u32::from(self.largest)
    }

    /// Adds a distribution, if it has an even number of probabilities, each at least 1, that sum to 2^16.
    pub(crate) fn push(&mut self, probabilities: &[u32]) -> bool {
        let sum: u64 = probabilities.iter().map(|&p| u64::from(p)).sum();
        let paired = !probabilities.is_empty() && probabilities.len().is_multiple_of(2);
        if sum != u64::from(TOTAL) || !paired || probabilities.contains(&0) {
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
        let radius = probabilities.len() / 2 - 1;
        self.heads.push(Head { first: first as u32, radius: radius as u16, centre: intervals[radius] });
        let mut symbol = 0;
        self.lookup.push(std::array::from_fn(|upper| {
            let quantile = (upper << LOOKUP_SHIFT) as u32;
            while u32::from(intervals[symbol].start) + u32::from(intervals[symbol].probability) <= quantile {
                symbol += 1;
            }
            symbol as u16
        }));
        true
    }

    #[inline]
    pub(crate) fn get(&self, index: usize) -> Distribution<'_> {
        Distribution { store: self, head: self.heads[index], index }
    }
}

/// Probabilities of residuals `-radius..=radius` (symbols `0..=2 * radius`) and of ESCAPE (symbol `2 * radius + 1`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Distribution<'a> {
    store: &'a DistributionStore,
    head: Head,
    index: usize,
}

impl<'a> Distribution<'a> {
    /// Largest residual that has a symbol of its own.
    #[inline]
    pub(crate) fn radius(&self) -> i32 {
        i32::from(self.head.radius)
    }

    /// The symbol of residual 0, and its interval.
    #[inline]
    pub(crate) fn centre(&self) -> (u32, Interval) {
        (u32::from(self.head.radius), self.head.centre)
    }

    /// The interval of one of its symbols.
    #[inline]
    pub(crate) fn interval(&self, symbol: u32) -> Interval {
        self.store.intervals[(self.head.first + symbol) as usize]
    }

    /// The intervals of all symbols.
    #[inline]
    pub(crate) fn intervals(&self) -> &'a [Interval] {
        &self.store.intervals[self.head.first as usize..][..2 * usize::from(self.head.radius) + 2]
    }

    /// The symbol that a quantile below 2^16 belongs to, and its interval.
    #[inline]
    pub(crate) fn at_quantile(&self, quantile: u32) -> (u32, Interval) {
        let mut symbol = u32::from(self.store.lookup[self.index][quantile as usize >> LOOKUP_SHIFT]);
        loop {
            let interval = self.interval(symbol);
            if quantile - u32::from(interval.start) < u32::from(interval.probability) {
                return (symbol, interval);
            }
            symbol += 1;
        }
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
            vec![1, 1, 65_530, 1, 1, 2],
            [vec![1; 511], vec![65_536 - 511]].concat(),
        ] {
            assert!(store.push(&probabilities));
            let distribution = store.get(store.len() - 1);
            assert_eq!(distribution.intervals().len(), probabilities.len());
            let mut quantile = 0;
            for (symbol, &probability) in probabilities.iter().enumerate() {
                let interval = distribution.interval(symbol as u32);
                assert_eq!(
                    (u32::from(interval.start), u32::from(interval.probability)),
                    (quantile, probability)
                );
                for inside in [quantile, quantile + probability / 2, quantile + probability - 1] {
                    assert_eq!(distribution.at_quantile(inside), (symbol as u32, interval));
                }
                quantile += probability;
            }
            let (centre, interval) = distribution.centre();
            assert_eq!(centre as i32, distribution.radius());
            assert_eq!(interval, distribution.interval(centre));
        }
        assert_eq!(store.largest_probability(), 65_535);
    }

    #[test]
    fn unsound_distributions_are_refused() {
        let mut store = DistributionStore::default();
        for probabilities in
            [vec![], vec![65_536], vec![0, 65_536], vec![1, 65_534], vec![65_536, 65_536], vec![65_534, 1, 1]]
        {
            assert!(!store.push(&probabilities), "{probabilities:?}");
        }
        assert_eq!(store.len(), 0);
    }
}
