//! The context model: what the neighbours already coded say about the next value.
//!
//! One traversal serves both directions, so that coder and decoder cannot disagree: channels one after another, rows
//! from the top, columns from the left. All arithmetic is on integers; Q8 and Q16 are fixed point with 8 and 16
//! fractional bits.
//!
//! ```text
//! mean_q8     = clamp((mean_bias + Σ weight · q) >> 8, ±(32767 << 8))
//! m           = (mean_q8 + 128) >> 8                      the integer nearest to the mean
//! fraction    = (mean_q8 - (m << 8) + 128) >> 5           0..=7: where the mean lies round m
//! activity_q8 = ((activity_bias << 8) + Σ weight · error_q8) >> 16
//! bin         = number of thresholds <= activity_q8
//! error_q8    = |(q << 8) - mean_q8|                      kept for later activities
//! ```

use crate::error::LatentError;
use crate::probability::{Distribution, PRECISION};
use crate::quantise::MAX_SYMBOL;
use crate::tables::{Channel, FRACTIONS, REACH, Tables, Tap};

/// A latent's shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    pub(crate) channels: u8,
    pub(crate) height: u32,
    pub(crate) width: u32,
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Position {
    pub(crate) channel: u8,
    pub(crate) y: u32,
    pub(crate) x: u32,
}

/// What is known of a value before it is coded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prediction<'a> {
    /// The nearest integer to the expected value.
    pub(crate) mean: i32,
    /// Distribution of the value minus `mean`.
    pub(crate) residuals: Distribution<'a>,
}

impl Prediction<'_> {
    /// How many bits a value takes under it, nearly.
    pub(crate) fn bits(&self, value: i32) -> f32 {
        let (residual, radius) = (value - self.mean, self.residuals.radius());
        let cost = |symbol: i32| {
            let probability = self.residuals.interval(symbol as u32).probability;
            PRECISION as f32 - f32::from(probability).log2()
        };
        if residual.abs() <= radius {
            return cost(residual + radius);
        }
        let prefix = (residual.unsigned_abs() - radius.unsigned_abs()).ilog2();
        cost(2 * radius + 1) + 2.0 * prefix as f32 + 2.0
    }
}

/// Calls `code` for each value in coding order; it returns the value.
///
/// Memory grows a row at a time, so that a decoder that stops early has allocated little.
pub(crate) fn traverse<'t>(
    tables: &'t Tables,
    shape: Shape,
    mut code: impl FnMut(Position, Prediction<'t>) -> Result<i32, LatentError>,
) -> Result<(), LatentError> {
    let models = tables.uniform()?;
    let mut planes = Planes::new(shape.width as usize);
    for channel in 0..shape.channels {
        planes.begin(channel);
        let mut row = Row::new(tables, &models[usize::from(channel)], channel, shape.width as usize);
        for y in 0..shape.height {
            row.gather(&planes, y as usize);
            row.code(|x, prediction| code(Position { channel, y, x }, prediction))?;
            planes.push(channel, &row.values, &row.errors);
        }
        planes.finish(channel);
    }
    Ok(())
}

const MARGIN: usize = REACH as usize;

/// Values and errors coded so far, each plane with a margin of zeros as wide as a tap can reach.
struct Planes {
    stride: usize,
    values: Vec<Vec<i32>>,
    errors_q8: Vec<Vec<u32>>,
}

impl Planes {
    fn new(width: usize) -> Self {
        Self { stride: width + 2 * MARGIN, values: Vec::new(), errors_q8: Vec::new() }
    }

    fn begin(&mut self, channel: u8) {
        debug_assert_eq!(self.values.len(), usize::from(channel));
        self.values.push(vec![0; MARGIN * self.stride]);
        self.errors_q8.push(vec![0; MARGIN * self.stride]);
    }

    fn push(&mut self, channel: u8, values: &[i32], errors_q8: &[u32]) {
        append(&mut self.values[usize::from(channel)], values);
        append(&mut self.errors_q8[usize::from(channel)], errors_q8);
    }

    /// Adds the lower margin, which taps of later channels may reach into.
    fn finish(&mut self, channel: u8) {
        let margin = MARGIN * self.stride;
        let (values, errors_q8) =
            (&mut self.values[usize::from(channel)], &mut self.errors_q8[usize::from(channel)]);
        values.resize(values.len() + margin, 0);
        errors_q8.resize(errors_q8.len() + margin, 0);
    }

    /// Index in a plane of the neighbour of row `y`, column 0.
    fn start(&self, y: usize, dy: i8, dx: i8) -> usize {
        let row = (y + MARGIN)
            .checked_add_signed(isize::from(dy))
            .expect("a tap reaches no further than the margin");
        let column =
            MARGIN.checked_add_signed(isize::from(dx)).expect("a tap reaches no further than the margin");
        row * self.stride + column
    }
}

