//! The data folder under its storage key: the key made, read, or found again behind a rotation that was cut off.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use latentwire_service::keys::{KeySource, write_new_secret_file};
use latentwire_service::sealing::at_rest::StorageKey;
use latentwire_service::storage_key;
use latentwire_storage::{ImageStore, StorageError};

use crate::config::StorageArgs;

/// Opens the data folder with its storage key; makes both at the first start.
///
/// # Errors
/// The key is missing although images are there, is open to others or another's; or what the storage says.
pub(crate) fn open_images(args: &StorageArgs) -> anyhow::Result<ImageStore> {
    let path = path(args)?;
    if args.storage_key_source == KeySource::File && !path.exists() {
        make(args, &path)?;
    }
    let key = storage_key::load(&path, args.storage_key_source).context("storage key")?;
    tracing::info!(storage_key = %key.id(), "the data folder is sealed");
    if args.storage_key_source == KeySource::File && storage_key::lies_inside(&args.data, &path) {
        tracing::warn!(
            "the storage key lies in the data folder, beside what it seals: whoever takes the folder reads every image; stop the \
             service, move the key away and name it with --storage-key"
        );
    }
    match ImageStore::open(&args.data, key) {
        Err(StorageError::WrongKey { expected, found }) => match rotated_to(&path, args.storage_key_source) {
            Some(next) if next.id() == expected => {
                tracing::warn!(
                    storage_key = %expected,
                    "a rotation of the storage key was cut off when its work was done; to end it, stop the service and run \
                     `latentwire storage rotate` again"
                );
                Ok(ImageStore::open(&args.data, next)?)
            }
            _ => Err(StorageError::WrongKey { expected, found }.into()),
        },
        opened => Ok(opened?),
    }
}

fn path(args: &StorageArgs) -> anyhow::Result<PathBuf> {
    if let Some(path) = &args.storage_key {
        return Ok(path.clone());
    }
    anyhow::ensure!(
        args.storage_key_source == KeySource::File,
        "--storage-key-source {} needs --storage-key",
        if args.storage_key_source == KeySource::Fd { "fd" } else { "mounted" }
    );
    storage_key::default_path(&args.data).with_context(|| {
        format!("data folder {} has no name to keep its key beside: pass --storage-key", args.data.display())
    })
}

fn make(args: &StorageArgs, path: &Path) -> anyhow::Result<()> {
    let data = args.data.display();
    anyhow::ensure!(
        !args.data.join("catalogue.sqlite").exists(),
        "storage key {} is missing although there are images in {data}: put the key back, without it they cannot be read",
        path.display(),
    );
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&args.data);
    made.with_context(|| format!("data folder {data} cannot be made"))?;
    let key = StorageKey::generate(&mut getrandom::rand_core::UnwrapErr(getrandom::SysRng));
    write_new_secret_file(path, &key.to_text())
        .context("the storage key cannot be made: name a place for it with --storage-key")?;
    tracing::info!(path = %path.display(), "made a storage key: keep a copy apart from the backups");
    Ok(())
}

/// The key that a rotation has staged beside the old one.
fn rotated_to(path: &Path, source: KeySource) -> Option<StorageKey> {
    if source != KeySource::File {
        return None;
    }
    storage_key::load(&storage_key::staged_path(path), source).ok()
}
