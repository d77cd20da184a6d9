//! Bytes from anyone: every answer is an error or a latent that codes to those very bytes, in bounded time and memory.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::time::{Duration, Instant};

use latentwire_latent::{LatentError, MAX_SYMBOL, QuantisedLatent, Tables, decode, encode};
use proptest::prelude::*;
use support::{Channel, Random, any_case, any_channels, laplacian, plausible, smooth, write};

fn sample() -> (Tables, QuantisedLatent, Vec<u8>) {
    let tables = Tables::parse(&write(&plausible(2))).unwrap();
    let latent = QuantisedLatent { channels: 2, height: 13, width: 11, values: smooth(2, 13, 11) };
    let bytes = encode(&tables, &latent).unwrap();
    (tables, latent, bytes)
}

/// The only two sound outcomes.
fn check(tables: &Tables, channels: u8, height: u32, width: u32, bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(latent) = decode(tables, channels, height, width, bytes) {
        prop_assert!(latent.values.iter().all(|q| q.abs() <= MAX_SYMBOL));
        let again = encode(tables, &latent).unwrap();
        prop_assert_eq!(again, bytes);
    }
    Ok(())
}

proptest! {
    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), height in 1_u32..20, width in 1_u32..20) {
        let (tables, ..) = sample();
        check(&tables, 2, height, width, &bytes)?;
    }

    #[test]
    fn random_bytes_under_random_tables(channels in any_channels(), bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(tables) = Tables::parse(&write(&channels)) {
            let whole_words = &bytes[..bytes.len() / 4 * 4];
            for side in 1..6 {
                check(&tables, channels.len() as u8, side, 2, whole_words)?;
            }
        }
    }

    #[test]
    fn a_changed_bit_is_never_decoded_to_the_same_latent((channels, height, width, values) in any_case(), at in any::<u32>()) {
        if let Ok(tables) = Tables::parse(&write(&channels)) {
            let latent = QuantisedLatent { channels: channels.len() as u8, height, width, values };
            let mut bytes = encode(&tables, &latent).unwrap();
            let bit = at as usize % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(decode(&tables, latent.channels, height, width, &bytes).ok(), Some(latent.clone()));
            check(&tables, latent.channels, height, width, &bytes)?;
        }
    }

    #[test]
    fn random_tables(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Tables::parse(&bytes).is_err());
        prop_assert!(Tables::parse(&[b"LWTB\x01\x01\x10\x08", &bytes[..]].concat()).is_err());
    }
}

#[test]
fn every_truncation_and_every_addition_is_refused() {
    let (tables, latent, bytes) = sample();
    for length in 0..bytes.len() {
        let result = decode(&tables, 2, 13, 11, &bytes[..length]);
        assert!(result.is_err(), "{length} of {} bytes decoded", bytes.len());
    }
    for extra in 1..=12 {
        for fill in [0x00, 0x01, 0xFF] {
            let longer = [&bytes[..], &vec![fill; extra]].concat();
            let result = decode(&tables, 2, 13, 11, &longer);
            assert!(
                matches!(result, Err(LatentError::TrailingData | LatentError::Truncated)),
                "{extra} {fill}"
            );
        }
    }
    assert_eq!(decode(&tables, 2, 13, 11, &bytes), Ok(latent));
}

#[test]
fn no_bytes_hold_not_even_one_symbol() {
    for tables in [all_but_certain(), Tables::parse(&write(&plausible(1))).unwrap()] {
        assert_eq!(decode(&tables, 1, 1, 1, &[]), Err(LatentError::Truncated));
    }
}

#[test]
fn another_shape_is_refused() {
    let (tables, _, bytes) = sample();
    for (height, width) in [(12, 11), (13, 10), (14, 11), (13, 12), (1, 1), (26, 11)] {
        assert!(decode(&tables, 2, height, width, &bytes).is_err(), "{height} {width}");
    }
    assert_eq!(
        decode(&tables, 3, 13, 11, &bytes),
        Err(LatentError::ChannelMismatch { tables: 2, latent: 3 })
    );
    for (height, width) in [(0, 11), (13, 0), (0, 0)] {
        assert!(matches!(decode(&tables, 2, height, width, &bytes), Err(LatentError::Shape { .. })));
    }
}

#[test]
fn a_shape_that_so_few_bytes_cannot_hold_is_refused_at_once() {
    let (tables, ..) = sample();
    let start = Instant::now();
    for (height, width) in [
        (u32::MAX, u32::MAX),
        (1, u32::MAX),
        (u32::MAX, 1),
        (1 << 14, 1 << 14),
        (1, 1 << 27),
        (1 << 13, 1 << 13),
    ] {
        let result = decode(&tables, 2, height, width, &[0x55; 12]);
        assert!(matches!(result, Err(LatentError::TooLarge { .. })), "{height} {width} {result:?}");
    }
    assert!(start.elapsed() < Duration::from_secs(5));
}

/// One table, in which residual 0 is all but certain: the most symbols that a byte can hold.
fn all_but_certain() -> Tables {
    let table = vec![65_535, 1]; // residual 0, ESCAPE
    let channel = Channel {
        mean_bias: 0,
        mean_taps: vec![],
        activity_bias: 0,
        activity_taps: vec![],
        thresholds: vec![],
        tables: vec![table; 8],
    };
    Tables::parse(&write(&[channel])).unwrap()
}

