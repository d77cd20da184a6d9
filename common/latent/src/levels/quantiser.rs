//! The block-adaptive quantiser: every block has a level of its own, which travels as channel 0 of the latent.

use super::Knob;
use crate::error::LatentError;
use crate::quantise::{MAX_SYMBOL, QuantisedLatent, plane_length};

/// Largest level of a block.
pub const MAX_LEVEL: i32 = 31;
/// Levels that a block can have.
pub(crate) const LEVELS: usize = MAX_LEVEL as usize + 1;
/// Sixteenths of an octave that one level is worth.
const PER_LEVEL: i32 = 4;
/// Largest base step.
const MAX_BASE_STEP: u32 = 1 << 28;
/// Largest step, in coefficient units.
const MAX_STEP: i64 = 1 << 20;
/// round(2^16 · 2^(j/16)).
const GAIN: [i64; 16] = [
    65_536, 68_438, 71_468, 74_632, 77_936, 81_386, 84_990, 88_752, 92_682, 96_785, 101_070, 105_545,
    110_218, 115_098, 120_194, 125_515,
];

/// The steps of a model with block levels, at one knob.
///
/// ```text
/// t          = 4 · level + K                                                            in 1/16 octave
/// step(c, t) = clamp((base[c] · GAIN[t mod 16] · 2^(t div 16)) >> 24, 1, 2^20)          in coefficient units
/// k          = clamp(q · step(c, t), -32768, 32767)                                     channels 1 and above
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LevelQuantiser {
    knob: Knob,
    /// Step of each channel (channel 0: 1) at each level.
    steps: Vec<[i32; LEVELS]>,
}

impl LevelQuantiser {
    /// A model's `steps` (in 1/256 coefficient unit, at level 0 and knob 0; channel 0's must be 1) at a knob.
    ///
    /// # Errors
    /// [`LatentError::Shape`] unless there are 1 to 255 steps, [`LatentError::BaseStep`] for a step outside 1..=2^28.
    pub fn new(steps: &[u32], knob: Knob) -> Result<Self, LatentError> {
        if !(1..=255).contains(&steps.len()) {
            let problem = format!("{} base steps, one for each of 1 to 255 channels expected", steps.len());
            return Err(LatentError::Shape { problem });
        }
        let sound = |(channel, step): (usize, &u32)| match channel {
            0 => *step == 1,
            _ => (1..=MAX_BASE_STEP).contains(step),
        };
        if let Some(channel) = (0..steps.len()).find(|&channel| !sound((channel, &steps[channel]))) {
            return Err(LatentError::BaseStep { channel, step: steps[channel] });
        }
        let of_channel = |(channel, &base): (usize, &u32)| {
            std::array::from_fn(|level| match channel {
                0 => 1,
                _ => step(base, octaves(level as i32, knob)),
            })
        };
        Ok(Self { knob, steps: steps.iter().enumerate().map(of_channel).collect() })
    }

    /// Number of channels of the latent, 1 to 255.
    pub fn channels(&self) -> u8 {
        self.steps.len() as u8
    }

    /// The knob.
    pub fn knob(&self) -> Knob {
        self.knob
    }

    /// Steps of a channel at each level.
    pub(crate) fn steps(&self, channel: usize) -> &[i32; LEVELS] {
        &self.steps[channel]
    }

    /// t of a level.
    pub(crate) fn octaves(&self, level: i32) -> i32 {
        octaves(level, self.knob)
    }
}

fn octaves(level: i32, knob: Knob) -> i32 {
    PER_LEVEL * level + knob.value()
}

fn step(base: u32, octaves: i32) -> i32 {
    // Below 2^28 · 2^17, and from -3 to 11 whole octaves: the shift is 13 to 27.
    let product = i64::from(base) * GAIN[octaves.rem_euclid(16) as usize];
    (product >> (24 - octaves.div_euclid(16))).clamp(1, MAX_STEP) as i32
}

/// The value that an integer stands for, in coefficient units.
#[inline]
pub(crate) fn coefficient(q: i32, step: i32) -> i32 {
    let product = i64::from(q) * i64::from(step);
    product.clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i32
}

