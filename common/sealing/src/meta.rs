//! The one Meta record of a transfer (step 6): AES-256-GCM, key `meta_key`, zero nonce, associated data `ctx`.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use zeroize::Zeroizing;

use crate::error::CryptoError;
use crate::key_schedule::{Context, TransferKeys};

/// Most plaintext bytes of a Meta record.
pub const MAX_META_BYTES: usize = 65_536;

const TAG_BYTES: usize = 16;

/// Seals the one record; consumed by it, because the nonce is zero.
pub struct MetaSealer {
    key: Zeroizing<[u8; 32]>,
    context: Context,
}

impl MetaSealer {
    pub(crate) fn new(keys: &TransferKeys) -> Self {
        Self { key: keys.meta_key(), context: *keys.context() }
    }

    /// Seals a record of 1..=[`MAX_META_BYTES`] bytes: ciphertext ‖ tag.
    ///
    /// # Errors
    /// [`CryptoError::MetaLength`].
    pub fn seal(self, record: &[u8]) -> Result<Vec<u8>, CryptoError> {
        check_length(record.len())?;
        let mut sealed = Vec::with_capacity(record.len() + TAG_BYTES);
        sealed.extend_from_slice(record);
        Aes256Gcm::new((&*self.key).into())
            .encrypt_in_place(&zero_nonce(), self.context.as_bytes(), &mut sealed)
            .expect("65,536 bytes are far below GCM's limit");
        Ok(sealed)
    }
}

/// Opens the one record; consumed by it.
pub struct MetaOpener {
    key: Zeroizing<[u8; 32]>,
    context: Context,
}

impl MetaOpener {
    pub(crate) fn new(keys: &TransferKeys) -> Self {
        Self { key: keys.meta_key(), context: *keys.context() }
    }

    /// Opens ciphertext ‖ tag.
    ///
    /// # Errors
    /// [`CryptoError::MetaLength`] or [`CryptoError::MetaAuthentication`]; either ends the transfer.
    pub fn open(self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        check_length(ciphertext.len().saturating_sub(TAG_BYTES))?;
        let mut record = Zeroizing::new(ciphertext.to_vec());
        Aes256Gcm::new((&*self.key).into())
            .decrypt_in_place(&zero_nonce(), self.context.as_bytes(), &mut *record)
            .map_err(|_| CryptoError::MetaAuthentication)?;
        Ok(record)
    }
}

fn check_length(found: usize) -> Result<(), CryptoError> {
    if (1..=MAX_META_BYTES).contains(&found) {
        Ok(())
    } else {
        Err(CryptoError::MetaLength { found, limit: MAX_META_BYTES })
    }
}

/// Zero, because `meta_key` seals one record and is never used again.
fn zero_nonce() -> Nonce<aes_gcm::aead::consts::U12> {
    [0_u8; 12].into()
}
