//! Tiles with block levels: what is encoded is decoded, byte for byte as a literal reading of the specification codes
//! it; and bytes from anyone are refused, or are the one coded form of what they decode to.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::time::{Duration, Instant};

use latentwire_latent::{
    Knob, LatentError, LevelQuantiser, MAX_LEVEL, MAX_SYMBOL, QuantisedLatent, Tables, choose_levels, decode,
    decode_levels, encode, encode_levels, quantise_levels,
};
use proptest::prelude::*;
use support::levels::{LevelTables, any_case, plausible, reference, steps, values, write};
use support::{laplacian, plausible as uniform};

struct Sample {
    tables: Tables,
    quantiser: LevelQuantiser,
    latent: QuantisedLatent,
    bytes: Vec<u8>,
}

/// A latent of 14 channels, the last three of which hold nothing.
fn sample() -> Sample {
    let tables = Tables::parse(&write(&plausible(14))).unwrap();
    let quantiser = LevelQuantiser::new(&steps(14), Knob::new(7).unwrap()).unwrap();
    let latent = QuantisedLatent { channels: 14, height: 9, width: 11, values: values(14, 11, 9, 11) };
    let bytes = encode_levels(&tables, &latent, &quantiser).unwrap();
    Sample { tables, quantiser, latent, bytes }
}

impl Sample {
    fn decode(&self, bytes: &[u8]) -> Result<QuantisedLatent, LatentError> {
        decode_levels(&self.tables, 9, 11, bytes, &self.quantiser)
    }

    /// The only two sound outcomes.
    fn check(&self, height: u32, width: u32, bytes: &[u8]) -> Result<(), TestCaseError> {
        if let Ok(latent) = decode_levels(&self.tables, height, width, bytes, &self.quantiser) {
            let plane = (height * width) as usize;
            prop_assert_eq!(latent.values.len(), 14 * plane);
            prop_assert!(latent.values[..plane].iter().all(|level| (0..=MAX_LEVEL).contains(level)));
            prop_assert!(latent.values.iter().all(|q| q.abs() <= MAX_SYMBOL));
            prop_assert_eq!(encode_levels(&self.tables, &latent, &self.quantiser).unwrap(), bytes);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_latent_under_any_tables(case in any_case(), at in any::<u32>()) {
        let tables = Tables::parse(&write(&case.tables)).unwrap();
        let quantiser = LevelQuantiser::new(&case.steps, case.knob).unwrap();
        let (height, width) = (case.height, case.width);
        let latent = QuantisedLatent { channels: tables.channels(), height, width, values: case.values.clone() };
        let mut bytes = encode_levels(&tables, &latent, &quantiser).unwrap();
        prop_assert_eq!(&bytes, &reference(&case));
        prop_assert_eq!(&decode_levels(&tables, height, width, &bytes, &quantiser).unwrap(), &latent);
        // And a changed bit is never decoded to the same.
        let bit = at as usize % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = decode_levels(&tables, height, width, &bytes, &quantiser) {
            prop_assert_ne!(&other, &latent);
            prop_assert_eq!(encode_levels(&tables, &other, &quantiser).unwrap(), bytes);
        }
    }

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), last in 0_u8..16, height in 1_u32..12, width in 1_u32..12) {
        let sample = sample();
        sample.check(height, width, &bytes)?;
        let whole_words = [&[last], &bytes[..bytes.len() / 4 * 4]].concat();
        sample.check(height, width, &whole_words)?;
    }

    #[test]
    fn random_tables(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Tables::parse(&[b"LWTB\x02", &bytes[..]].concat()).is_err());
        prop_assert!(Tables::parse(&[b"LWTB\x02\x02\x10\x01\x01\0\0\x40\0\x01", &bytes[..]].concat()).is_err());
    }
}

/// Values of 14 channels about a latent that is plausible: no integer is nearer than a third of a step in half of them.
fn between(latent: &QuantisedLatent, quantiser: &LevelQuantiser, offset: f32) -> Vec<f32> {
    let (levels, plane) = (&latent.values[..99], 99);
    let base = steps(14);
    let step = |index: usize| match index / plane {
        0 => 1.0,
        channel => {
            let octaves = 4 * levels[index % plane] + quantiser.knob().value();
            base[channel] as f32 / 256.0 * (octaves as f32 / 16.0).exp2()
        }
    };
    let offset_of = |index: usize| if index < plane { 0.0 } else { [offset, -offset][index % 2] };
    let values = latent.values.iter().enumerate();
    values.map(|(index, &q)| (q as f32 + offset_of(index)) * step(index)).collect()
}

