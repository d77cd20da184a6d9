//! The context model of latents with block levels: how large the neighbours' errors say the next one will be.
//!
//! One traversal serves both directions, so that coder and decoder cannot disagree: channels one after another, rows
//! from the top, columns from the left. All arithmetic is on integers; Q8 and Q16 are fixed point with 8 and 16
//! fractional bits.
//!
//! ```text
//! mean_q8  = clamp((Σ weight · k >> 8) div step, ±(32767 << 8))         the predicted channels; else 0
//! error    = min(|(q << 8) - mean_q8| >> 4, 2^14)                       in 1/16 step
//! expected = bias + (Σ weight · f >> 8)                                 Q8, log2 of the expected |error| in steps
//! bin      = clamp((expected - first) div width + 1, 0, bins - 1)
//! ```
//!
//! The features f, with L(v) = log2((v + 1) / 16) in Q8:
//!
//! ```text
//! f0 = L(2 W + 2 N + NW + NE)   f1 = L(WW + NN)          errors of the own channel
//! f2 = L(the two channels before, same place)
//! f3 = L(run8)   f4 = L(run8 at N, S, W, E)              run8: sum over the 8 channels before
//! f5 = L(run)    f6 = L(run at N, S, W, E)   f7 = L(run at the diagonals)      run: over all channels before
//! f8 = t << 4                                            the block's step
//! ```
//!
//! Channel 0, the levels, is in none of the sums; its own f2 to f8 are 0.

use super::quantiser::{LEVELS, LevelQuantiser, coefficient};
use crate::context::{Position, Prediction, Shape};
use crate::error::LatentError;
use crate::quantise::MAX_SYMBOL;
use crate::range::Fault;
use crate::tables::{FRACTIONS, LevelChannel, LevelModel, Tables, Tap};

/// Largest error that a context sees, in 1/16 step: so small that no sum of them reaches 2^24.
const MAX_ERROR: u32 = 1 << 14;
/// Channels that `run8` sums.
const SHORT_RUN: usize = 8;

/// What happens to each value, in coding order: it is written, or it is read.
///
/// A trait and not a closure, so that it can ask to be inlined: a call costs as much as the rest of a symbol.
pub(super) trait Code {
    /// The value, in its channel and under its prediction. Channel 0's must be a level.
    fn code(&mut self, channel: usize, prediction: Prediction<'_>) -> Result<i32, Fault>;

    /// The values of a row that is complete.
    fn done(&mut self, row: &[i32]);
}

/// Goes through the values of a latent in coding order.
///
/// Memory grows a row at a time in channel 0; the sums over channels follow once it has been coded.
pub(super) fn traverse<'t>(
    tables: &'t Tables,
    quantiser: &'t LevelQuantiser,
    shape: Shape,
    coding: &mut impl Code,
) -> Result<(), LatentError> {
    let model = tables.levels()?;
    let (width, height) = (shape.width as usize, shape.height as usize);
    let mut past = Past::new(width);
    let mut row = Row::new(tables, model, quantiser, width);
    for channel in 0..usize::from(shape.channels) {
        past.begin(channel, channel < model.predicted);
        row.begin(channel);
        for y in 0..height {
            row.gather(&past, y);
            let coded =
                if channel < model.predicted { row.code::<true>(coding) } else { row.code::<false>(coding) };
            coded.map_err(|(x, fault)| fault.at(Position { channel: channel as u8, y: y as u32, x }))?;
            past.push(channel, &row);
            coding.done(&row.quantised);
        }
        past.finish(channel, height);
    }
    Ok(())
}

/// log2((v + 1) / 16) in Q8, for v below 2^24 - 1: the exponent, the eight bits after the leading one, and a parabola
/// for what the logarithm lies above them.
#[inline]
fn log2_q8(v: i32) -> i16 {
    // Up to 2^24 an integer is an exact f32, whose bits begin with exponent and fraction: this way, and unlike with
    // `leading_zeros`, a row's logarithms are computed side by side. They are between -1024 and 5120.
    const EXPONENT_OF_16: i32 = 127 + 4;
    let bits = ((v + 1) as f32).to_bits() as i32;
    let linear = ((bits >> 15) - (EXPONENT_OF_16 << 8)) as i16;
    let fraction = linear & 255;
    let above = (i32::from(fraction * (256 - fraction)) * 90) >> 16;
    linear + above as i16
}

/// As [`log2_q8`], for one value at a time.
#[inline]
fn log2_q8_one(v: i32) -> i32 {
    i32::from(SMALL_LOG2_Q8.get(v as usize).copied().unwrap_or_else(|| log2_q8(v)))
}

