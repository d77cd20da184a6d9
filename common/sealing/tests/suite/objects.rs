//! Objects at rest: nothing comes out of a changed, cut, moved or foreign object, key or record.

use latentwire_sealing::CryptoError;
use latentwire_sealing::at_rest::{
    self, DataKey, LookupKey, MAX_OBJECT_BYTES, OBJECT_PREAMBLE_BYTES, StorageKey, WRAPPED_KEY_BYTES,
};

use crate::support::{coded, system_rng};

const ID: [u8; 16] = [0xab; 16];

#[test]
fn every_bit_and_every_length_of_a_small_object() {
    let key = DataKey::generate(&mut system_rng());
    let object = at_rest::seal(&mut system_rng(), &key, &ID, b"a latent").expect("small");
    assert_eq!(at_rest::open(&key, &ID, &object).expect("honest").as_slice(), b"a latent");
    assert!(!object.windows(8).any(|window| window == b"a latent"));
    for bit in 0..object.len() * 8 {
        let mut changed = object.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(at_rest::open(&key, &ID, &changed).is_err(), "bit {bit}");
    }
    for length in (0..object.len()).chain([object.len() + 1]) {
        let mut cut = object.clone();
        cut.resize(length, 0);
        assert!(at_rest::open(&key, &ID, &cut).is_err(), "length {length}");
    }
}

#[test]
fn segments_of_an_object_stay_in_place() {
    let key = DataKey::generate(&mut system_rng());
    let plaintext = coded(3 * 65_536);
    let object = at_rest::seal(&mut system_rng(), &key, &ID, &plaintext).expect("small");
    assert_eq!(*at_rest::open(&key, &ID, &object).expect("honest"), plaintext);
    let sealed = 65_536 + 16;
    let mut swapped = object.clone();
    let (head, tail) = swapped[OBJECT_PREAMBLE_BYTES..].split_at_mut(sealed);
    head.swap_with_slice(&mut tail[..sealed]);
    assert_eq!(at_rest::open(&key, &ID, &swapped).err(), Some(CryptoError::ObjectAuthentication));
    // The last two segments cut off, and the header's length made to fit: the header is bound into every segment.
    let mut shorter = object[..OBJECT_PREAMBLE_BYTES + sealed].to_vec();
    shorter[28..36].copy_from_slice(&65_536_u64.to_be_bytes());
    assert_eq!(at_rest::open(&key, &ID, &shorter).err(), Some(CryptoError::ObjectAuthentication));
}

#[test]
fn objects_belong_to_their_id_and_key() {
    let (key, other) = (DataKey::generate(&mut system_rng()), DataKey::generate(&mut system_rng()));
    let object = at_rest::seal(&mut system_rng(), &key, &ID, b"a latent").expect("small");
    assert_eq!(at_rest::open(&other, &ID, &object).err(), Some(CryptoError::ObjectAuthentication));
    let another = CryptoError::ObjectMalformed { what: "object has another id" };
    assert_eq!(at_rest::open(&key, &[1; 16], &object).err(), Some(another));
    let again = at_rest::seal(&mut system_rng(), &key, &ID, b"a latent").expect("small");
    assert_ne!(object, again, "each sealing has a salt of its own");
}

#[test]
fn a_declared_length_allocates_nothing() {
    let key = DataKey::generate(&mut system_rng());
    let mut object = at_rest::seal(&mut system_rng(), &key, &ID, b"a latent").expect("small");
    for length in [MAX_OBJECT_BYTES, MAX_OBJECT_BYTES + 1, 1 << 40, u64::MAX] {
        object[28..36].copy_from_slice(&length.to_be_bytes());
        assert!(at_rest::open(&key, &ID, &object).is_err());
    }
    assert!(at_rest::sealed_bytes(MAX_OBJECT_BYTES).is_ok());
    assert!(matches!(at_rest::sealed_bytes(MAX_OBJECT_BYTES + 1), Err(CryptoError::TransferTooLarge { .. })));
}