#[test]
fn the_choice_costs_no_more_than_the_nearest_and_decodes_as_what_it_is() {
    let Sample { tables, quantiser, latent, .. } = sample();
    for offset in [0.0, 0.1, 0.3, 0.45] {
        let values = between(&latent, &quantiser, offset);
        let nearest = quantise_levels(&values, 9, 11, &quantiser, 0.0).unwrap();
        let of_nearest = encode_levels(&tables, &nearest, &quantiser).unwrap();
        let mut before = usize::MAX;
        for weight in [1e6, 30.0, 8.0, 2.0, 0.1] {
            let chosen = choose_levels(&tables, &values, 9, 11, &quantiser, weight).unwrap();
            let bytes = encode_levels(&tables, &chosen, &quantiser).unwrap();
            assert_eq!(decode_levels(&tables, 9, 11, &bytes, &quantiser).unwrap(), chosen);
            assert_eq!(chosen.values[..99], nearest.values[..99], "levels are never traded");
            let apart = chosen.values.iter().zip(&nearest.values).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(apart <= Some(1), "{apart:?}");
            assert!(bytes.len() <= of_nearest.len(), "{} {} at {weight}", bytes.len(), of_nearest.len());
            assert!(bytes.len() <= before.saturating_add(8), "cheaper errors never cost more bytes");
            before = bytes.len();
            if weight == 1e6 {
                assert_eq!(chosen, nearest);
            }
        }
        assert!(offset == 0.0 || before < of_nearest.len() * 9 / 10, "{before} {}", of_nearest.len());
    }
}

#[test]
fn a_choice_needs_a_sound_weight_and_tables_of_its_kind() {
    let Sample { tables, quantiser, latent, .. } = sample();
    let mut values = between(&latent, &quantiser, 0.0);
    for bad in [0.0, -1.0, f32::NAN, f32::INFINITY, 2e6] {
        assert_eq!(choose_levels(&tables, &values, 9, 11, &quantiser, bad), Err(LatentError::ErrorWeight));
    }
    assert!(matches!(
        choose_levels(&tables, &values, 9, 12, &quantiser, 8.0),
        Err(LatentError::Shape { .. })
    ));
    let other = LevelQuantiser::new(&steps(13), Knob::NEUTRAL).unwrap();
    let mismatch = choose_levels(&tables, &values[..13 * 99], 9, 11, &other, 8.0);
    assert!(matches!(mismatch, Err(LatentError::ChannelMismatch { .. })), "{mismatch:?}");
    values[7] = f32::NAN;
    assert_eq!(
        choose_levels(&tables, &values, 9, 11, &quantiser, 8.0),
        Err(LatentError::NotFinite { index: 7 })
    );
    // Values beyond what can be coded are held, not wrapped.
    values[7] = 3.0;
    values[500] = f32::MAX;
    let chosen = choose_levels(&tables, &values, 9, 11, &quantiser, 8.0).unwrap();
    assert!((MAX_SYMBOL - 1..=MAX_SYMBOL).contains(&chosen.values[500]), "{}", chosen.values[500]);
}

#[test]
fn every_truncation_and_every_addition_is_refused() {
    let sample = sample();
    assert_eq!(sample.bytes[0], 10);
    for length in 0..sample.bytes.len() {
        assert!(sample.decode(&sample.bytes[..length]).is_err(), "{length} of {} bytes", sample.bytes.len());
    }
    for extra in 1..=12 {
        for fill in [0x00, 0x01, 0xFF] {
            let longer = [&sample.bytes[..], &vec![fill; extra]].concat();
            assert!(sample.decode(&longer).is_err(), "{extra} {fill}");
        }
    }
    assert_eq!(sample.decode(&sample.bytes), Ok(sample.latent));
}

