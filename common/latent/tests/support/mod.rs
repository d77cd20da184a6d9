//! Tables to test with: written as a model's `tables.bin` is, at random.

#![allow(dead_code, reason = "each test file uses a part")]

pub mod levels;

use proptest::prelude::*;

/// A tap of weight `W`: channel, row, column, weight.
pub type Tap<W> = (u8, i8, i8, W);

#[derive(Clone, Debug)]
pub struct Channel {
    pub mean_bias: i32,
    pub mean_taps: Vec<Tap<i32>>,
    pub activity_bias: u32,
    pub activity_taps: Vec<Tap<u32>>,
    pub thresholds: Vec<u32>,
    /// (thresholds + 1) x 8 tables of 2 radius + 2 probabilities.
    pub tables: Vec<Vec<u32>>,
}

pub fn write(channels: &[Channel]) -> Vec<u8> {
    let mut out = vec![b'L', b'W', b'T', b'B', 1, channels.len() as u8, 16, 8];
    for channel in channels {
        out.extend(channel.mean_bias.to_le_bytes());
        out.extend((channel.mean_taps.len() as u16).to_le_bytes());
        for &(of, dy, dx, weight) in &channel.mean_taps {
            out.extend([of, dy as u8, dx as u8]);
            out.extend(weight.to_le_bytes());
        }
        out.extend(channel.activity_bias.to_le_bytes());
        out.extend((channel.activity_taps.len() as u16).to_le_bytes());
        for &(of, dy, dx, weight) in &channel.activity_taps {
            out.extend([of, dy as u8, dx as u8]);
            out.extend(weight.to_le_bytes());
        }
        out.push(channel.thresholds.len() as u8 + 1);
        out.extend(channel.thresholds.iter().flat_map(|threshold| threshold.to_le_bytes()));
        for table in &channel.tables {
            out.extend((table.len() as u16 / 2 - 1).to_le_bytes());
            out.extend(
                table.iter().flat_map(|&probability| (probability as u16).wrapping_sub(1).to_le_bytes()),
            );
        }
    }
    out
}

/// A table of `2 * radius + 2` probabilities that falls off like a Laplacian; larger `spread` is flatter.
pub fn laplacian(radius: u16, spread: f64) -> Vec<u32> {
    let radius = i32::from(radius);
    let weights: Vec<f64> =
        (-radius..=radius).map(|r| (-f64::from(r.abs()) / spread).exp()).chain([0.001]).collect();
    let sum: f64 = weights.iter().sum();
    let free = f64::from(65_536 - weights.len() as u32);
    let mut table: Vec<u32> = weights.iter().map(|weight| (weight / sum * free) as u32 + 1).collect();
    let missing = 65_536 - table.iter().sum::<u32>();
    table[radius as usize] += missing;
    table
}

/// A plausible model: the mean follows the neighbours, the spread follows their errors.
pub fn plausible(channels: u8) -> Vec<Channel> {
    let thresholds: Vec<u32> = (1..24).map(|i| (40.0 * 1.35_f64.powi(i)) as u32).collect();
    let tables: Vec<_> = (0..24 * 8)
        .map(|i| laplacian((3 + i / 8 * 3).min(255) as u16, 0.2 + 0.15 * 1.3_f64.powi(i / 8)))
        .collect();
    (0..channels)
        .map(|channel| {
            let own: [(i8, i8, i32); 6] = [
                (0, -1, 28_000),
                (-1, 0, 28_000),
                (-1, -1, -12_000),
                (-1, 1, 9_000),
                (0, -2, 4_000),
                (-2, 0, 4_000),
            ];
            let mut mean_taps: Vec<_> =
                own.iter().map(|&(dy, dx, weight)| (channel, dy, dx, weight)).collect();
            let mut activity_taps: Vec<_> =
                own.iter().map(|&(dy, dx, weight)| (channel, dy, dx, weight.unsigned_abs() / 2)).collect();
            for earlier in 0..channel {
                mean_taps.extend([(earlier, 0, 0, 6_000), (earlier, 0, 1, 1_000), (earlier, 1, 0, 1_000)]);
                activity_taps.extend([
                    (earlier, 0, 0, 8_000),
                    (earlier, 0, 1, 2_000),
                    (earlier, 1, 0, 2_000),
                ]);
            }
            Channel {
                mean_bias: 1_234 * i32::from(channel),
                mean_taps,
                activity_bias: 9_000,
                activity_taps,
                thresholds: thresholds.clone(),
                tables: tables.clone(),
            }
        })
        .collect()
}

