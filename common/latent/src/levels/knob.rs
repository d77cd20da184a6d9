//! The rate knob of models with block levels.

/// How coarse a picture is quantised, in sixteenths of an octave: each step is `2^(K/16)` of the model's own.
///
/// In the coded image it stands as the quantiser step `Q(K) = round(256 · 2^(K/16))`; no other step is a knob's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Knob(i8);

impl Knob {
    /// The finest: an eighth of the model's own steps.
    pub const FINEST: Self = Self(-48);
    /// The model's own steps.
    pub const NEUTRAL: Self = Self(0);
    /// The coarsest: sixteen times the model's own steps.
    pub const COARSEST: Self = Self(64);

    /// The knob K, if it lies in -48..=64.
    pub fn new(value: i32) -> Option<Self> {
        let knob = Self(i8::try_from(value).ok()?);
        (Self::FINEST..=Self::COARSEST).contains(&knob).then_some(knob)
    }

    /// The knob whose quantiser step (in 1/256) is exactly this.
    pub fn from_step(step: u16) -> Option<Self> {
        STEPS.binary_search(&step).ok().map(Self::at)
    }

    /// The knob whose quantiser step is nearest to this; of two equally near, the finer.
    pub fn nearest(step: u16) -> Self {
        let above = STEPS.partition_point(|&known| known < step).min(STEPS.len() - 1);
        let below = above.saturating_sub(1);
        Self::at(if step.abs_diff(STEPS[below]) <= step.abs_diff(STEPS[above]) { below } else { above })
    }

    /// K.
    pub fn value(self) -> i32 {
        i32::from(self.0)
    }

    /// Q(K): the quantiser step in 1/256 of the model's own steps.
    pub fn quantiser_step(self) -> u16 {
        STEPS[(self.0 - Self::FINEST.0) as usize]
    }

    /// All knobs, finest first.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> + ExactSizeIterator {
        (0..STEPS.len()).map(Self::at)
    }

    fn at(index: usize) -> Self {
        Self(index as i8 + Self::FINEST.0)
    }
}

/// Q(K) for K = -48..=64.
const STEPS: [u16; 113] = [
    32, 33, 35, 36, 38, 40, 41, 43, 45, 47, 49, 52, 54, 56, 59, 61, //
    64, 67, 70, 73, 76, 79, 83, 87, 91, 95, 99, 103, 108, 112, 117, 123, //
    128, 134, 140, 146, 152, 159, 166, 173, 181, 189, 197, 206, 215, 225, 235, 245, //
    256, 267, 279, 292, 304, 318, 332, 347, 362, 378, 395, 412, 431, 450, 470, 490, //
    512, 535, 558, 583, 609, 636, 664, 693, 724, 756, 790, 825, 861, 899, 939, 981, //
    1024, 1069, 1117, 1166, 1218, 1272, 1328, 1387, 1448, 1512, 1579, 1649, 1722, 1798, 1878, 1961, //
    2048, 2139, 2233, 2332, 2435, 2543, 2656, 2774, 2896, 3025, 3158, 3298, 3444, 3597, 3756, 3922, //
    4096,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_a_knob_of_sixteen_to_the_octave() {
        for knob in Knob::all() {
            let exact = 256.0 * (f64::from(knob.value()) / 16.0).exp2();
            assert_eq!(f64::from(knob.quantiser_step()), exact.round());
            assert_eq!(Knob::from_step(knob.quantiser_step()), Some(knob));
            assert_eq!(Knob::nearest(knob.quantiser_step()), knob);
            assert_eq!(Knob::new(knob.value()), Some(knob));
        }
        assert_eq!(Knob::from_step(256), Some(Knob::NEUTRAL));
        assert_eq!([Knob::new(-49), Knob::new(65), Knob::new(200), Knob::new(i32::MIN)], [None; 4]);
    }

    #[test]
    fn every_other_step_is_snapped_and_not_a_knob() {
        for step in 0..=u16::MAX {
            let nearest = Knob::nearest(step);
            let distance = nearest.quantiser_step().abs_diff(step);
            assert!(Knob::all().all(|knob| knob.quantiser_step().abs_diff(step) >= distance), "{step}");
            assert_eq!(Knob::from_step(step).is_some(), distance == 0, "{step}");
        }
        assert_eq!(Knob::nearest(34), Knob::from_step(33).unwrap());
    }
}