#[test]
fn a_tile_codes_no_channel_more_than_it_needs() {
    let sample = sample();
    for (last, found) in [(14, 15), (255, 256)] {
        let mut bytes = sample.bytes.clone();
        bytes[0] = last;
        let problem = "the model has fewer";
        assert_eq!(sample.decode(&bytes), Err(LatentError::CodedChannels { found, problem }));
    }
    // The same latent with more channels coded, as an encoder without our rule would write it.
    let table = vec![65_000, 536];
    let flat = LevelTables {
        predicted: 0,
        bins: 1,
        first: 0,
        width: 1,
        groups: vec![(1, vec![table])],
        channels: plausible(14)
            .channels
            .into_iter()
            .map(|c| support::levels::LevelChannel { group: 0, ..c })
            .collect(),
    };
    let tables = Tables::parse(&write(&flat)).unwrap();
    let mut latent =
        QuantisedLatent { values: vec![0; 14 * 6], height: 2, width: 3, ..sample.latent.clone() };
    let bytes = encode_levels(&tables, &latent, &sample.quantiser).unwrap();
    assert_eq!((bytes[0], bytes.len()), (0, 5));
    let mut longer = bytes.clone();
    longer[0] = 3;
    let result = decode_levels(&tables, 2, 3, &longer, &sample.quantiser);
    assert!(matches!(result, Err(LatentError::CodedChannels { found: 4, .. })), "{result:?}");
    assert_eq!(decode_levels(&tables, 2, 3, &bytes, &sample.quantiser), Ok(latent.clone()));
    latent.values[13 * 6 + 5] = -1;
    let bytes = encode_levels(&tables, &latent, &sample.quantiser).unwrap();
    assert_eq!(bytes[0], 13);
    assert_eq!(decode_levels(&tables, 2, 3, &bytes, &sample.quantiser), Ok(latent));
}

#[test]
fn levels_out_of_range_are_neither_coded_nor_decoded() {
    let mut sample = sample();
    for bad in [-1, 32, MAX_SYMBOL] {
        sample.latent.values[5] = bad;
        let result = encode_levels(&sample.tables, &sample.latent, &sample.quantiser);
        assert_eq!(result, Err(LatentError::Level { value: bad, index: 5 }));
    }
    sample.latent.values[5] = 0;
    sample.latent.values[300] = MAX_SYMBOL + 1;
    let result = encode_levels(&sample.tables, &sample.latent, &sample.quantiser);
    assert_eq!(result, Err(LatentError::SymbolRange { value: MAX_SYMBOL + 1, index: 300 }));
    // A level of 32, written by the literal encoder, which does not care.
    for (level, sound) in [(31, true), (32, false), (-1, false), (40, false)] {
        let case = support::levels::Case {
            tables: plausible(3),
            steps: steps(3),
            knob: Knob::NEUTRAL,
            height: 1,
            width: 2,
            values: vec![3, level, 0, 0, 0, 0],
        };
        let tables = Tables::parse(&write(&case.tables)).unwrap();
        let quantiser = LevelQuantiser::new(&case.steps, case.knob).unwrap();
        let result = decode_levels(&tables, 1, 2, &reference(&case), &quantiser);
        if sound {
            assert_eq!(result.unwrap().values, case.values);
        } else {
            assert_eq!(result, Err(LatentError::Corrupt { channel: 0, row: 0, column: 1 }));
        }
    }
}

#[test]
fn another_shape_knob_or_model_is_not_mistaken_for_this_one() {
    let sample = sample();
    for (height, width) in [(8, 11), (9, 10), (10, 11), (9, 12), (1, 1), (18, 11), (0, 11), (9, 0)] {
        assert!(decode_levels(&sample.tables, height, width, &sample.bytes, &sample.quantiser).is_err());
    }
    let other = LevelQuantiser::new(&steps(14), Knob::new(-40).unwrap()).unwrap();
    assert_ne!(decode_levels(&sample.tables, 9, 11, &sample.bytes, &other).as_ref(), Ok(&sample.latent));
    let fewer = LevelQuantiser::new(&steps(13), Knob::NEUTRAL).unwrap();
    assert_eq!(
        decode_levels(&sample.tables, 9, 11, &sample.bytes, &fewer),
        Err(LatentError::ChannelMismatch { tables: 14, latent: 13 })
    );
    assert!(matches!(
        encode_levels(&sample.tables, &sample.latent, &fewer),
        Err(LatentError::ChannelMismatch { .. })
    ));
    let torn = QuantisedLatent { values: vec![0; 14], ..sample.latent.clone() };
    assert!(matches!(
        encode_levels(&sample.tables, &torn, &sample.quantiser),
        Err(LatentError::Shape { .. })
    ));
}