#[test]
fn the_bound_on_symbols_holds_for_the_cheapest_symbols_there_are() {
    let tables = all_but_certain();
    let (height, width) = (1 << 11, 1 << 11);
    let latent = QuantisedLatent { channels: 1, height, width, values: vec![0; 1 << 22] };
    let bytes = encode(&tables, &latent).unwrap();
    assert!(bytes.len() <= 16, "{}", bytes.len());
    assert_eq!(decode(&tables, 1, height, width, &bytes), Ok(latent));
    let result = decode(&tables, 1, 1 << 13, 1 << 13, &bytes);
    assert!(matches!(result, Err(LatentError::TooLarge { .. })), "{result:?}");
}

#[test]
fn decoding_stops_where_the_bytes_end() {
    // 4 MB could hold 2^24 symbols; after 16 bytes of them, the shape asks for far more than follows.
    let (tables, ..) = sample();
    let mut random = Random(7);
    let bytes: Vec<u8> = (0..16).map(|_| random.next() as u8).collect();
    let start = Instant::now();
    assert!(decode(&tables, 2, 300, 300, &bytes).is_err());
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn an_escape_without_end_is_refused() {
    // Under these tables all-one bits name the last symbol, ESCAPE; all-zero bits then are an endless prefix.
    let tables = all_but_certain();
    let escape_then_zeros = [0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut found = Vec::new();
    for first in [0xFFFF_0000_u32, 0xFFFF_8000, 0xFFFF_FFFF] {
        let mut bytes = escape_then_zeros;
        bytes[..4].copy_from_slice(&first.to_le_bytes());
        found.push(decode(&tables, 1, 1, 1, &bytes).unwrap_err());
    }
    assert!(found.contains(&LatentError::Corrupt { channel: 0, row: 0, column: 0 }), "{found:?}");
}

#[test]
fn values_out_of_range_are_not_coded() {
    let tables = all_but_certain();
    for value in [MAX_SYMBOL + 1, -MAX_SYMBOL - 1, i32::MAX, i32::MIN] {
        let latent = QuantisedLatent { channels: 1, height: 1, width: 2, values: vec![0, value] };
        assert_eq!(encode(&tables, &latent), Err(LatentError::SymbolRange { value, index: 1 }));
    }
    let torn = QuantisedLatent { channels: 1, height: 2, width: 2, values: vec![0; 3] };
    assert!(matches!(encode(&tables, &torn), Err(LatentError::Shape { .. })));
}

#[test]
fn unsound_tables_are_refused_with_their_reason() {
    let sound = Channel {
        mean_bias: 5,
        mean_taps: vec![(0, -1, 0, 100)],
        activity_bias: 7,
        activity_taps: vec![(0, 0, -1, 100)],
        thresholds: vec![10, 20],
        tables: vec![laplacian(3, 1.0); 24],
    };
    let file = write(std::slice::from_ref(&sound));
    assert_eq!(Tables::parse(&file).unwrap().channels(), 1);
    for length in 0..file.len() {
        assert!(Tables::parse(&file[..length]).is_err(), "{length} bytes");
    }
    let with = |change: &dyn Fn(&mut Channel)| {
        let mut channel = sound.clone();
        change(&mut channel);
        write(&[channel])
    };
    let byte = |at: usize, value: u8| {
        let mut file = file.clone();
        file[at] = value;
        file
    };
    for (file, reason) in [
        ([&file[..], &[0]].concat(), "left over"),
        (byte(0, b'M'), "LWTB"),
        (byte(4, 3), "version is 3"),
        (byte(5, 0), "1 to 16 channels"),
        (byte(5, 17), "1 to 16 channels"),
        (byte(6, 12), "precision 16"),
        (byte(7, 4), "8 fractions"),
        (with(&|c| c.mean_taps[0] = (0, 0, 0, 1)), "already decoded"),
        (with(&|c| c.mean_taps[0] = (0, 0, 1, 1)), "already decoded"),
        (with(&|c| c.mean_taps[0] = (0, 1, -1, 1)), "already decoded"),
        (with(&|c| c.mean_taps[0] = (1, -1, 0, 1)), "already decoded"),
        (with(&|c| c.mean_taps[0] = (0, -3, 0, 1)), "already decoded"),
        (with(&|c| c.activity_taps[0] = (0, -1, 3, 1)), "already decoded"),
        (with(&|c| c.activity_taps[0] = (0, -1, i8::MIN, 1)), "already decoded"),
        (with(&|c| c.mean_taps.push((0, -1, 0, 9))), "twice"),
        (with(&|c| c.activity_taps.push((0, 0, -1, 9))), "twice"),
        (with(&|c| c.thresholds = vec![20, 10]), "descend"),
        (with(&|c| c.tables[3][0] += 1), "sum to 65536"),
        (with(&|c| c.tables[3] = vec![65_536, 65_536]), "sum to 65536"),
        (with(&|c| c.tables[0] = laplacian(256, 1.0)), "radius is 256"),
    ] {
        let error = Tables::parse(&file).unwrap_err().to_string();
        assert!(error.contains(reason), "{reason}: {error}");
    }
    let mut heavy = plausible(4);
    heavy[3].activity_taps = (0..3)
        .flat_map(|of| (-2..=2).flat_map(move |dy| (-2..=2).map(move |dx| (of, dy, dx, u32::MAX))))
        .collect();
    let error = Tables::parse(&write(&heavy)).unwrap_err().to_string();
    assert!(error.contains("weights are too large"), "{error}");
    let bins_at = 8 + 4 + 2 + 7 + 4 + 2 + 7;
    for bins in [0, 65] {
        let error = Tables::parse(&byte(bins_at, bins)).unwrap_err().to_string();
        assert!(error.contains("activity bins"), "{error}");
    }
}
