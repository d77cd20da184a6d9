//! The logistic map `x ← r·x·(1 − x)` in fixed point: the same bits on every machine.

use zeroize::Zeroize;

/// Control parameter 3.99 as a Q2.62 number. The paper's worked example has 3.9; nearer to 4 the map leaves fewer gaps.
pub(super) const CONTROL: u64 = 0xff5c_28f5_c28f_5c29;
/// Values that are thrown away before the first is used: the paper's "N iterations to reach the chaotic regime".
pub(super) const TRANSIENT: u32 = 256;
/// Steps between two perturbations. A map on 2^64 states falls into a cycle after some 2^32 steps; a counter mixed into the
/// low bits throws it out again.
const PERTURBED_EVERY: u64 = 64;
/// Lowest bit of the 32 that are put in and taken out.
const MIDDLE: u32 = 16;
/// 2^64 divided by the golden ratio: spreads the counter over the state.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// A running map. `x` stands for `x / 2^64`, in (0, 1).
///
/// # Security
/// Its state is a key: wiped when dropped, no `Debug`.
pub(super) struct LogisticMap {
    x: u64,
    steps: u64,
}

impl LogisticMap {
    /// Starts at `x0 / 2^64` and discards the transient.
    pub(super) fn new(x0: u64) -> Self {
        let mut map = Self { x: x0, steps: 0 };
        map.discard(TRANSIENT);
        map
    }

    /// Mixes 32 bits of a seed into the middle of the state and discards another transient.
    ///
    /// Not into the low bits: the map rounds, so two states that differ in the last place alone may become one.
    pub(super) fn absorb(&mut self, word: u32) {
        self.x ^= u64::from(word) << MIDDLE;
        self.discard(TRANSIENT);
    }

    /// The next value, as the numerator of `x / 2^64`.
    pub(super) fn next(&mut self) -> u64 {
        self.steps += 1;
        if self.steps.is_multiple_of(PERTURBED_EVERY) {
            self.x ^= (self.steps / PERTURBED_EVERY).wrapping_mul(SPREAD) >> 32;
        }
        // 0 is the one fixed point that rounding can reach; the map never leaves it by itself.
        if self.x == 0 {
            self.x = SPREAD;
        }
        self.x = step(self.x);
        self.x
    }

    /// 32 bits from the middle of the next value: the high ones have the map's uneven density, the low ones its rounding.
    pub(super) fn next_middle(&mut self) -> u32 {
        u32::try_from(self.next() >> MIDDLE & 0xffff_ffff).expect("32 bits")
    }

    /// The lowest byte of [`Self::next_middle`].
    pub(super) fn next_byte(&mut self) -> u8 {
        self.next_middle().to_be_bytes()[3]
    }

    /// Two middles: a key.
    pub(super) fn next_key(&mut self) -> u64 {
        u64::from(self.next_middle()) << 32 | u64::from(self.next_middle())
    }

    fn discard(&mut self, values: u32) {
        for _ in 0..values {
            self.next();
        }
    }
}

impl Drop for LogisticMap {
    fn drop(&mut self) {
        self.x.zeroize();
    }
}

/// `r·x·(1 − x)`, rounded down twice: 64 × 64 → 128 bits, as every 64-bit machine multiplies.
fn step(x: u64) -> u64 {
    let product = (u128::from(x) * u128::from(x.wrapping_neg())) >> 64;
    let next = (u128::from(CONTROL) * product) >> 62;
    u64::try_from(next).expect("x(1 − x) is at most 1/4, so r·x·(1 − x) is below 1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_logistic_map() {
        let mut x = 0.5_f64;
        let mut fixed = 1_u64 << 63;
        let control = CONTROL as f64 / 2_f64.powi(62);
        assert!((control - 3.99).abs() < 1e-15);
        for _ in 0..12 {
            x = control * x * (1.0 - x);
            fixed = step(fixed);
            // The error doubles with each step; it starts at 2^-53.
            assert!((fixed as f64 / 2_f64.powi(64) - x).abs() < 1e-9);
        }
    }

    #[test]
    fn no_start_is_stuck() {
        for x0 in [0, 1, u64::MAX, 1 << 63, 1 << 62, 3 << 62] {
            let mut map = LogisticMap::new(x0);
            let values: std::collections::HashSet<u64> = (0..10_000).map(|_| map.next()).collect();
            assert!(values.len() > 9_990, "{x0:#x} gives {} values", values.len());
        }
    }

    #[test]
    fn bytes_are_spread_evenly() {
        let mut map = LogisticMap::new(0x0123_4567_89ab_cdef);
        let mut counts = [0_u32; 256];
        for _ in 0..256 * 1_000 {
            counts[usize::from(map.next_byte())] += 1;
        }
        // Chi-square with 255 degrees of freedom: above 350 is less likely than 1 in 10,000.
        let chi_square: f64 = counts.iter().map(|&n| (f64::from(n) - 1_000.0).powi(2) / 1_000.0).sum();
        assert!(chi_square < 350.0, "{chi_square}");
    }
}