/// [`log2_q8`] of small values, by far the most frequent.
static SMALL_LOG2_Q8: [i16; 1024] = {
    let mut logarithms = [0; 1024];
    let mut v = 0;
    while v < logarithms.len() {
        let exponent = (v + 1).ilog2();
        let fraction = (((v + 1) << 8) >> exponent) & 255;
        logarithms[v] =
            ((exponent as i16 - 4) << 8) + (fraction + ((90 * fraction * (256 - fraction)) >> 16)) as i16;
        v += 1;
    }
    logarithms
};

/// What has been coded so far.
struct Past {
    width: usize,
    levels: Vec<u8>,
    /// Dequantised values of the predicted channels, with a margin of zeros.
    coefficients: Vec<Vec<i32>>,
    /// Errors of the last channels, channel c in slot c mod 9.
    errors: [Vec<u16>; SHORT_RUN + 1],
    /// Sums of the errors of all channels before and of the 8 before, with a margin of zeros.
    run: Vec<i32>,
    short_run: Vec<i32>,
}

impl Past {
    fn new(width: usize) -> Self {
        let errors = std::array::from_fn(|_| Vec::new());
        Self {
            width,
            levels: Vec::new(),
            coefficients: Vec::new(),
            errors,
            run: Vec::new(),
            short_run: Vec::new(),
        }
    }

    /// Width of a row with its margins.
    fn stride(&self) -> usize {
        self.width + 2
    }

    fn begin(&mut self, channel: usize, predicted: bool) {
        self.errors[channel % self.errors.len()].clear();
        if predicted {
            self.coefficients.push(vec![0; self.stride()]);
        }
    }

    fn push(&mut self, channel: usize, row: &Row<'_>) {
        self.errors[channel % self.errors.len()].extend_from_slice(&row.errors[1..=self.width]);
        if channel == 0 {
            self.levels.extend(row.quantised.iter().map(|&level| level as u8));
        }
        if let Some(plane) = self.coefficients.get_mut(channel) {
            plane.push(0);
            plane.extend_from_slice(&row.values);
            plane.push(0);
        }
    }

    fn finish(&mut self, channel: usize, height: usize) {
        let stride = self.stride();
        if let Some(plane) = self.coefficients.get_mut(channel) {
            plane.resize(plane.len() + stride, 0);
        }
        if channel == 0 {
            self.run = vec![0; (height + 2) * stride];
            self.short_run = self.run.clone();
            return;
        }
        let last = &self.errors[channel % self.errors.len()];
        let leaving = (channel > SHORT_RUN).then(|| &self.errors[(channel - SHORT_RUN) % self.errors.len()]);
        for y in 0..height {
            let (inner, place) = (y * self.width..(y + 1) * self.width, (y + 1) * stride + 1);
            let run = &mut self.run[place..][..self.width];
            let short_run = &mut self.short_run[place..][..self.width];
            for ((run, short_run), &error) in
                run.iter_mut().zip(short_run.iter_mut()).zip(&last[inner.clone()])
            {
                *run += i32::from(error);
                *short_run += i32::from(error);
            }
            if let Some(leaving) = leaving {
                for (short_run, &error) in short_run.iter_mut().zip(&leaving[inner]) {
                    *short_run -= i32::from(error);
                }
            }
        }
    }

    /// Row `y` of the errors of an earlier channel.
    fn errors(&self, channel: usize, y: usize) -> &[u16] {
        &self.errors[channel % self.errors.len()][y * self.width..][..self.width]
    }
}

/// Three rows of a plane with margins: above, the row itself, below.
struct Around<'a>([&'a [i32]; 3]);

impl<'a> Around<'a> {
    fn of(plane: &'a [i32], stride: usize, y: usize) -> Self {
        Self(std::array::from_fn(|row| &plane[(y + row) * stride..][..stride]))
    }

    /// The value at each place.
    fn here(&self, sums: &mut [i32]) {
        sums.copy_from_slice(&self.0[1][1..=sums.len()]);
    }

    /// The sum of the values above, below, left and right of each place.
    fn cross(&self, sums: &mut [i32]) {
        let [above, row, below] = self.0;
        let beside = row.iter().zip(&row[2..]);
        for (sum, ((n, s), (w, e))) in sums.iter_mut().zip(above[1..].iter().zip(&below[1..]).zip(beside)) {
            *sum = n + s + w + e;
        }
    }

    /// The sum of the values at the four corners of each place.
    fn diagonal(&self, sums: &mut [i32]) {
        let [above, _, below] = self.0;
        let (upper, lower) = (above.iter().zip(&above[2..]), below.iter().zip(&below[2..]));
        for (sum, ((nw, ne), (sw, se))) in sums.iter_mut().zip(upper.zip(lower)) {
            *sum = nw + ne + sw + se;
        }
    }
}

