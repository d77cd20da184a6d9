//! Key files and the trust store (docs/PROTOCOL.md, section 2).

use latentwire_sealing::{PublicKey, SecretKey, TrustStore, at_rest::StorageKey};

use crate::session::now;

/// The text of a key file of any kind. A key that is read has one spelling, which stands in the text.
pub(crate) fn keys(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(key) = SecretKey::from_text(text) {
        assert!(text.contains(key.to_text().as_str()));
    }
    if let Ok(key) = StorageKey::from_text(text) {
        assert!(text.contains(key.to_text().as_str()));
    }
    if let Ok(key) = PublicKey::from_text(text) {
        assert!(text.contains(&key.to_string()));
        assert_eq!(PublicKey::from_bytes(key.role(), *key.as_bytes()).ok(), Some(key));
    }
}

/// The text of a trust store. One that is read is written again as it was understood.
pub(crate) fn trust(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(store) = TrustStore::parse(text) else { return };
    assert_eq!(TrustStore::parse(&store.to_toml()).as_ref(), Ok(&store));
    for entry in store.entries() {
        let _ = entry.standing(now());
        let _ = entry.allows_model("ae224-fundus");
    }
}
