//! Random damage: reading ends in a picture or an error, and what is read can be written again or is refused.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod common;

use common::{lossy_step, small_files};
use latentwire_imaging::{Limits, read, rebuild};
use proptest::prelude::*;

/// Small enough that a header which lies takes no time.
const LIMITS: Limits = Limits { max_file_bytes: 1 << 20, max_pixels: 1 << 20, max_side: 65_535 };

#[derive(Clone, Debug)]
enum Damage {
    Set { at: usize, byte: u8 },
    Flip { at: usize, bit: u8 },
    Remove { at: usize, count: usize },
    Insert { at: usize, bytes: Vec<u8> },
    Cut { at: usize },
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<usize>;
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Set { at, byte }),
        4 => (at(), 0u8..8).prop_map(|(at, bit)| Damage::Flip { at, bit }),
        1 => (at(), 1usize..64).prop_map(|(at, count)| Damage::Remove { at, count }),
        1 => (at(), prop::collection::vec(any::<u8>(), 1..16)).prop_map(|(at, bytes)| Damage::Insert { at, bytes }),
        1 => at().prop_map(|at| Damage::Cut { at }),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    let length = bytes.len().max(1);
    match damage {
        Damage::Set { at, byte } => {
            if let Some(target) = bytes.get_mut(at % length) {
                *target = *byte;
            }
        }
        Damage::Flip { at, bit } => {
            if let Some(target) = bytes.get_mut(at % length) {
                *target ^= 1 << bit;
            }
        }
        Damage::Remove { at, count } => {
            let start = (at % length).min(bytes.len());
            bytes.drain(start..(start + count).min(bytes.len()));
        }
        Damage::Insert { at, bytes: inserted } => {
            let start = (at % length).min(bytes.len());
            bytes.splice(start..start, inserted.iter().copied());
        }
        Damage::Cut { at } => bytes.truncate(at % length),
    }
}

/// It was read, and in the rebuilt file it stood first, as a transfer syntax that nobody knows.
#[test]
fn a_data_set_with_an_element_of_file_meta_information_is_refused() {
    let explicit_little = |bytes: &[u8]| {
        bytes.get(128..132) == Some(b"DICM")
            && bytes.windows(20).any(|window| window == b"1.2.840.10008.1.2.1\0")
    };
    let files: Vec<_> = small_files().into_iter().filter(|(_, bytes)| explicit_little(bytes)).collect();
    assert!(!files.is_empty());
    for (name, bytes) in files {
        read(&bytes, &LIMITS).unwrap_or_else(|error| panic!("{name}: {error}"));
        for group in [0x00, 0x02] {
            let stray = [group, 0x00, 0x10, 0x00, b'U', b'I', 0x02, 0x00, b'3', 0x00];
            let refused = read(&[bytes.as_slice(), &stray].concat(), &LIMITS).expect_err(&name).to_string();
            assert!(refused.contains("file meta information"), "{name}: {refused}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_never_panic(file in any::<prop::sample::Index>(), damages in prop::collection::vec(damage(), 1..6)) {
        let files = small_files();
        let (_, mut bytes) = file.get(&files).clone();
        for damage in &damages {
            apply(&mut bytes, damage);
        }
        if let Ok(picture) = read(&bytes, &LIMITS) {
            let pixels = &picture.pixels;
            let expected = pixels.width as usize * pixels.height as usize * pixels.frames as usize * usize::from(pixels.channels);
            prop_assert_eq!(pixels.samples.len(), expected);
            let (low, high) = pixels.storable_range();
            prop_assert!(pixels.samples.iter().all(|sample| (low..=high).contains(sample)));
            if let Ok((_, file)) = rebuild(picture.format, &picture.container, pixels, &lossy_step()) {
                let again = read(&file, &LIMITS);
                prop_assert!(again.is_ok(), "rebuilt file was refused: {:?}", again.err());
            }
        }
    }

    /// Where every other byte is whole, so that reading goes far.
    #[test]
    fn files_with_one_damaged_tag_are_refused_or_come_back(file in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), low in 0u8..0x30) {
        let files = small_files();
        let (_, mut bytes) = file.get(&files).clone();
        // A group number of a data element: two bytes, the second of them 0.
        let places: Vec<_> = (132..bytes.len().saturating_sub(8)).filter(|&at| bytes[at + 1] == 0 && bytes[at + 4..at + 6].iter().all(u8::is_ascii_uppercase)).collect();
        prop_assume!(!places.is_empty());
        bytes[places[at.index(places.len())]] = low;
        if let Ok(picture) = read(&bytes, &LIMITS)
            && let Ok((_, file)) = rebuild(picture.format, &picture.container, &picture.pixels, &lossy_step())
        {
            let again = read(&file, &LIMITS);
            prop_assert!(again.is_ok(), "rebuilt file was refused: {:?}", again.err());
        }
    }

    #[test]
    fn damaged_containers_never_panic(file in any::<prop::sample::Index>(), damages in prop::collection::vec(damage(), 1..4)) {
        let files = small_files();
        let (_, bytes) = file.get(&files);
        let picture = read(bytes, &LIMITS).expect("undamaged");
        let mut container = picture.container.clone();
        for damage in &damages {
            apply(&mut container, damage);
        }
        let _ = rebuild(picture.format, &container, &picture.pixels, &lossy_step());
    }
}
