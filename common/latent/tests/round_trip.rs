//! What is encoded is decoded, byte for byte as a slow and literal reading of the specification codes it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod support;

use constriction::stream::queue::DefaultRangeEncoder;
use latentwire_latent::{MAX_SYMBOL, QuantisedLatent, Tables, decode, encode};
use proptest::prelude::*;
use support::levels::code;
use support::{Channel, any_case, plausible, smooth, write};

/// The specification, literally: one value after another, one neighbour after another.
fn reference(channels: &[Channel], height: u32, width: u32, values: &[i32]) -> Vec<u8> {
    let (h, w) = (i64::from(height), i64::from(width));
    let inside = |c: u8, y: i64, x: i64| {
        (0 <= y && y < h && 0 <= x && x < w).then_some(((i64::from(c) * h + y) * w + x) as usize)
    };
    let mut coder = DefaultRangeEncoder::new();
    let mut errors = vec![0_u64; values.len()];
    for (c, channel) in channels.iter().enumerate() {
        for (y, x) in (0..h).flat_map(|y| (0..w).map(move |x| (y, x))) {
            let here = inside(c as u8, y, x).unwrap();
            let mut mean_q16 = i64::from(channel.mean_bias);
            for &(of, dy, dx, weight) in &channel.mean_taps {
                let q = inside(of, y + i64::from(dy), x + i64::from(dx)).map_or(0, |index| values[index]);
                mean_q16 += i64::from(weight) * i64::from(q);
            }
            let mean_q8 = (mean_q16 >> 8).clamp(-(32_767 << 8), 32_767 << 8);
            let m = (mean_q8 + 128) >> 8;
            let fraction = (mean_q8 - (m << 8) + 128) >> 5;
            let mut activity_q24 = u64::from(channel.activity_bias) << 8;
            for &(of, dy, dx, weight) in &channel.activity_taps {
                let error = inside(of, y + i64::from(dy), x + i64::from(dx)).map_or(0, |index| errors[index]);
                activity_q24 += u64::from(weight) * error;
            }
            let activity_q8 = activity_q24 >> 16;
            let bin =
                channel.thresholds.iter().filter(|&&threshold| u64::from(threshold) <= activity_q8).count();
            let q = i64::from(values[here]);
            errors[here] = ((q << 8) - mean_q8).unsigned_abs().min((1 << 24) - 1);
            code(&mut coder, &channel.tables[bin * 8 + fraction as usize], q - m);
        }
    }
    let words: Vec<u32> = coder.into_compressed().unwrap();
    words.into_iter().flat_map(u32::to_le_bytes).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_latent_under_any_tables((channels, height, width, values) in any_case()) {
        let file = write(&channels);
        // Random activity weights can be too large; that refusal has its own test.
        let tables = match Tables::parse(&file) {
            Ok(tables) => tables,
            Err(error) => {
                prop_assert!(error.to_string().contains("weights are too large"), "{error}");
                return Ok(());
            }
        };
        let count = channels.len() as u8;
        let latent = QuantisedLatent { channels: count, height, width, values };
        let bytes = encode(&tables, &latent).unwrap();
        prop_assert_eq!(&bytes, &reference(&channels, height, width, &latent.values));
        prop_assert_eq!(decode(&tables, count, height, width, &bytes).unwrap(), latent);
    }
}

#[test]
fn extreme_values_under_extreme_weights() {
    let mut channels = plausible(3);
    for (index, channel) in channels.iter_mut().enumerate() {
        channel.mean_bias = [i32::MIN, i32::MAX, 0][index];
        for tap in &mut channel.mean_taps {
            tap.3 = if tap.1 == 0 { i32::MIN } else { i32::MAX };
        }
        channel.activity_bias = u32::MAX;
        for tap in &mut channel.activity_taps {
            tap.3 = u32::MAX;
        }
        *channel.thresholds.last_mut().unwrap() = u32::MAX;
    }
    let tables = Tables::parse(&write(&channels)).unwrap();
    for pattern in
        [[MAX_SYMBOL, MAX_SYMBOL], [-MAX_SYMBOL, -MAX_SYMBOL], [MAX_SYMBOL, -MAX_SYMBOL], [0, -MAX_SYMBOL]]
    {
        let values: Vec<_> = pattern.iter().copied().cycle().take(3 * 7 * 5).collect();
        let latent = QuantisedLatent { channels: 3, height: 7, width: 5, values };
        let bytes = encode(&tables, &latent).unwrap();
        assert_eq!(bytes, reference(&channels, 7, 5, &latent.values));
        assert_eq!(decode(&tables, 3, 7, 5, &bytes).unwrap(), latent);
    }
}

#[test]
fn a_plausible_latent_takes_few_bits() {
    let channels = plausible(3);
    let tables = Tables::parse(&write(&channels)).unwrap();
    let latent = QuantisedLatent { channels: 3, height: 120, width: 100, values: smooth(3, 120, 100) };
    let bytes = encode(&tables, &latent).unwrap();
    assert_eq!(bytes, reference(&channels, 120, 100, &latent.values));
    assert_eq!(decode(&tables, 3, 120, 100, &bytes).unwrap(), latent);
    let bits = bytes.len() as f64 * 8.0 / latent.values.len() as f64;
    assert!((1.0..4.5).contains(&bits), "{bits} bits a value");
}