#[test]
fn tables_of_the_other_kind_are_refused() {
    let sample = sample();
    let without = Tables::parse(&support::write(&uniform(2))).unwrap();
    assert!(sample.tables.has_levels() && !without.has_levels());
    let pair = QuantisedLatent { channels: 2, height: 1, width: 1, values: vec![0; 2] };
    let quantiser = LevelQuantiser::new(&steps(2), Knob::NEUTRAL).unwrap();
    let found = [
        encode(&sample.tables, &sample.latent).map(drop),
        decode(&sample.tables, 14, 9, 11, &sample.bytes).map(drop),
        encode_levels(&without, &pair, &quantiser).map(drop),
        decode_levels(&without, 1, 1, &[0; 5], &quantiser).map(drop),
    ];
    for result in found {
        assert!(matches!(result, Err(LatentError::TablesKind { .. })), "{result:?}");
    }
}

#[test]
fn a_shape_that_so_few_bytes_cannot_hold_is_refused_at_once() {
    let sample = sample();
    let start = Instant::now();
    for (height, width) in
        [(u32::MAX, u32::MAX), (1, u32::MAX), (u32::MAX, 1), (1 << 13, 1 << 13), (1, 1 << 24)]
    {
        for last in [0, 13] {
            let bytes = [last, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55];
            let result = decode_levels(&sample.tables, height, width, &bytes, &sample.quantiser);
            assert!(matches!(result, Err(LatentError::TooLarge { .. })), "{height} {width} {result:?}");
        }
    }
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn unsound_tables_are_refused_with_their_reason() {
    let sound = plausible(3);
    let file = write(&sound);
    assert_eq!(Tables::parse(&file).unwrap().channels(), 3);
    for length in (0..64).chain((64..file.len()).step_by(97)).chain(file.len() - 64..file.len()) {
        assert!(Tables::parse(&file[..length]).is_err(), "{length} bytes");
    }
    let with = |change: &dyn Fn(&mut LevelTables)| {
        let mut tables = sound.clone();
        change(&mut tables);
        write(&tables)
    };
    let byte = |at: usize, value: u8| {
        let mut file = file.clone();
        file[at] = value;
        file
    };
    for (file, reason) in [
        ([&file[..], &[0]].concat(), "left over"),
        (byte(5, 0), "1 to 255 channels"),
        (byte(6, 12), "precision 16"),
        (byte(7, 4), "up to 32 of the channels"),
        (byte(8, 0), "1 to 64 bins"),
        (byte(8, 65), "1 to 64 bins"),
        (with(&|t| t.width = 0), "a width of at least 1"),
        (byte(13, 0), "1 to 16 groups"),
        (byte(13, 17), "1 to 16 groups"),
        (byte(14, 4), "1 or 8 expected"),
        (with(&|t| t.channels[2].group = 2), "names group 2"),
        (with(&|t| t.channels[2].group = 0), "with 1 fractions"),
        (with(&|t| t.channels[0].group = 1), "with 8 fractions"),
        (with(&|t| t.channels[1].bias = (1 << 20) + 1), "bias is 1048577"),
        (with(&|t| t.channels[1].bias = i32::MIN), "bias is"),
        (
            with(&|t| t.channels[2].weights = [i16::MIN, i16::MIN, 1, 0, 0, 0, 0, 0, 0]),
            "weights are too large",
        ),
        (with(&|t| t.channels[1].taps[0] = (1, 0, 0, 1)), "already decoded"),
        (with(&|t| t.channels[1].taps[0] = (2, -1, 0, 1)), "already decoded"),
        (with(&|t| t.channels[1].taps[0] = (0, -2, 0, 1)), "already decoded"),
        (with(&|t| t.channels[1].taps.push((1, 0, -1, 1))), "twice"),
        (with(&|t| t.groups[1].1[3][0] += 1), "sum to 65536"),
        (with(&|t| t.groups[1].1[3] = laplacian(256, 1.0)), "radius is 256"),
    ] {
        let error = Tables::parse(&file).unwrap_err().to_string();
        assert!(error.contains(reason), "{reason}: {error}");
    }
}

#[test]
fn a_plausible_latent_takes_few_bits() {
    let tables = Tables::parse(&write(&plausible(40))).unwrap();
    let quantiser = LevelQuantiser::new(&steps(40), Knob::NEUTRAL).unwrap();
    let latent = QuantisedLatent { channels: 40, height: 33, width: 30, values: values(40, 40, 33, 30) };
    let bytes = encode_levels(&tables, &latent, &quantiser).unwrap();
    assert_eq!(decode_levels(&tables, 33, 30, &bytes, &quantiser).unwrap(), latent);
    let bits = bytes.len() as f64 * 8.0 / latent.values.len() as f64;
    assert!((1.0..4.0).contains(&bits), "{bits} bits a value");
}