/// The row that is being coded.
struct Row<'t> {
    tables: &'t Tables,
    model: &'t LevelModel,
    quantiser: &'t LevelQuantiser,
    channel: usize,
    /// Σ weight · f over the features that do not depend on the row itself.
    weighted: Vec<i32>,
    /// 2 N + NW + NE, and NN: what the rows above add to f0 and f1.
    above: Vec<i32>,
    further_above: Vec<i32>,
    /// Σ weight · k over all neighbours but the one on the left.
    mean_q16: Vec<i64>,
    steps: Vec<i32>,
    quantised: Vec<i32>,
    /// Dequantised values of a predicted channel; of channel 0 the levels.
    values: Vec<i32>,
    /// Errors of this row with a margin of zeros, and of the two rows above it.
    errors: Vec<u16>,
    errors_above: [Vec<u16>; 2],
    /// Room for one feature's sums.
    sums: Vec<i32>,
}

impl<'t> Row<'t> {
    fn new(tables: &'t Tables, model: &'t LevelModel, quantiser: &'t LevelQuantiser, width: usize) -> Self {
        let (zeros, margined) = (vec![0; width], vec![0; width + 2]);
        Self {
            tables,
            model,
            quantiser,
            channel: 0,
            weighted: zeros.clone(),
            above: zeros.clone(),
            further_above: zeros.clone(),
            mean_q16: vec![0; width],
            steps: vec![1; width],
            quantised: zeros.clone(),
            values: zeros.clone(),
            errors: margined.clone(),
            errors_above: [margined.clone(), margined],
            sums: zeros,
        }
    }

    fn begin(&mut self, channel: usize) {
        self.channel = channel;
        self.weighted.fill(0);
        self.errors.fill(0);
        self.errors_above[0].fill(0);
    }

