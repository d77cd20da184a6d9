//! What lies on the receiver's disk (docs/PROTOCOL.md, section 13).

use latentwire_sealing::at_rest::{DataKey, StorageKey, open, seal};

use crate::{edits::edited, session::Constant};

const OBJECT: [u8; 16] = [0x42; 16];

/// `[what, length, edits…]`: an object, a wrapped key or a record as a thief of the disk gives it back.
pub(crate) fn at_rest(data: &[u8]) {
    let Some(([what, length], script)) = data.split_first_chunk::<2>() else { return };
    let mut draws = Constant(7);
    let (key, data_key) = (StorageKey::generate(&mut draws), DataKey::generate(&mut draws));
    let plaintext = vec![*what; usize::from(*length)];
    match what % 4 {
        0 => {
            let honest = key.wrap(&mut draws, &OBJECT, &data_key);
            let found = edited(&honest, script);
            let _ = StorageKey::id_of_wrapped(&found);
            assert_eq!(key.unwrap(&OBJECT, &found).is_ok(), found == honest);
        }
        1 => {
            let honest = key.seal_record(&mut draws, &OBJECT, &plaintext);
            let found = edited(&honest, script);
            assert_eq!(key.open_record(&OBJECT, &found).is_ok(), found == honest);
        }
        2 => assert!(open(&data_key, &OBJECT, script).is_err(), "nobody guesses a tag"),
        _ => {
            let honest = seal(&mut draws, &data_key, &OBJECT, &plaintext).expect("it is short");
            let found = edited(&honest, script);
            assert_eq!(open(&data_key, &OBJECT, &found).is_ok(), found == honest);
        }
    }
}
