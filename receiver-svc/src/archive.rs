//! The image store for async callers: every call on a blocking thread, arrivals told to watchers.

use std::sync::Arc;
use std::time::Duration;

use latentwire_proto::v1;
use latentwire_service::measures;
use latentwire_service::status::{Failure, internal_error};
use latentwire_storage::{ImageFilter, ImageStore, NewImage, StorageError, StoredImage, Tombstone};
use prost::Message;
use tokio::sync::broadcast;
use zeroize::Zeroizing;

use crate::config::StorageArgs;
use crate::quota::{Bounds, Quota};
use crate::record::Attributes;
use crate::storage_key::open_images;

/// Arrivals that a watcher may lag behind.
const ARRIVALS: usize = 1024;
/// What ending connections get to let go of the data folder.
const CLOSE: Duration = Duration::from_secs(2);
/// How often is looked whether they have.
const CLOSE_POLL: Duration = Duration::from_millis(5);

/// All images of this receiver; clones share them.
#[derive(Clone)]
pub struct Archive {
    images: Arc<ImageStore>,
    quota: Arc<Quota>,
    arrivals: broadcast::Sender<v1::Image>,
}

impl Archive {
    /// Opens the data folder; makes it and its storage key at the first start. Blocking.
    ///
    /// # Errors
    /// The storage key is missing although images are there, is open to others or another's; or what the storage says.
    pub fn open(args: &StorageArgs) -> anyhow::Result<Self> {
        let images = Arc::new(open_images(args)?);
        let max_store_bytes = args.max_store_bytes.unwrap_or(u64::MAX / 4);
        let bounds = Bounds { max_store_bytes, min_free_bytes: args.min_free_bytes };
        let quota = Arc::new(Quota::new(bounds, images.stored_bytes(None)?));
        metrics::gauge!("latentwire_store_min_free_bytes").set(bytes(args.min_free_bytes));
        if let Some(most) = args.max_store_bytes {
            metrics::gauge!("latentwire_store_limit_bytes").set(bytes(most));
        }
        Ok(Self { images, quota, arrivals: broadcast::Sender::new(ARRIVALS) })
    }

    /// Room and promises.
    pub fn quota(&self) -> &Arc<Quota> {
        &self.quota
    }

    /// Every arrival from now on.
    pub fn watch(&self) -> broadcast::Receiver<v1::Image> {
        self.arrivals.subscribe()
    }

    /// Stores durably, counts, tells the watchers.
    ///
    /// # Errors
    /// As [`ImageStore::store`].
    pub async fn store(
        &self,
        peer: &str,
        new: NewImage,
        coded: impl AsRef<[u8]> + Send + 'static,
    ) -> Result<StoredImage, Failure> {
        let stored = self.blocking(move |images| images.store(&new, coded.as_ref())).await?;
        self.quota.added(peer, stored.stored_bytes);
        metrics::gauge!("latentwire_last_receipt_timestamp_seconds", "peer" => peer.to_owned())
            .set(measures::unix_now());
        // It is no fault that nobody watches.
        let _watchers = self.arrivals.send(image(&stored)?);
        Ok(stored)
    }

    /// As [`ImageStore::known`].
    ///
    /// # Errors
    /// As there.
    pub async fn known(&self, peer: &str, transfer_id: [u8; 16]) -> Result<Option<Tombstone>, Failure> {
        let peer = peer.to_owned();
        self.blocking(move |images| images.known(&peer, &transfer_id)).await
    }

    /// As [`ImageStore::list`], as messages.
    ///
    /// # Errors
    /// As there.
    pub async fn list(
        &self,
        filter: ImageFilter,
        before: Option<i64>,
        most: u32,
    ) -> Result<(Vec<v1::Image>, Option<i64>), Failure> {
        let page = self.blocking(move |images| images.list(&filter, before, most)).await?;
        let images = page.images.iter().map(image).collect::<Result<_, _>>()?;
        Ok((images, page.next))
    }

    /// An image by its id.
    ///
    /// # Errors
    /// As [`ImageStore::find`].
    pub async fn find(&self, image_id: [u8; 16]) -> Result<StoredImage, Failure> {
        self.blocking(move |images| images.find(&image_id)).await
    }

    /// The newest image of a transfer.
    ///
    /// # Errors
    /// As [`ImageStore::find_by_transfer`].
    pub async fn find_by_transfer(&self, transfer_id: [u8; 16]) -> Result<StoredImage, Failure> {
        self.blocking(move |images| images.find_by_transfer(&transfer_id)).await
    }

    /// The coded image.
    ///
    /// # Errors
    /// As [`ImageStore::open_object`].
    pub async fn open_object(&self, image_id: [u8; 16]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        self.blocking(move |images| images.open_object(&image_id)).await
    }

    /// Deletes an image.
    ///
    /// # Errors
    /// As [`ImageStore::delete`].
    pub async fn delete(&self, image_id: [u8; 16]) -> Result<(), Failure> {
        let found = self.find(image_id).await?;
        let peer = image(&found)?.peer;
        self.blocking(move |images| images.delete(&image_id)).await?;
        self.quota.removed(&peer, found.stored_bytes);
        Ok(())
    }

    /// Bytes free on the disk, and the catalogue's word on a peer where the quota does not know it yet.
    ///
    /// # Errors
    /// What the storage says.
    pub async fn room(&self, peer: &str) -> Result<u64, Failure> {
        if !self.quota.knows(peer) {
            let name = peer.to_owned();
            let stored = self.blocking(move |images| images.stored_bytes(Some(&name))).await?;
            self.quota.learn(peer, stored);
        }
        self.blocking(|images| images.free_bytes()).await
    }

    /// Whether the data folder can be written; puts the disk's free bytes into the metrics.
    ///
    /// # Errors
    /// What the storage says.
    pub async fn check_writable(&self) -> Result<(), Failure> {
        let free_bytes = self.blocking(|images| images.free_bytes()).await?;
        metrics::gauge!("latentwire_store_free_bytes").set(bytes(free_bytes));
        self.blocking(|images| images.check_writable()).await
    }

    /// Lets go of the data folder: waits until connections that are ending have dropped their share of it, for a moment at most.
    pub async fn close(self) {
        let alone = async {
            while Arc::strong_count(&self.images) > 1 {
                tokio::time::sleep(CLOSE_POLL).await;
            }
        };
        if tokio::time::timeout(CLOSE, alone).await.is_err() {
            tracing::warn!("the data folder stays locked until the process ends");
        }
    }

    async fn blocking<T, F>(&self, work: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&ImageStore) -> Result<T, StorageError> + Send + 'static,
    {
        let images = Arc::clone(&self.images);
        let done = tokio::task::spawn_blocking(move || work(&images)).await;
        Ok(done.map_err(|panic| internal_error(&panic))??)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge of bytes needs no 53rd bit")]
fn bytes(bytes: u64) -> f64 {
    bytes as f64
}

/// An image as ImageService shows it.
///
/// # Errors
/// INTERNAL where the record is not one.
pub fn image(stored: &StoredImage) -> Result<v1::Image, Failure> {
    let mut image = attributes(stored)?.image.unwrap_or_default();
    image.stored_bytes = stored.stored_bytes;
    Ok(image)
}

/// What is kept beside an image.
///
/// # Errors
/// INTERNAL where the record is not one.
pub fn attributes(stored: &StoredImage) -> Result<Attributes, Failure> {
    Ok(Attributes::decode(stored.attributes.as_slice()).map_err(|error| internal_error(&error))?)
}
