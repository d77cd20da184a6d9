//! The codec on blocking threads, a bounded number at once, panics kept in.

use std::sync::{Arc, OnceLock};

use latentwire_codec::imaging::{Identity, Limits, identity};
use latentwire_codec::{Codec, CodecError, Restored};
use latentwire_service::status::{Failure, RequestError, internal_error};
use tokio::sync::Semaphore;

/// An image that was decoded.
pub struct Decoded<B> {
    /// The caller's bytes.
    pub coded: B,
    /// The file, and what is known of it.
    pub restored: Restored,
    /// Whose it is; `None` where it is no DICOM object.
    pub identity: Option<Identity>,
}

/// Decodes coded images; clones share the codec and the bound.
#[derive(Clone)]
pub struct Decoder {
    codec: Arc<OnceLock<Codec>>,
    slots: Arc<Semaphore>,
    pool: usize,
}

impl Decoder {
    /// A decoder whose models are still to come, for `pool` images at once.
    pub fn new(pool: usize) -> Self {
        let pool = pool.max(1);
        Self { codec: Arc::default(), slots: Arc::new(Semaphore::new(pool)), pool }
    }

    /// Puts the loaded models in; later calls change nothing.
    pub fn models_loaded(&self, codec: Codec) {
        let _already_loaded = self.codec.set(codec);
    }

    /// The codec, once its models are loaded.
    pub fn codec(&self) -> Option<&Codec> {
        self.codec.get()
    }

    /// Images that are being decoded now.
    pub fn busy(&self) -> usize {
        self.pool - self.slots.available_permits()
    }

    /// Decodes on a blocking thread, when one of the pool is free. The caller's bytes come back with the result.
    ///
    /// # Errors
    /// [`Failure::Codec`] as [`Codec::restore`] says, MODEL_NOT_READY before the models are loaded, INTERNAL where the
    /// decoder panicked: then that one image failed, and the service goes on.
    pub async fn restore<B>(&self, coded: B) -> Result<Decoded<B>, Failure>
    where
        B: AsRef<[u8]> + Send + 'static,
    {
        let permit = Arc::clone(&self.slots).acquire_owned().await;
        let codec = Arc::clone(&self.codec);
        let decoded = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let codec = codec.get().ok_or(RequestError::NotReady)?;
            let restored: Result<Restored, CodecError> = codec.restore(coded.as_ref());
            let restored = restored?;
            let identity = identity(&restored.file, &Limits::default());
            Ok::<_, Failure>(Decoded { coded, restored, identity })
        });
        decoded.await.map_err(|panic| internal_error(&panic))?
    }
}