    fn model(&self) -> &'t LevelChannel {
        &self.model.channels[self.channel]
    }

    /// Sums what the rows above and the earlier channels say, for the whole row at once.
    fn gather(&mut self, past: &Past, y: usize) {
        self.errors_above.swap(0, 1);
        std::mem::swap(&mut self.errors_above[0], &mut self.errors);
        let [above, further] = &self.errors_above;
        let upper = above.iter().zip(&above[1..]).zip(&above[2..]);
        for (sum, ((&nw, &n), &ne)) in self.above.iter_mut().zip(upper) {
            *sum = 2 * i32::from(n) + i32::from(nw) + i32::from(ne);
        }
        for (sum, &nn) in self.further_above.iter_mut().zip(&further[1..]) {
            *sum = i32::from(nn);
        }
        if self.channel > 0 {
            self.gather_earlier(past, y);
            let levels = &past.levels[y * past.width..][..past.width];
            self.gather_steps(levels);
        }
        if self.channel < self.model.predicted {
            self.gather_means(past, y);
        }
    }

    /// Sums the features of earlier channels.
    ///
    /// No sum can overflow: the weights' magnitudes sum to at most 2^16, and a feature's is below 2^13.
    fn gather_earlier(&mut self, past: &Past, y: usize) {
        let weights = self.model().weights_q8;
        self.sums.fill(0);
        for before in [1, 2].into_iter().filter(|before| self.channel > *before) {
            for (sum, &error) in self.sums.iter_mut().zip(past.errors(self.channel - before, y)) {
                *sum += i32::from(error);
            }
        }
        self.weighted.fill(0);
        self.weigh(weights[2]);
        let short_run = Around::of(&past.short_run, past.stride(), y);
        short_run.here(&mut self.sums);
        self.weigh(weights[3]);
        short_run.cross(&mut self.sums);
        self.weigh(weights[4]);
        let run = Around::of(&past.run, past.stride(), y);
        run.here(&mut self.sums);
        self.weigh(weights[5]);
        run.cross(&mut self.sums);
        self.weigh(weights[6]);
        run.diagonal(&mut self.sums);
        self.weigh(weights[7]);
    }

    /// Adds the weighted logarithm of the sums.
    fn weigh(&mut self, weight: i16) {
        for (weighted, &sum) in self.weighted.iter_mut().zip(&self.sums) {
            *weighted += i32::from(weight) * i32::from(log2_q8(sum));
        }
    }

    fn gather_steps(&mut self, levels: &[u8]) {
        let weight = i32::from(self.model().weights_q8[8]);
        let steps = self.quantiser.steps(self.channel);
        let weighted: [i32; LEVELS] =
            std::array::from_fn(|level| weight * (self.quantiser.octaves(level as i32) << 4));
        for ((sum, step), &level) in self.weighted.iter_mut().zip(&mut self.steps).zip(levels) {
            *sum += weighted[usize::from(level)];
            *step = steps[usize::from(level)];
        }
    }

    /// Sums what is known of the mean. No sum can overflow: at most 32 · 9 taps of |weight · k| <= 2^46.
    fn gather_means(&mut self, past: &Past, y: usize) {
        let (stride, width) = (past.stride(), self.values.len());
        self.mean_q16.fill(0);
        let model = self.model();
        for tap in &model.mean_taps {
            if self.on_the_left(tap) {
                continue;
            }
            let row = (y + 1).checked_add_signed(isize::from(tap.dy)).expect("a tap reaches one row up");
            let column =
                1_usize.checked_add_signed(isize::from(tap.dx)).expect("a tap reaches one column left");
            let neighbours = &past.coefficients[usize::from(tap.channel)][row * stride + column..][..width];
            for (sum, &k) in self.mean_q16.iter_mut().zip(neighbours) {
                *sum += i64::from(tap.weight) * i64::from(k);
            }
        }
    }

    fn on_the_left(&self, tap: &Tap<i32>) -> bool {
        usize::from(tap.channel) == self.channel && tap.dy == 0
    }

    /// Codes the row's values from the left. Says where a fault was met.
    fn code<const PREDICTED: bool>(&mut self, coding: &mut impl Code) -> Result<(), (u32, Fault)> {
        let channel = self.channel;
        let model = self.model();
        let [own, further_own] = [model.weights_q8[0], model.weights_q8[1]].map(i32::from);
        let left_weight =
            model.mean_taps.iter().find(|tap| self.on_the_left(tap)).map_or(0, |tap| i64::from(tap.weight));
        let (mut left, mut further_left, mut left_value) = (0, 0, 0);
        let sums = self.weighted.iter().zip(&self.above).zip(&self.further_above);
        let means = self.mean_q16.iter().zip(&self.steps);
        let places = self.quantised.iter_mut().zip(&mut self.values).zip(&mut self.errors[1..]);
        for (x, ((((&weighted, &above), &further_above), (&mean_q16, &step)), ((quantised, value), error))) in
            sums.zip(means).zip(places).enumerate()
        {
            let weighted = weighted
                + own * log2_q8_one(above + 2 * left)
                + further_own * log2_q8_one(further_above + further_left);
            let bin = self.model.bin(model.bias_q8 + (weighted >> 8));
            let (mean_q8, mean, index) = if PREDICTED {
                const LIMIT: i64 = (MAX_SYMBOL as i64) << 8;
                let mean_q16 = mean_q16 + left_weight * i64::from(left_value);
                let mean_q8 = (mean_q16 >> 8).div_euclid(i64::from(step)).clamp(-LIMIT, LIMIT) as i32;
                let mean = (mean_q8 + 128) >> 8;
                (mean_q8, mean, bin * FRACTIONS + ((mean_q8 - (mean << 8) + 128) >> 5) as usize)
            } else {
                (0, 0, bin)
            };
            let residuals = self.tables.distribution(model.first_distribution + index);
            let q =
                coding.code(channel, Prediction { mean, residuals }).map_err(|fault| (x as u32, fault))?;
            further_left = left;
            left = (((q << 8) - mean_q8).unsigned_abs() >> 4).min(MAX_ERROR) as i32;
            *error = left as u16;
            *quantised = q;
            if PREDICTED {
                left_value = coefficient(q, step);
                *value = left_value;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{log2_q8, log2_q8_one};

    /// As the specification has it, with no floating point.
    fn literal(v: u32) -> i32 {
        let exponent = (v + 1).ilog2();
        let fraction = i64::from((u64::from(v + 1) << 8 >> exponent) as u32 & 255);
        ((exponent as i32 - 4) << 8) + (fraction + ((90 * fraction * (256 - fraction)) >> 16)) as i32
    }

    #[test]
    fn the_logarithm_is_the_integer_one() {
        for v in (0..1 << 16).chain((1 << 16..(1 << 24) - 1).step_by(97)).chain([(1 << 24) - 2]) {
            assert_eq!([log2_q8(v as i32).into(), log2_q8_one(v as i32)], [literal(v); 2], "{v}");
        }
    }

    #[test]
    fn the_logarithm_is_near_the_true_one() {
        for v in (0..4_000).chain((4_000..16_000_000).step_by(9_973)) {
            let exact = 256.0 * (f64::from(v + 1) / 16.0).log2();
            assert!((f64::from(log2_q8(v)) - exact).abs() < 4.0, "{v}");
        }
        assert_eq!([log2_q8(0), log2_q8(15), log2_q8((1 << 24) - 2)], [-1024, 0, 5119]);
    }
}