/// Quantises a planar latent whose channel 0 holds the blocks' levels.
///
/// `level = clamp(round_half_even(value), 0, 31)`, then `v = value / step`, `q = sign(v) · floor(|v| + 0.5 - dead_zone)`,
/// saturated at ±[`MAX_SYMBOL`]; all in IEEE 754 `f32`. `dead_zone`, 0 to 0.5, trades distortion for rate.
/// Shape: `values` is `[channels, height, width]`, channels being the quantiser's.
///
/// # Errors
/// [`LatentError::NotFinite`] for NaN or infinite values, [`LatentError::Shape`] when lengths do not fit,
/// [`LatentError::DeadZone`] for a dead zone out of its range.
pub fn quantise_levels(
    values: &[f32],
    height: u32,
    width: u32,
    quantiser: &LevelQuantiser,
    dead_zone: f32,
) -> Result<QuantisedLatent, LatentError> {
    if !(0.0..=0.5).contains(&dead_zone) {
        return Err(LatentError::DeadZone);
    }
    let wanted = in_steps(values, height, width, quantiser)?;
    let channels = quantiser.channels();
    let (levels, coefficients) = wanted.split_at(wanted.len() / usize::from(channels));
    let mut quantised = Vec::with_capacity(wanted.len());
    quantised.extend(levels.iter().map(|level| *level as i32));
    quantised.extend(coefficients.iter().map(|v| {
        // Truncation is the floor here: the sum is not negative.
        let magnitude = ((v.abs() + 0.5 - dead_zone) as i32).min(MAX_SYMBOL);
        if *v < 0.0 { -magnitude } else { magnitude }
    }));
    Ok(QuantisedLatent { channels, height, width, values: quantised })
}

/// A planar latent in steps: the levels rounded (half to even) and held in 0..=31, each coefficient divided by the step
/// of its block's level.
///
/// # Errors
/// [`LatentError::NotFinite`] for NaN or infinite values, [`LatentError::Shape`] when lengths do not fit.
pub(crate) fn in_steps(
    values: &[f32],
    height: u32,
    width: u32,
    quantiser: &LevelQuantiser,
) -> Result<Vec<f32>, LatentError> {
    let plane = plane_length(values.len(), quantiser.channels(), height, width)?;
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        return Err(LatentError::NotFinite { index });
    }
    let (levels, coefficients) = values.split_at(plane);
    let mut wanted = Vec::with_capacity(values.len());
    wanted.extend(levels.iter().map(|level| level.round_ties_even().clamp(0.0, MAX_LEVEL as f32)));
    let levels: Vec<usize> = wanted.iter().map(|level| *level as usize).collect();
    for (channel, values) in coefficients.chunks_exact(plane).enumerate() {
        // A step is at most 2^20: an exact f32.
        let steps = quantiser.steps(channel + 1).map(|step| step as f32);
        wanted.extend(values.iter().zip(&levels).map(|(value, &level)| value / steps[level]));
    }
    Ok(wanted)
}

/// What the decoder net takes: channel 0 holds t = 4 · level + K, the others the coefficients; all exact integers.
///
/// # Errors
/// [`LatentError::Shape`] when lengths do not fit, [`LatentError::ChannelMismatch`] when the quantiser is for another
/// number of channels, [`LatentError::Level`] for a level outside 0..=31.
pub fn dequantise_levels(
    latent: &QuantisedLatent,
    quantiser: &LevelQuantiser,
) -> Result<Vec<f32>, LatentError> {
    let plane = plane_length(latent.values.len(), latent.channels, latent.height, latent.width)?;
    check_channels(latent, quantiser)?;
    let (levels, coefficients) = latent.values.split_at(plane);
    check_levels(levels)?;
    let mut values = Vec::with_capacity(latent.values.len());
    values.extend(levels.iter().map(|&level| quantiser.octaves(level) as f32));
    for (channel, plane) in coefficients.chunks_exact(plane).enumerate() {
        let steps = quantiser.steps(channel + 1);
        let of = |(&q, &level): (&i32, &i32)| coefficient(q, steps[level as usize]) as f32;
        values.extend(plane.iter().zip(levels).map(of));
    }
    Ok(values)
}

pub(crate) fn check_channels(
    latent: &QuantisedLatent,
    quantiser: &LevelQuantiser,
) -> Result<(), LatentError> {
    if latent.channels == quantiser.channels() {
        return Ok(());
    }
    Err(LatentError::ChannelMismatch { tables: quantiser.channels(), latent: latent.channels })
}

