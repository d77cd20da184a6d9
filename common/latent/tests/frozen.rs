//! Bytes that must never change: a stored image is decoded years after it was coded.
//!
//! If this test fails, the bitstream has changed: undo that, or give the new one a new version and keep reading this.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod support;

use latentwire_latent::{
    Knob, LevelQuantiser, QuantisedLatent, Tables, decode, decode_levels, dequantise, dequantise_levels,
    encode, encode_levels, quantise,
};
use support::{Channel, smooth, write};

/// Tables made of integers alone, with each feature in use: two channels, biases, taps, bins, escapes.
fn tables() -> Tables {
    let table = |radius: u32, flatness: u32| {
        let weights: Vec<u32> =
            (0..=2 * radius).map(|i| 1 + (40_000 / (1 + i.abs_diff(radius) * 4 / flatness))).collect();
        let total: u32 = weights.iter().sum::<u32>() + 500;
        let mut table: Vec<u32> =
            weights.iter().map(|&w| (u64::from(w) * 65_000 / u64::from(total)) as u32).collect();
        table.push(65_536 - table.iter().sum::<u32>());
        table
    };
    let bins = [table(1, 1), table(3, 2), table(6, 4), table(12, 9)];
    let channel = |mean_bias, mean_taps: &[_], activity_bias, activity_taps: &[_]| Channel {
        mean_bias,
        mean_taps: mean_taps.to_vec(),
        activity_bias,
        activity_taps: activity_taps.to_vec(),
        thresholds: vec![200, 500, 1200],
        tables: bins.iter().flat_map(|bin| std::iter::repeat_n(bin.clone(), 8)).collect(),
    };
    let first = channel(
        -3_000,
        &[(0, 0, -1, 30_000), (0, -1, 0, 30_000), (0, -1, -1, -9_000), (0, -2, 2, 1_500)],
        20_000,
        &[(0, 0, -1, 20_000), (0, 0, -2, 9_000), (0, -1, 0, 20_000)],
    );
    let second = channel(
        70_000,
        &[(1, 0, -1, 25_000), (1, -1, 0, 25_000), (0, 0, 0, 8_000), (0, 2, 2, -900)],
        12_345,
        &[(1, 0, -1, 18_000), (0, 1, -1, 7_000), (0, 0, 0, 25_000)],
    );
    Tables::parse(&write(&[first, second])).unwrap()
}

const CODED: &str = "4e370cfcf5ee06599c3ef50dbc619ef85b8bd2db099decf9a1e37db5e8b6536b3606ac8aa54e92ff5e7a76f35d4a253575764a8f4166b21d940bd453ac022e225dcfae3ad7039d38581193845100ff000d5e4a179501c6f6b852946d6b496d16b56a0801";

#[test]
fn the_bytes_of_a_small_latent() {
    let tables = tables();
    let mut values = smooth(2, 6, 9);
    values[20] = 32_767;
    values[75] = -32_767;
    let latent = QuantisedLatent { channels: 2, height: 6, width: 9, values };
    let coded = encode(&tables, &latent).unwrap();
    let hex: String = coded.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, CODED);
    let frozen: Vec<u8> =
        (0..CODED.len() / 2).map(|i| u8::from_str_radix(&CODED[2 * i..2 * i + 2], 16).unwrap()).collect();
    assert_eq!(decode(&tables, 2, 6, 9, &frozen).unwrap(), latent);
}

#[test]
fn the_bits_of_quantised_values() {
    let values = [0.1_f32, -0.1, 0.149_999_99, 0.15, 12.345_678, -99.999];
    let q = quantise(&values, 2, 1, 3, &[0.1, 0.012]).unwrap();
    assert_eq!(q.values, [1, -1, 1, 12, 1029, -8333]);
    let bits: Vec<_> = dequantise(&q, &[0.1, 0.012]).unwrap().iter().map(|value| value.to_bits()).collect();
    assert_eq!(bits, [1036831949, 3184315597, 1036831949, 1041462460, 1095078249, 3267886580]);
}

/// Written by `make_frozen.py` from docs/BITSTREAM.md, without this code.
const LEVEL_TABLES: &str = include_str!("../../codec/tests/frozen/levels.tables");
const LEVEL_TILES: &str = include_str!("../../codec/tests/frozen/levels.tiles");
const LEVEL_SYMBOLS: &str = include_str!("../../codec/tests/frozen/levels.symbols");
const LEVEL_STEPS: [u32; 12] = [1, 81_920, 79_003, 40_000, 20_000, 9_000, 5_000, 2_560, 1_800, 700, 300, 255];

fn unhex(hex: &str) -> Vec<u8> {
    let digits: String = hex.split_whitespace().collect();
    (0..digits.len() / 2).map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap()).collect()
}

#[test]
fn the_bytes_of_tiles_with_block_levels() {
    let tables = Tables::parse(&unhex(LEVEL_TABLES)).unwrap();
    assert!(tables.has_levels() && tables.channels() == 12);
    assert_eq!(LEVEL_TILES.lines().count(), 3);
    for (tile, symbols) in LEVEL_TILES.lines().zip(LEVEL_SYMBOLS.lines()) {
        let fields: Vec<&str> = tile.split(' ').collect();
        let [knob, height, width] = [0, 1, 2].map(|field| fields[field].parse::<i32>().unwrap());
        let (height, width) = (height as u32, width as u32);
        let quantiser = LevelQuantiser::new(&LEVEL_STEPS, Knob::new(knob).unwrap()).unwrap();
        let values = symbols.split(' ').map(|value| value.parse().unwrap()).collect();
        let latent = QuantisedLatent { channels: 12, height, width, values };
        let bytes = unhex(fields[3]);
        assert_eq!(encode_levels(&tables, &latent, &quantiser).unwrap(), bytes);
        assert_eq!(decode_levels(&tables, height, width, &bytes, &quantiser).unwrap(), latent);
    }
}

#[test]
fn the_bits_of_dequantised_levels() {
    let quantiser = LevelQuantiser::new(&[1, 81_920, 79_003], Knob::new(-21).unwrap()).unwrap();
    let latent = QuantisedLatent {
        channels: 3,
        height: 1,
        width: 3,
        values: vec![0, 7, 31, 3, -2, 1, -250, 4, 32_767],
    };
    let values = dequantise_levels(&latent, &quantiser).unwrap();
    assert_eq!(values, [-21.0, 7.0, 103.0, 384.0, -866.0, 27_735.0, -31_000.0, 1_668.0, 32_767.0]);
}
