//! Tables with block levels to test with, and a slow and literal reading of how a tile is coded with them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use constriction::stream::Encode;
use constriction::stream::model::ContiguousCategoricalEntropyModel;
use constriction::stream::queue::DefaultRangeEncoder;
use latentwire_latent::Knob;
use proptest::prelude::*;

use super::{Random, Tap, any_table, any_taps, laplacian};

#[derive(Clone, Debug)]
pub struct LevelTables {
    pub predicted: u8,
    pub bins: u8,
    pub first: i16,
    pub width: u16,
    /// Fractions, and bins x fractions tables.
    pub groups: Vec<(u8, Vec<Vec<u32>>)>,
    pub channels: Vec<LevelChannel>,
}

#[derive(Clone, Debug)]
pub struct LevelChannel {
    pub group: u8,
    pub bias: i32,
    pub weights: [i16; 9],
    pub taps: Vec<Tap<i32>>,
}

pub fn write(tables: &LevelTables) -> Vec<u8> {
    let mut out = b"LWTB\x02".to_vec();
    out.extend([tables.channels.len() as u8, 16, tables.predicted, tables.bins]);
    out.extend(tables.first.to_le_bytes());
    out.extend(tables.width.to_le_bytes());
    out.push(tables.groups.len() as u8);
    for (fractions, group) in &tables.groups {
        out.push(*fractions);
        for table in group {
            out.extend((table.len() as u16 / 2 - 1).to_le_bytes());
            out.extend(table.iter().flat_map(|&p| (p as u16).wrapping_sub(1).to_le_bytes()));
        }
    }
    for (index, channel) in tables.channels.iter().enumerate() {
        out.push(channel.group);
        out.extend(channel.bias.to_le_bytes());
        out.extend(channel.weights.iter().flat_map(|weight| weight.to_le_bytes()));
        if index < usize::from(tables.predicted) {
            out.extend((channel.taps.len() as u16).to_le_bytes());
            for &(of, dy, dx, weight) in &channel.taps {
                out.extend([of, dy as u8, dx as u8]);
                out.extend(weight.to_le_bytes());
            }
        }
    }
    out
}

/// A plausible model: errors are as large as their neighbours' were.
pub fn plausible(channels: u8) -> LevelTables {
    let bins = 24;
    let table = |bin: i32| laplacian((3 + bin * 3) as u16, 0.15 * 1.25_f64.powi(bin));
    let group =
        |fractions| (fractions, (0..bins).flat_map(|bin| vec![table(bin); usize::from(fractions)]).collect());
    let channel = |c: u8| LevelChannel {
        group: u8::from(c >= 2),
        bias: -100,
        weights: if c == 0 { [150, 0, 0, 0, 0, 0, 0, 0, 0] } else { [80, 20, 30, 40, 10, 30, 10, 10, -8] },
        taps: match c {
            0 => vec![(0, 0, -1, 33_000), (0, -1, 0, 33_000)],
            1 => vec![(1, 0, -1, 20_000), (1, -1, 1, 9_000), (0, 1, 1, 500)],
            _ => vec![],
        },
    };
    LevelTables {
        predicted: 2,
        bins: bins as u8,
        first: -600,
        width: 90,
        groups: vec![group(8), group(1)],
        channels: (0..channels).map(channel).collect(),
    }
}

/// Base steps of as many channels.
pub fn steps(channels: usize) -> Vec<u32> {
    (0..channels).map(|c| if c == 0 { 1 } else { 90_000 / c as u32 }).collect()
}

/// Values whose spread falls with the channel and varies with the place; of channels from `used` on 0.
pub fn values(channels: u8, used: u8, height: u32, width: u32) -> Vec<i32> {
    let mut random = Random(11);
    let mut values = Vec::new();
    for channel in 0..u32::from(channels) {
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let spread = 1 + 40 * ((x / 3 + y / 4) % 3) / (channel + 2);
            values.push(match channel {
                0 => ((x / 4 + y / 3 + random.below(2)) % 20) as i32,
                _ if channel >= u32::from(used) => 0,
                _ => random.below(2 * spread + 1) as i32 - spread as i32,
            });
        }
    }
    values
}