pub(crate) fn check_levels(levels: &[i32]) -> Result<(), LatentError> {
    match levels.iter().position(|level| !(0..=MAX_LEVEL).contains(level)) {
        Some(index) => Err(LatentError::Level { value: levels[index], index }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn knob(value: i32) -> Knob {
        Knob::new(value).unwrap()
    }

    #[test]
    fn gains_are_sixteenths_of_an_octave() {
        for (j, gain) in GAIN.iter().enumerate() {
            assert_eq!(*gain as f64, (65_536.0 * (j as f64 / 16.0).exp2()).round());
        }
    }

    #[test]
    fn steps_follow_the_octaves_and_stay_in_range() {
        for base in [1, 255, 256, 81_920, 79_003, MAX_BASE_STEP] {
            for t in -48..=188 {
                let exact = f64::from(base) / 256.0 * (f64::from(t) / 16.0).exp2();
                let found = f64::from(step(base, t));
                let near = (exact * 0.999_98).floor()..=(exact * 1.000_02);
                assert!(near.contains(&found) || found == 1.0 || found == MAX_STEP as f64, "{base} {t}");
            }
        }
        assert_eq!(step(81_920, 0), 320);
        assert_eq!([step(81_920, 16), step(81_920, -16), step(81_920, -48)], [640, 160, 40]);
        assert_eq!([step(1, -48), step(MAX_BASE_STEP, 188)], [1, 1 << 20]);
        assert_eq!(step(79_003, 5), ((79_003_i64 * 81_386) >> 24) as i32);
        assert_eq!(step(79_003, -5), ((79_003_i64 * 105_545) >> 25) as i32);
    }

    #[test]
    fn levels_come_first_and_set_the_steps() {
        let quantiser = LevelQuantiser::new(&[1, 2_560], knob(16)).unwrap();
        let values = [0.5, 1.5, 4.2, -3.0, 50.0, 0.0, 30.0, -30.0, 100.0, -1e30, 1e30, 10.0];
        let q = quantise_levels(&values, 2, 3, &quantiser, 0.0).unwrap();
        assert_eq!(q.values, [0, 2, 4, 0, 31, 0, 2, -1, 3, -MAX_SYMBOL, MAX_SYMBOL, 1]);
        let k = dequantise_levels(&q, &quantiser).unwrap();
        assert_eq!(k[..6], [16.0, 24.0, 32.0, 16.0, 140.0, 16.0]);
        assert_eq!(k[6..], [40.0, -28.0, 120.0, -32_768.0, 32_767.0, 20.0]);
    }

    #[test]
    fn the_dead_zone_takes_small_values_to_zero() {
        let quantiser = LevelQuantiser::new(&[1, 2_560], Knob::NEUTRAL).unwrap();
        let mut values = [0.0; 10];
        values[5..].copy_from_slice(&[5.0, 6.9, 7.1, -16.9, -17.1]);
        let with = |dead_zone| quantise_levels(&values, 1, 5, &quantiser, dead_zone).unwrap().values;
        assert_eq!(with(0.0)[5..], [1, 1, 1, -2, -2]);
        assert_eq!(with(0.2)[5..], [0, 0, 1, -1, -2]);
        assert_eq!(with(0.5)[5..], [0, 0, 0, -1, -1]);
        for bad in [-0.1, 0.51, f32::NAN] {
            assert_eq!(quantise_levels(&values, 1, 5, &quantiser, bad), Err(LatentError::DeadZone));
        }
    }

    #[test]
    fn unusable_steps_values_and_shapes_are_refused() {
        let new = |steps: &[u32]| LevelQuantiser::new(steps, Knob::NEUTRAL);
        assert!(matches!(new(&[]), Err(LatentError::Shape { .. })));
        assert!(matches!(new(&[1; 256]), Err(LatentError::Shape { .. })));
        assert_eq!(new(&[2, 5]), Err(LatentError::BaseStep { channel: 0, step: 2 }));
        for bad in [0, MAX_BASE_STEP + 1, u32::MAX] {
            assert_eq!(new(&[1, 7, bad]), Err(LatentError::BaseStep { channel: 2, step: bad }));
        }
        let quantiser = new(&[1, MAX_BASE_STEP]).unwrap();
        let quantise = |values: &[f32]| quantise_levels(values, 1, 1, &quantiser, 0.0);
        assert!(matches!(quantise(&[0.0]), Err(LatentError::Shape { .. })));
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(quantise(&[0.0, bad]), Err(LatentError::NotFinite { index: 1 }));
            assert_eq!(quantise(&[bad, 0.0]), Err(LatentError::NotFinite { index: 0 }));
        }
        let latent = |channels, values| QuantisedLatent { channels, height: 1, width: 1, values };
        for bad in [-1, 32, i32::MAX] {
            let result = dequantise_levels(&latent(2, vec![bad, 0]), &quantiser);
            assert_eq!(result, Err(LatentError::Level { value: bad, index: 0 }));
        }
        assert!(matches!(
            dequantise_levels(&latent(3, vec![0; 3]), &quantiser),
            Err(LatentError::ChannelMismatch { .. })
        ));
        assert!(matches!(
            dequantise_levels(&latent(2, vec![0; 3]), &quantiser),
            Err(LatentError::Shape { .. })
        ));
    }

    proptest! {
        #[test]
        fn the_error_is_at_most_half_a_step(
            level in 0.0_f32..31.0,
            value in -2_000_f32..2_000.0,
            base in 256_u32..100_000,
            at in -48_i32..=64,
        ) {
            let quantiser = LevelQuantiser::new(&[1, base], knob(at)).unwrap();
            let q = quantise_levels(&[level, value], 1, 1, &quantiser, 0.0).unwrap();
            let k = dequantise_levels(&q, &quantiser).unwrap()[1];
            let step = quantiser.steps(1)[q.values[0] as usize] as f32;
            prop_assert!((k - value).abs() <= 0.5 * step + 0.01, "{k} {value} {step}");
        }
    }
}
