//! The interface that local disk has now and object storage gets later.

use crate::StorageError;

/// Id of an object: 16 random bytes.
pub type ObjectId = [u8; 16];

/// Keeps opaque, sealed bytes under random ids. Calls block.
pub trait ObjectStore: Send + Sync + 'static {
    /// Stores an object durably: when it returns, the object survives a crash; before, it is not visible at all.
    ///
    /// # Errors
    /// [`StorageError::NoSpace`], or what the operating system says; then nothing of it is left.
    fn put(&self, id: &ObjectId, sealed: &[u8]) -> Result<(), StorageError>;

    /// Reads an object.
    ///
    /// # Errors
    /// [`StorageError::NotFound`], or what the operating system says.
    fn get(&self, id: &ObjectId) -> Result<Vec<u8>, StorageError>;

    /// Deletes an object; one that is not there is deleted already.
    ///
    /// # Errors
    /// What the operating system says.
    fn delete(&self, id: &ObjectId) -> Result<(), StorageError>;

    /// The ids of all objects, in no order.
    ///
    /// # Errors
    /// What the operating system says.
    fn list(&self) -> Result<Vec<ObjectId>, StorageError>;

    /// Bytes that can still be stored.
    ///
    /// # Errors
    /// What the operating system says.
    fn free_bytes(&self) -> Result<u64, StorageError>;
}