/// Probabilities of at least 1 that sum to 2^16: the gaps between sorted cuts.
pub fn any_table() -> impl Strategy<Value = Vec<u32>> {
    (prop_oneof![0_usize..6, 0_usize..=255], any::<bool>(), any::<u64>()).prop_map(
        |(radius, skewed, seed)| {
            let symbols = 2 * radius + 2;
            let mut random = Random(seed | 1);
            let mut left = 65_536 - symbols as u32;
            let mut table = vec![1; symbols];
            for probability in &mut table {
                let share = if skewed {
                    random.below(left + 1)
                } else {
                    random.below(left.div_ceil(symbols as u32) * 2 + 1).min(left)
                };
                *probability += share;
                left -= share;
            }
            let last = random.below(symbols as u32) as usize;
            table[last] += left;
            table
        },
    )
}

pub fn any_taps<W: std::fmt::Debug + Clone + 'static>(
    channel: u8,
    reach: i8,
    weight: impl Strategy<Value = W> + Clone + 'static,
) -> impl Strategy<Value = Vec<Tap<W>>> {
    let causal: Vec<_> = (0..=channel)
        .flat_map(|of| (-reach..=reach).flat_map(move |dy| (-reach..=reach).map(move |dx| (of, dy, dx))))
        .filter(|&(of, dy, dx)| of < channel || dy < 0 || (dy == 0 && dx < 0))
        .collect();
    let most = causal.len().min(10);
    prop::sample::subsequence(causal, 0..=most).prop_flat_map(move |places| {
        let weights = prop::collection::vec(weight.clone(), places.len());
        weights.prop_map(move |weights| {
            places.iter().zip(weights).map(|(&(of, dy, dx), weight)| (of, dy, dx, weight)).collect()
        })
    })
}

fn any_channel(channel: u8) -> impl Strategy<Value = Channel> {
    let signed = prop_oneof![8 => -70_000..70_000, 1 => any::<i32>()];
    let unsigned = prop_oneof![8 => 0_u32..70_000, 1 => any::<u32>()];
    let thresholds = prop::collection::vec(prop_oneof![8 => 0_u32..5_000, 1 => any::<u32>()], 0..6);
    (
        prop_oneof![4 => -200_000..200_000, 1 => any::<i32>()],
        any_taps(channel, 2, signed),
        prop_oneof![4 => 0_u32..200_000, 1 => any::<u32>()],
        any_taps(channel, 2, unsigned),
        thresholds,
    )
        .prop_flat_map(|(mean_bias, mean_taps, activity_bias, activity_taps, mut thresholds)| {
            thresholds.sort_unstable();
            let tables = prop::collection::vec(any_table(), (thresholds.len() + 1) * 8);
            tables.prop_map(move |tables| Channel {
                mean_bias,
                mean_taps: mean_taps.clone(),
                activity_bias,
                activity_taps: activity_taps.clone(),
                thresholds: thresholds.clone(),
                tables,
            })
        })
}

/// Any sound tables.
pub fn any_channels() -> impl Strategy<Value = Vec<Channel>> {
    (1_u8..=4).prop_flat_map(|count| (0..count).map(any_channel).collect::<Vec<_>>())
}

/// Any tables, a shape, and values for it.
pub fn any_case() -> impl Strategy<Value = (Vec<Channel>, u32, u32, Vec<i32>)> {
    (any_channels(), 1_u32..10, 1_u32..10).prop_flat_map(|(channels, height, width)| {
        let value = prop_oneof![10 => -6..=6, 3 => -400..=400, 1 => -32_767..=32_767, 1 => Just(32_767), 1 => Just(-32_767)];
        let length = channels.len() * (height * width) as usize;
        (Just(channels), Just(height), Just(width), prop::collection::vec(value, length))
    })
}

/// SplitMix64: a fixed sequence that no library's new version can change.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: u32) -> u32 {
        (((self.next() >> 32) * u64::from(limit)) >> 32) as u32
    }
}

/// Values like a trained net's: smooth, with details here and there.
pub fn smooth(channels: u8, height: u32, width: u32) -> Vec<i32> {
    let mut random = Random(42);
    let mut values = Vec::new();
    for channel in 0..i64::from(channels) {
        for y in 0..i64::from(height) {
            for x in 0..i64::from(width) {
                let slope = (x * (channel + 1) / 7 + y / 5) % 23 - 11;
                let detail = if random.below(9) == 0 {
                    random.below(31) as i64 - 15
                } else {
                    random.below(3) as i64 - 1
                };
                values.push((slope + detail) as i32);
            }
        }
    }
    values
}
