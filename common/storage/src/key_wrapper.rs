//! Who holds the storage key: this process, or one day a device.

use getrandom::{SysRng, rand_core::UnwrapErr};
use latentwire_sealing::at_rest::{DataKey, LookupKey, StorageKey, StorageKeyId};
use zeroize::Zeroizing;

use crate::StorageError;
use crate::object_store::ObjectId;

/// Wraps the data keys of objects and seals the records of their catalogue: everything that needs the storage key.
///
/// [`StorageKey`] does so in memory. This is the seam for a key that never leaves its device (PKCS#11, a cloud's KMS): such a
/// device implements it, and nothing else changes, because objects are sealed under their own data keys. What an implementation
/// owes is in docs/adr/0002-storage-key.md.
///
/// # Security
/// What comes back from [`Self::unwrap`] and [`Self::open_record`] must have been bound to `object_id` when it was wrapped, and
/// the two kinds must not open as one another. Every sealed value begins with the 16 bytes of [`Self::id`]. Calls block.
pub trait KeyWrapper: Send + Sync + 'static {
    /// Public id of the storage key; the catalogue knows by it whose it is.
    fn id(&self) -> StorageKeyId;

    /// Wraps an object's data key for the catalogue, and for nowhere else.
    ///
    /// # Errors
    /// [`StorageError::KeysUnavailable`].
    fn wrap(&self, object_id: &ObjectId, key: &DataKey) -> Result<Vec<u8>, StorageError>;

    /// Unwraps an object's data key.
    ///
    /// # Errors
    /// [`StorageError::Damaged`] where it was not wrapped for this object under this key, [`StorageError::KeysUnavailable`].
    fn unwrap(&self, object_id: &ObjectId, wrapped: &[u8]) -> Result<DataKey, StorageError>;

    /// Seals a small record of the catalogue.
    ///
    /// # Errors
    /// As [`Self::wrap`].
    fn seal_record(&self, object_id: &ObjectId, record: &[u8]) -> Result<Vec<u8>, StorageError>;

    /// Opens what [`Self::seal_record`] sealed for the same object.
    ///
    /// # Errors
    /// As [`Self::unwrap`].
    fn open_record(&self, object_id: &ObjectId, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, StorageError>;

    /// Wraps the catalogue's look-up key.
    ///
    /// # Errors
    /// As [`Self::wrap`].
    fn wrap_lookup(&self, key: &LookupKey) -> Result<Vec<u8>, StorageError>;

    /// Unwraps the catalogue's look-up key.
    ///
    /// # Errors
    /// As [`Self::unwrap`].
    fn unwrap_lookup(&self, wrapped: &[u8]) -> Result<LookupKey, StorageError>;

    /// The look-up key of a catalogue of layout 1, which had none of its own; only a key in memory ever made such a one.
    fn first_lookup_key(&self) -> Option<LookupKey> {
        None
    }
}

impl KeyWrapper for StorageKey {
    fn id(&self) -> StorageKeyId {
        Self::id(self)
    }

    fn wrap(&self, object_id: &ObjectId, key: &DataKey) -> Result<Vec<u8>, StorageError> {
        Ok(Self::wrap(self, &mut UnwrapErr(SysRng), object_id, key))
    }

    fn unwrap(&self, object_id: &ObjectId, wrapped: &[u8]) -> Result<DataKey, StorageError> {
        Self::unwrap(self, object_id, wrapped).map_err(StorageError::Damaged)
    }

    fn seal_record(&self, object_id: &ObjectId, record: &[u8]) -> Result<Vec<u8>, StorageError> {
        Ok(Self::seal_record(self, &mut UnwrapErr(SysRng), object_id, record))
    }

    fn open_record(&self, object_id: &ObjectId, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, StorageError> {
        Self::open_record(self, object_id, sealed).map_err(StorageError::Damaged)
    }

    fn wrap_lookup(&self, key: &LookupKey) -> Result<Vec<u8>, StorageError> {
        Ok(Self::wrap_lookup(self, &mut UnwrapErr(SysRng), key))
    }

    fn unwrap_lookup(&self, wrapped: &[u8]) -> Result<LookupKey, StorageError> {
        Self::unwrap_lookup(self, wrapped).map_err(StorageError::Damaged)
    }

    fn first_lookup_key(&self) -> Option<LookupKey> {
        Some(Self::first_lookup_key(self))
    }
}