fn any_tables() -> impl Strategy<Value = LevelTables> {
    (1_u8..=12, 0_u8..=4, 1_u8..=5, -800_i16..800, prop_oneof![1_u16..400, any::<u16>()]).prop_flat_map(
        |(count, predicted, bins, first, width)| {
            let predicted = predicted.min(count);
            let groups = (
                prop::collection::vec(any_table(), usize::from(bins) * 8),
                prop::collection::vec(any_table(), usize::from(bins)),
                prop::collection::vec(any_table(), usize::from(bins)),
            );
            let channels: Vec<_> = (0..count).map(|c| any_channel(c, c < predicted)).collect();
            (groups, channels).prop_map(move |((eight, one, other), channels)| LevelTables {
                predicted,
                bins,
                first,
                width: width.max(1),
                groups: vec![(1, one), (8, eight), (1, other)],
                channels,
            })
        },
    )
}

fn any_channel(channel: u8, predicted: bool) -> impl Strategy<Value = LevelChannel> {
    let weight = prop_oneof![8 => -100_i16..200, 1 => -7_281_i16..=7_281];
    let bias = prop_oneof![8 => -800_i32..800, 1 => -(1 << 20)..=1 << 20];
    let signed = prop_oneof![8 => -70_000..70_000, 1 => any::<i32>()];
    (any::<bool>(), bias, prop::array::uniform9(weight), any_taps(channel, 1, signed)).prop_map(
        move |(other, bias, weights, taps)| LevelChannel {
            group: if predicted { 1 } else { 2 * u8::from(other) },
            bias,
            weights,
            taps: if predicted { taps } else { Vec::new() },
        },
    )
}

#[derive(Clone, Debug)]
pub struct Case {
    pub tables: LevelTables,
    pub steps: Vec<u32>,
    pub knob: Knob,
    pub height: u32,
    pub width: u32,
    pub values: Vec<i32>,
}

/// Any tables, steps, knob and shape, and values for them.
pub fn any_case() -> impl Strategy<Value = Case> {
    (any_tables(), 1_u32..8, 1_u32..8, -48..=64).prop_flat_map(|(tables, height, width, knob)| {
        let count = tables.channels.len();
        let plane = (height * width) as usize;
        let value = prop_oneof![20 => -2..=2, 4 => -90..=90, 1 => -32_767..=32_767, 1 => Just(32_767), 1 => Just(-32_767)];
        let step = prop_oneof![6 => 200_u32..200_000, 1 => 1_u32..=1 << 28, 1 => Just(1 << 28)];
        (
            prop::collection::vec(0..=31, plane),
            prop::collection::vec(value, plane * (count - 1)),
            prop::collection::vec(step, count),
            0..=count,
        )
            .prop_map(move |(levels, mut coefficients, mut steps, used)| {
                steps[0] = 1;
                coefficients.iter_mut().skip(used * plane).for_each(|q| *q = 0);
                Case {
                    tables: tables.clone(),
                    steps,
                    knob: Knob::new(knob).unwrap(),
                    height,
                    width,
                    values: [levels, coefficients].concat(),
                }
            })
    })
}