#[test]
fn wrapped_keys() {
    let mut rng = system_rng();
    let (storage, other) = (StorageKey::generate(&mut rng), StorageKey::generate(&mut rng));
    let key = DataKey::generate(&mut rng);
    let object = at_rest::seal(&mut rng, &key, &ID, b"a latent").expect("small");
    let wrapped = storage.wrap(&mut rng, &ID, &key);
    assert_eq!(wrapped.len(), WRAPPED_KEY_BYTES);
    assert_eq!(StorageKey::id_of_wrapped(&wrapped), Ok(storage.id()));
    let unwrapped = storage.unwrap(&ID, &wrapped).expect("our own");
    assert_eq!(at_rest::open(&unwrapped, &ID, &object).expect("the same key").as_slice(), b"a latent");
    for bit in 0..wrapped.len() * 8 {
        let mut changed = wrapped.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(storage.unwrap(&ID, &changed).is_err(), "bit {bit}");
    }
    for length in 0..wrapped.len() {
        assert!(storage.unwrap(&ID, &wrapped[..length]).is_err());
    }
    assert_eq!(storage.unwrap(&[1; 16], &wrapped).err(), Some(CryptoError::ObjectAuthentication));
    let unknown = CryptoError::StorageKeyUnknown { expected: other.id(), found: storage.id() };
    assert_eq!(other.unwrap(&ID, &wrapped).err(), Some(unknown));
    // Rotation: unwrap with the old key, wrap with the new one.
    let moved = other.wrap(&mut rng, &ID, &unwrapped);
    let rotated = other.unwrap(&ID, &moved).expect("re-wrapped");
    assert_eq!(at_rest::open(&rotated, &ID, &object).expect("the same key").as_slice(), b"a latent");
}

#[test]
fn records_and_lookups() {
    let mut rng = system_rng();
    let storage = StorageKey::generate(&mut rng);
    let sealed = storage.seal_record(&mut rng, &ID, b"attributes");
    assert_eq!(storage.open_record(&ID, &sealed).expect("our own").as_slice(), b"attributes");
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(storage.open_record(&ID, &changed).is_err());
    }
    assert!(storage.open_record(&[1; 16], &sealed).is_err(), "records belong to their object");
    let as_key = storage.seal_record(&mut rng, &ID, &[7; 32]);
    assert!(storage.unwrap(&ID, &as_key).is_err(), "a record is no wrapped key");
    let wrapped = storage.wrap(&mut rng, &ID, &DataKey::generate(&mut rng_again()));
    assert!(storage.open_record(&ID, &wrapped).is_err(), "a wrapped key is no record");
    assert_eq!(storage.open_record(&ID, &storage.seal_record(&mut rng, &ID, b"")).expect("empty").len(), 0);
}

#[test]
fn lookups_are_keyed_and_their_key_outlives_a_storage_key() {
    let mut rng = system_rng();
    let (storage, next) = (StorageKey::generate(&mut rng), StorageKey::generate(&mut rng));
    let lookup = LookupKey::generate(&mut rng);
    let tag = lookup.tag("uid", b"1.2.3");
    assert_eq!(tag, lookup.tag("uid", b"1.2.3"));
    assert_ne!(tag, lookup.tag("uid", b"1.2.4"));
    assert_ne!(tag, lookup.tag("ui", b"d1.2.3"));
    assert_ne!(tag, LookupKey::generate(&mut rng).tag("uid", b"1.2.3"));
    assert_ne!(storage.first_lookup_key().tag("uid", b""), next.first_lookup_key().tag("uid", b""));
    let wrapped = storage.wrap_lookup(&mut rng, &lookup);
    let again = next.wrap_lookup(&mut rng, &storage.unwrap_lookup(&wrapped).expect("its own"));
    assert_eq!(next.unwrap_lookup(&again).expect("its own").tag("uid", b"1.2.3"), tag);
    let foreign = CryptoError::StorageKeyUnknown { expected: storage.id(), found: next.id() };
    assert_eq!(storage.unwrap_lookup(&again).err(), Some(foreign));
    assert!(storage.unwrap(&ID, &wrapped).is_err(), "it stands in for no object's key");
}

fn rng_again() -> impl getrandom::rand_core::CryptoRng {
    system_rng()
}
