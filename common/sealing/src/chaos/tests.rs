use super::*;

const SEED: [u8; 32] = *b"0123456789abcdef0123456789abcdef";

fn keys(number: u8) -> Keys {
    let mut seed = SEED;
    seed[31] = number;
    Keys::from_seed(&seed)
}

fn picture(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i / 7 % 251) as u8).collect()
}

#[test]
fn the_inverse_of_forward_is_the_identity_for_every_shape() {
    for length in (0..=300).chain([1_023, 1_024, 1_025, 4_095, 4_096, 65_536, 100_003]) {
        let (keys, plain) = (keys(length as u8), picture(length));
        let mut bytes = plain.clone();
        keys.forward(&mut bytes);
        assert_eq!(bytes.len(), length);
        assert!(length < 8 || bytes != plain, "{length} bytes came out as they went in");
        keys.inverse(&mut bytes);
        assert_eq!(bytes, plain, "{length} bytes");
    }
}

#[test]
fn each_stage_does_its_part() {
    let (keys, plain) = (keys(1), picture(10_000));
    let fold = Fold::of(plain.len()).expect("bytes");
    assert_eq!((fold.width, fold.full_rows), (100, 100));
    let sorted = |bytes: &[u8]| {
        let mut sorted = bytes.to_vec();
        sorted.sort_unstable();
        sorted
    };
    let mut bytes = plain.clone();
    permutation::permute_columns(&mut bytes, &keys.column_order(fold));
    assert!(bytes != plain && sorted(&bytes) == sorted(&plain), "stage 1 moves and changes no value");
    let after_columns = bytes.clone();
    permutation::permute_rows(&mut bytes, fold.width, &keys.row_order(fold));
    assert!(bytes != after_columns && sorted(&bytes) == sorted(&plain), "stage 2 moves and changes no value");
    let before = bytes.clone();
    keys.substitute(&mut bytes, &sboxes::BOXES);
    for (p, s) in before.iter().zip(&bytes) {
        assert!(sboxes::BOXES.iter().any(|table| table[usize::from(*p)] == *s), "stage 3 substitutes");
    }
    for table in sboxes::BOXES {
        let used = before.iter().zip(&bytes).filter(|(p, s)| table[usize::from(**p)] == **s).count();
        assert!(used > 3_000, "a box is used for {used} of 10,000 elements");
    }
    let before = bytes.clone();
    keys.mask(&mut bytes);
    let changed = before.iter().zip(&bytes).filter(|(r, s)| r != s).count();
    assert!(changed > 9_900, "stage 4 changed {changed} of 10,000 elements");
}

/// Each bit of the seed changes everything: paper B's key sensitivity (NPCR of uniform noise: 99.61 %).
#[test]
fn keys_are_sensitive() {
    let plain = picture(16_384);
    let scrambled = |seed: &[u8; 32]| {
        let mut bytes = plain.clone();
        Keys::from_seed(seed).forward(&mut bytes);
        bytes
    };
    let one = scrambled(&SEED);
    for bit in 0..256 {
        let mut seed = SEED;
        seed[bit / 8] ^= 1 << (bit % 8);
        let other = scrambled(&seed);
        let differing = one.iter().zip(&other).filter(|(a, b)| a != b).count() as f64 / 16_384.0;
        assert!((0.993..0.999).contains(&differing), "bit {bit}: NPCR {differing}");
    }
}

/// The map has a density of its own; after the S-boxes and the seed matrix no byte value stands out.
#[test]
fn one_colour_comes_out_even() {
    let mut bytes = vec![0x80; 256 * 1_000];
    keys(3).forward(&mut bytes);
    let mut counts = [0_u32; 256];
    bytes.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
    let chi_square: f64 = counts.iter().map(|&n| (f64::from(n) - 1_000.0).powi(2) / 1_000.0).sum();
    assert!(chi_square < 350.0, "{chi_square}");
}

/// What `tests/vectors/chaos4.py`, written from the ADR, makes of the same seeds.
#[test]
fn an_independent_implementation_agrees() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/vectors/chaos4-v1.json")).expect("a vector file");
    let field =
        |case: &serde_json::Value, name: &str| hex::decode(case[name].as_str().expect("hex")).expect("hex");
    let cases = vectors["cases"].as_array().expect("cases");
    assert!(cases.len() >= 12);
    for case in cases {
        let seed: [u8; 32] = field(case, "seed").try_into().expect("32 bytes");
        let length = case["length"].as_u64().expect("a length") as usize;
        let keys = Keys::from_seed(&seed);
        let named = case["keys"].as_array().expect("keys");
        for (key, expected) in [keys.columns, keys.rows, keys.boxes, keys.matrix].iter().zip(named) {
            assert_eq!(format!("{key:016x}"), expected.as_str().expect("hex"));
        }
        let mut bytes = picture(length);
        keys.forward(&mut bytes);
        if let Some(expected) = case["scrambled"].as_str() {
            assert_eq!(hex::encode(&bytes), expected, "{length} bytes");
        }
        let digest = <sha2::Sha256 as sha2::Digest>::digest(&bytes);
        assert_eq!(hex::encode(digest), case["scrambled_sha256"].as_str().expect("hex"), "{length} bytes");
    }
}