/// The specification, literally: one value after another, one neighbour after another, and the sums anew for each.
pub fn reference(case: &Case) -> Vec<u8> {
    let Case { tables, steps, knob, height, width, values } = case;
    let (h, w) = (i64::from(*height), i64::from(*width));
    let plane = (h * w) as usize;
    let inside = |y: i64, x: i64| (0 <= y && y < h && 0 <= x && x < w).then_some((y * w + x) as usize);
    let last = values.chunks(plane).rposition(|values| values.iter().any(|&q| q != 0)).unwrap_or(0);
    let mut coder = DefaultRangeEncoder::new();
    let mut errors = vec![vec![0_i64; plane]; tables.channels.len()];
    let mut known = vec![vec![0_i64; plane]; tables.channels.len()];
    for (c, channel) in tables.channels.iter().enumerate().take(last + 1) {
        for (y, x) in (0..h).flat_map(|y| (0..w).map(move |x| (y, x))) {
            let here = (y * w + x) as usize;
            let q = i64::from(values[c * plane + here]);
            let t = 4 * i64::from(values[here]) + i64::from(knob.value());
            let step = if c == 0 { 1 } else { step(steps[c], t) };
            let predicted = c < usize::from(tables.predicted);
            let mut mean_q16 = 0;
            for &(of, dy, dx, weight) in &channel.taps {
                let k =
                    inside(y + i64::from(dy), x + i64::from(dx)).map_or(0, |at| known[usize::from(of)][at]);
                mean_q16 += i64::from(weight) * k;
            }
            let mean_q8 = (mean_q16 >> 8).div_euclid(step).clamp(-(32_767 << 8), 32_767 << 8);
            let sum = |of: std::ops::Range<usize>, places: &[(i64, i64)]| -> i64 {
                let at = |&(dy, dx): &(i64, i64)| {
                    inside(y + dy, x + dx).map_or(0, |at| of.clone().map(|k| errors[k][at]).sum())
                };
                places.iter().map(at).sum()
            };
            let cross = [(-1, 0), (1, 0), (0, -1), (0, 1)];
            let (own, all) = (c..c + 1, 1.min(c)..c);
            let short = all.start.max(c.saturating_sub(8))..c;
            let mut f = [0; 9];
            f[0] = log(sum(own.clone(), &[(0, -1), (0, -1), (-1, 0), (-1, 0), (-1, -1), (-1, 1)]));
            f[1] = log(sum(own, &[(0, -2), (-2, 0)]));
            if c > 0 {
                f[2] = log(sum(all.start.max(c.saturating_sub(2))..c, &[(0, 0)]));
                f[3] = log(sum(short.clone(), &[(0, 0)]));
                f[4] = log(sum(short, &cross));
                f[5] = log(sum(all.clone(), &[(0, 0)]));
                f[6] = log(sum(all.clone(), &cross));
                f[7] = log(sum(all, &[(-1, -1), (-1, 1), (1, -1), (1, 1)]));
                f[8] = t << 4;
            }
            let weighted: i64 = channel.weights.iter().zip(f).map(|(&w, f)| i64::from(w) * f).sum();
            let expected = i64::from(channel.bias) + (weighted >> 8);
            let bin = ((expected - i64::from(tables.first)).div_euclid(i64::from(tables.width)) + 1)
                .clamp(0, i64::from(tables.bins) - 1);
            let m = (mean_q8 + 128) >> 8;
            let fraction = (mean_q8 - (m << 8) + 128) >> 5;
            let index = if predicted { bin * 8 + fraction } else { bin };
            errors[c][here] = (((q << 8) - mean_q8).abs() >> 4).min(1 << 14);
            known[c][here] = if c == 0 { q } else { (q * step).clamp(-32_768, 32_767) };
            code(&mut coder, &tables.groups[usize::from(channel.group)].1[index as usize], q - m);
        }
    }
    let words: Vec<u32> = coder.into_compressed().unwrap();
    [last as u8].into_iter().chain(words.into_iter().flat_map(u32::to_le_bytes)).collect()
}

fn step(base: u32, t: i64) -> i64 {
    let gain = (65_536.0 * (t.rem_euclid(16) as f64 / 16.0).exp2()).round() as i64;
    ((i64::from(base) * gain) >> (24 - t.div_euclid(16))).clamp(1, 1 << 20)
}

fn log(v: i64) -> i64 {
    let e = (v + 1).ilog2();
    let f = (v + 1 - (1 << e)) * 256 / (1 << e);
    ((i64::from(e) - 4) << 8) + f + ((90 * f * (256 - f)) >> 16)
}

/// Codes a residual: by its symbol, or by ESCAPE and what follows it.
pub fn code(coder: &mut DefaultRangeEncoder, table: &[u32], residual: i64) {
    let radius = table.len() as i64 / 2 - 1;
    let model = categorical(table);
    if residual.abs() <= radius {
        coder.encode_symbol((residual + radius) as usize, &model).unwrap();
        return;
    }
    coder.encode_symbol(table.len() - 1, &model).unwrap();
    let fair = categorical(&[32_768, 32_768]);
    let code = format!("{:b}", residual.abs() - radius);
    let zeros = "0".repeat(code.len() - 1);
    let sign = if residual < 0 { "1" } else { "0" };
    for bit in [zeros.as_str(), &code, sign].concat().bytes() {
        coder.encode_symbol(usize::from(bit - b'0'), &fair).unwrap();
    }
}

fn categorical(table: &[u32]) -> ContiguousCategoricalEntropyModel<u32, Vec<u32>, 16> {
    ContiguousCategoricalEntropyModel::from_nonzero_fixed_point_probabilities(table.iter().copied(), false)
        .unwrap()
}
