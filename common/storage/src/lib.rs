//! Sealed objects and their catalogue on disk (docs/PROTOCOL.md, step 10).
//!
//! ```text
//!  coded image ─► seal under a random data key ─► ObjectStore: temporary file, fsync, rename, fsync of the folder
//!                      │ wrapped by the storage key
//!                      └─► Catalogue (SQLite): ids, sizes, times, wrapped key, sealed attributes, keyed hashes
//! ```
//!
//! The object is on disk before its row, and the row is committed before [`ImageStore::store`] returns; what a crash leaves
//! between the two (a temporary file, an object without a row) goes away when the store is opened again. Deleting the row's
//! wrapped key erases the object, wherever copies of it may be; backups, SSDs and versioned buckets that keep the *catalogue*
//! are the limit of that.
//!
//! [`rotate`] puts a folder under another storage key: wrapped keys and records anew, objects as they are. [`KeyWrapper`] is where
//! a device that keeps the storage key to itself would stand.
//!
//! All calls block: call them from blocking threads.
//!
//! ```
//! use latentwire_sealing::at_rest::StorageKey;
//! use latentwire_storage::{ImageStore, NewImage};
//! use getrandom::{SysRng, rand_core::UnwrapErr};
//!
//! let folder = tempfile::tempdir()?;
//! let key = StorageKey::generate(&mut UnwrapErr(SysRng));
//! let images = ImageStore::open(folder.path(), key)?;
//! let new = NewImage {
//!     image_id: [1; 16],
//!     transfer_id: [2; 16],
//!     peer: "clinic".to_owned(),
//!     study_group: String::new(),
//!     created_ms: 1_795_262_400_000,
//!     summary: b"remembered after deletion".to_vec(),
//!     attributes: b"forgotten at deletion".to_vec(),
//! };
//! images.store(&new, b"coded image")?;
//! assert_eq!(images.open_object(&[1; 16])?.as_slice(), b"coded image");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod catalogue;
mod error;
mod folder;
mod images;
mod key_wrapper;
mod local_store;
mod object_store;
mod rotation;

pub use error::StorageError;
pub use images::{ImageFilter, ImageStore, NewImage, Page, StoredImage, Tombstone};
pub use key_wrapper::KeyWrapper;
pub use local_store::LocalStore;
pub use object_store::{ObjectId, ObjectStore};
pub use rotation::{Rotated, rotate};