fn append<T: Copy + Default>(plane: &mut Vec<T>, row: &[T]) {
    plane.extend([T::default(); MARGIN]);
    plane.extend_from_slice(row);
    plane.extend([T::default(); MARGIN]);
}

/// Weights of the two neighbours on the left, nearest first: the only ones that change within a row.
type Left<W> = [W; MARGIN];

/// The row that is being coded.
struct Row<'t> {
    tables: &'t Tables,
    channel: &'t Channel,
    mean_left: Left<i64>,
    activity_left: Left<u64>,
    /// Sums over all neighbours but those on the left.
    mean_q16: Vec<i64>,
    activity_q24: Vec<u64>,
    values: Vec<i32>,
    errors: Vec<u32>,
}

impl<'t> Row<'t> {
    fn new(tables: &'t Tables, model: &'t Channel, channel: u8, width: usize) -> Self {
        Self {
            tables,
            channel: model,
            mean_left: left(&model.mean_taps, channel),
            activity_left: left(&model.activity_taps, channel),
            mean_q16: vec![0; width],
            activity_q24: vec![0; width],
            values: vec![0; width],
            errors: vec![0; width],
        }
    }

    /// Sums what the rows above and the earlier channels say, for the whole row at once.
    ///
    /// No sum can overflow: a neighbour is looked at once, so there are fewer than 16 · 25 taps of |weight · q| <= 2^46;
    /// and the activity weights sum to less than 2^38 ([`Tables::parse`] sees to both), errors being below 2^24.
    fn gather(&mut self, planes: &Planes, y: usize) {
        let width = self.values.len();
        self.mean_q16.fill(i64::from(self.channel.mean_bias_q16));
        let own = planes.values.len() - 1;
        for tap in self.channel.mean_taps.iter().filter(|tap| !on_the_left(tap, own)) {
            let neighbours =
                &planes.values[usize::from(tap.channel)][planes.start(y, tap.dy, tap.dx)..][..width];
            for (sum, &q) in self.mean_q16.iter_mut().zip(neighbours) {
                *sum += i64::from(tap.weight) * i64::from(q);
            }
        }
        self.activity_q24.fill(u64::from(self.channel.activity_bias_q16) << 8);
        for tap in self.channel.activity_taps.iter().filter(|tap| !on_the_left(tap, own)) {
            let neighbours =
                &planes.errors_q8[usize::from(tap.channel)][planes.start(y, tap.dy, tap.dx)..][..width];
            for (sum, &error) in self.activity_q24.iter_mut().zip(neighbours) {
                *sum += u64::from(tap.weight) * u64::from(error);
            }
        }
    }

    /// Codes the row's values from the left.
    fn code(
        &mut self,
        mut code: impl FnMut(u32, Prediction<'t>) -> Result<i32, LatentError>,
    ) -> Result<(), LatentError> {
        let (mut left, mut further) = ((0, 0), (0, 0));
        let sums = self.mean_q16.iter().zip(&self.activity_q24);
        let places = self.values.iter_mut().zip(&mut self.errors);
        for (x, ((&mean_q16, &activity_q24), (value, error))) in sums.zip(places).enumerate() {
            let mean_q16 =
                mean_q16 + self.mean_left[0] * i64::from(left.0) + self.mean_left[1] * i64::from(further.0);
            let activity_q24 = activity_q24
                + self.activity_left[0] * u64::from(left.1)
                + self.activity_left[1] * u64::from(further.1);
            const LIMIT: i64 = (MAX_SYMBOL as i64) << 8;
            let mean_q8 = (mean_q16 >> 8).clamp(-LIMIT, LIMIT) as i32;
            let mean = (mean_q8 + 128) >> 8;
            let fraction = ((mean_q8 - (mean << 8) + 128) >> 5) as usize;
            let activity_q8 = u32::try_from(activity_q24 >> 16).unwrap_or(u32::MAX);
            let bin = self.channel.thresholds.partition_point(|&threshold| threshold <= activity_q8);
            let residuals =
                self.tables.distribution(self.channel.first_distribution + bin * FRACTIONS + fraction);
            *value = code(x as u32, Prediction { mean, residuals })?;
            *error = ((*value << 8) - mean_q8).unsigned_abs();
            further = left;
            left = (*value, *error);
        }
        Ok(())
    }
}

fn on_the_left<W>(tap: &Tap<W>, own: usize) -> bool {
    usize::from(tap.channel) == own && tap.dy == 0
}

/// Weights of the taps at columns -1 and -2 of the same row and channel.
fn left<N: Copy, W: Copy + Default + From<N>>(taps: &[Tap<N>], channel: u8) -> Left<W> {
    let mut weights = [W::default(); MARGIN];
    for tap in taps.iter().filter(|tap| on_the_left(tap, usize::from(channel))) {
        weights[usize::from(tap.dx.unsigned_abs()) - 1] = W::from(tap.weight);
    }
    weights
}
