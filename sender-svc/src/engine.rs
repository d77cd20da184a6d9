//! One image from its file to the receiver's receipt: code, seal, deliver, once more if the session breaks.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use backon::{ConstantBuilder, Retryable};
use latentwire_codec::{Codec, CodecError, Mode, Prepared};
use latentwire_proto::{
    Bytes,
    v1::{ImageSummary, Transfer, TransferStatus},
};
use latentwire_service::audit::Audit;
use latentwire_service::sealing::{Form, TrustStore};
use latentwire_service::status::{Failure, RequestError, reason, reason_of, to_status};
use latentwire_wire::{Delivered, Progress, Retry};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use crate::{
    audit,
    destinations::Destinations,
    intake::Accepted,
    measures,
    outgoing::{self, CodedImage},
    transfer,
    transfer_log::{TransferId, TransferLog},
    uplinks::Uplinks,
};

/// Pause before a transfer is tried again over a fresh session.
const RETRY_DELAY: Duration = Duration::from_millis(250);
/// Sessions that may turn out to be spent, one after the other, before that counts as a failure: others fill them too.
const SPENT_SESSIONS: u32 = 8;
/// Pause before the next of them.
const NEXT_SESSION_DELAY: Duration = Duration::from_millis(20);

/// Files in memory beyond those that are being coded: on their way in, or out.
const FILES_BESIDE_CODING: usize = 8;

/// Destination and id of a transfer.
type Key = (String, TransferId);

/// Everything that sends images; shared by all calls.
pub struct Engine {
    codec: OnceLock<Arc<Codec>>,
    pool: usize,
    coding: Arc<Semaphore>,
    files: Arc<Semaphore>,
    destinations: Destinations,
    uplinks: Uplinks,
    log: TransferLog,
    audit: Audit,
    under_way: Mutex<HashMap<Key, Arc<tokio::sync::Mutex<()>>>>,
}

/// What an engine has at work.
#[derive(Clone, Debug)]
pub struct Load {
    /// Images that are being coded.
    pub coding: usize,
    /// Files in memory.
    pub files: usize,
    /// Most files in memory.
    pub files_limit: usize,
    /// Whether a session is open, by destination.
    pub open_sessions: Vec<(String, bool)>,
}

/// Why an image was not delivered, as its caller and as the log have it.
#[derive(Debug)]
pub struct Rejection {
    /// The transfer, REJECTED.
    pub transfer: Transfer,
    /// The same as a gRPC status.
    pub status: Status,
}

/// Leave to hold one file in memory.
pub struct Room(#[expect(dead_code, reason = "held for its Drop alone")] OwnedSemaphorePermit);

/// An image to be sent.
pub struct Task {
    /// Its checked header.
    pub accepted: Accepted,
    /// The file.
    pub source: Bytes,
    /// Leave to hold it.
    pub room: Room,
    /// Hears of every change; kept busy by nobody.
    pub progress: watch::Sender<Option<(Transfer, Progress)>>,
}

impl Engine {
    /// Sends nothing before [`Self::models_loaded`]; codes `pool` images at once.
    #[must_use]
    pub fn new(
        destinations: Destinations,
        uplinks: Uplinks,
        log: TransferLog,
        audit: Audit,
        pool: usize,
    ) -> Self {
        let pool = pool.max(1);
        Self {
            codec: OnceLock::new(),
            pool,
            coding: Arc::new(Semaphore::new(pool)),
            files: Arc::new(Semaphore::new(pool + FILES_BESIDE_CODING)),
            destinations,
            uplinks,
            log,
            audit,
            under_way: Mutex::default(),
        }
    }

    /// From now on images are coded.
    pub fn models_loaded(&self, codec: Arc<Codec>) {
        // Models are loaded once in a process's life; a second call changes nothing.
        let _ = self.codec.set(codec);
    }

    /// The codec.
    ///
    /// # Errors
    /// The models are not loaded yet.
    pub fn codec(&self) -> Result<&Arc<Codec>, RequestError> {
        self.codec.get().ok_or(RequestError::NotReady)
    }

    /// The receivers.
    pub fn destinations(&self) -> &Destinations {
        &self.destinations
    }

    /// What became of the transfers.
    pub fn log(&self) -> &TransferLog {
        &self.log
    }

    /// Waits for leave to take a file into memory; the client's stream rests meanwhile.
    ///
    /// # Errors
    /// The service is stopping.
    pub async fn room(&self) -> Result<Room, RequestError> {
        let permit = Arc::clone(&self.files).acquire_owned().await;
        permit.map(Room).map_err(|_| RequestError::ShuttingDown)
    }

    /// What is at work now.
    #[must_use]
    pub fn load(&self) -> Load {
        Load {
            coding: self.pool - self.coding.available_permits(),
            files: self.pool + FILES_BESIDE_CODING - self.files.available_permits(),
            files_limit: self.pool + FILES_BESIDE_CODING,
            open_sessions: self.uplinks.open().map(|(name, open)| (name.to_owned(), open)).collect(),
        }
    }

    /// Ends the sessions.
    pub async fn close(&self) {
        self.uplinks.close().await;
    }

    /// Ends the sessions with receivers whose keys the trust store admits no more, until `stop`.
    pub async fn keep_to(
        self: Arc<Self>,
        changes: watch::Receiver<Arc<TrustStore>>,
        stop: CancellationToken,
    ) {
        self.uplinks.keep_to(changes, stop).await;
    }

    /// The audit log.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Sends one image, to its receipt or its rejection. A panic in it stays in it.
    ///
    /// # Errors
    /// The image was not delivered.
    pub async fn send(self: &Arc<Self>, task: Task) -> Result<Transfer, Box<Rejection>> {
        let _turn = self.turn(&task.accepted).await;
        let _counted = measures::InFlight::begin(&task.accepted.destination.name);
        let begun = transfer::accepted(&task.accepted);
        let before = self.log.begin(&begun);
        let id = hex::encode(task.accepted.transfer_id);
        let destination = task.accepted.destination.name.clone();
        let engine = Arc::clone(self);
        let first = begun.clone();
        let (accepted, source) = (task.accepted.clone(), task.source.clone());
        let ended = match tokio::spawn(async move { engine.transfer(task, first).await }).await {
            Ok(Ok(delivered)) => Ok(delivered),
            Ok(Err((known, failure))) => Err((known, to_status(&failure))),
            Err(_panicked) => Err((begun, to_status(&RequestError::Panicked.into()))),
        };
        let ended = self.write_down(&accepted, source, ended).await;
        match ended {
            Ok(delivered) => {
                self.log.update(&delivered);
                measures::delivered(&destination);
                let image = delivered.image.as_ref();
                tracing::info!(
                    transfer_id = id,
                    destination,
                    model = image.map(|image| image.model.as_str()),
                    coded_bytes = image.map(|image| image.coded_bytes),
                    sealed_bytes = image.map(|image| image.sealed_bytes),
                    "delivered"
                );
                Ok(delivered)
            }
            Err((known, status)) => {
                let why = reason_of(&status);
                let rejected = transfer::rejected(known, &status);
                // A conflict says nothing about the image that was delivered under this id.
                match before.filter(|before| why == reason::TRANSFER_CONFLICT && arrived(before)) {
                    Some(standing) => self.log.update(&standing),
                    None => self.log.update(&rejected),
                }
                measures::rejected(&destination, &why);
                tracing::warn!(transfer_id = id, destination, reason = why, "rejected: {}", status.message());
                Err(Box::new(Rejection { transfer: rejected, status }))
            }
        }
    }

    /// Writes the end of a transfer into the audit log; one that cannot be written down does not count as delivered. Sent again,
    /// it is found at the receiver.
    async fn write_down(
        &self,
        accepted: &Accepted,
        source: Bytes,
        ended: Result<(Transfer, Delivered), (Transfer, Status)>,
    ) -> Result<Transfer, (Transfer, Status)> {
        let mut event = audit::transfer(accepted, self.uplinks.key_of(&accepted.destination).as_ref());
        let ended = match ended {
            Ok((transfer, receipt)) => {
                audit::delivered(&mut event, &transfer, &receipt);
                Ok(transfer)
            }
            Err((transfer, status)) => {
                audit::rejected(&mut event, &transfer, &reason_of(&status));
                Err((transfer, status))
            }
        };
        if !self.audit.is_kept() {
            return ended;
        }
        let whose = audit::identifiers(accepted, source).await;
        match (self.audit.record(event, Some(whose)).await, ended) {
            (Err(error), Ok(transfer)) => Err((transfer, to_status(&error.into()))),
            (_, ended) => ended,
        }
    }

    /// Waits until no other call is sending the same transfer.
    async fn turn(&self, accepted: &Accepted) -> Turn<'_> {
        let key = (accepted.destination.name.clone(), accepted.transfer_id);
        let lock = {
            let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(under_way.entry(key.clone()).or_default())
        };
        Turn { engine: self, key, guard: Some(lock.lock_owned().await) }
    }

    async fn transfer(
        &self,
        task: Task,
        begun: Transfer,
    ) -> Result<(Transfer, Delivered), (Transfer, Failure)> {
        let Task { accepted, source, room: _room, progress } = task;
        if let Err(error) = self.audit.check().await {
            return Err((begun, error.into()));
        }
        let coded = match self.code(&accepted, &source).await {
            Ok(coded) => coded,
            Err(failure) => return Err((begun, failure)),
        };
        let known = transfer::coded(begun, coded.summary.clone());
        self.log.update(&known);
        progress.send_replace(Some((known.clone(), Progress::default())));
        let attempt = || self.over_sessions(&accepted, &coded, &source, &known, &progress);
        let once_more = ConstantBuilder::default().with_delay(RETRY_DELAY).with_max_times(1);
        let delivered = attempt
            .retry(once_more)
            .when(is_worth_another_session)
            .notify(|failure, _| {
                tracing::info!(
                    destination = accepted.destination.name,
                    "trying over a fresh session: {failure}"
                );
                measures::tried_again();
            })
            .await;
        let (receipt, summary) = match delivered {
            Ok(delivered) => delivered,
            Err(failure) => return Err((known, failure)),
        };
        measures::observe(
            &summary,
            accepted.policy.mode,
            receipt.form == Form::Exact && coded.mode == Mode::Latent,
        );
        Ok((transfer::delivered(known, summary, receipt.image_id), receipt))
    }

    /// Codes the file on a blocking thread, a bounded number at once.
    async fn code(&self, accepted: &Accepted, source: &Bytes) -> Result<CodedImage, Failure> {
        let codec = Arc::clone(self.codec()?);
        let policy = accepted.policy.clone();
        let file = source.clone();
        let prepared = self.blocking(move || codec.prepare(&file, &policy)).await?;
        CodedImage::new(prepared, accepted.inner_layer)
    }

    async fn blocking(
        &self,
        work: impl FnOnce() -> Result<Prepared, CodecError> + Send + 'static,
    ) -> Result<Prepared, Failure> {
        let permit =
            Arc::clone(&self.coding).acquire_owned().await.map_err(|_| RequestError::ShuttingDown)?;
        let joined = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        Ok(joined.await.map_err(|_| RequestError::Panicked)??)
    }

    /// One try; a session that takes no further images is followed by the next one, as nothing of the image was taken there.
    async fn over_sessions(
        &self,
        accepted: &Accepted,
        coded: &CodedImage,
        source: &Bytes,
        known: &Transfer,
        progress: &watch::Sender<Option<(Transfer, Progress)>>,
    ) -> Result<(Delivered, ImageSummary), Failure> {
        for _ in 1..SPENT_SESSIONS {
            match self.attempt(accepted, coded, source, known, progress).await {
                Err(Failure::Wire(error)) if error.retry() == Retry::NewSession => {
                    tokio::time::sleep(NEXT_SESSION_DELAY).await;
                }
                done => return done,
            }
        }
        self.attempt(accepted, coded, source, known, progress).await
    }

    /// One try: over the live session, which is given up if it fails.
    async fn attempt(
        &self,
        accepted: &Accepted,
        coded: &CodedImage,
        source: &Bytes,
        known: &Transfer,
        progress: &watch::Sender<Option<(Transfer, Progress)>>,
    ) -> Result<(Delivered, ImageSummary), Failure> {
        let uplink = self.uplinks.get(&accepted.destination).await?;
        let (outgoing, fallback) = outgoing::outgoing(accepted, coded, source, self.codec()?);
        let (sent, mut changes) = watch::channel(Progress::default());
        let delivery = uplink.deliver(outgoing, Some(sent));
        let report = async {
            while changes.changed().await.is_ok() {
                let now = *changes.borrow_and_update();
                progress.send_replace(Some((known.clone(), now)));
            }
            std::future::pending::<()>().await;
        };
        let delivered = tokio::select! {
            delivered = delivery => delivered,
            () = report => unreachable!("the report never ends"),
        };
        match delivered {
            Ok(receipt) => {
                let summary = self.summary(accepted, coded, &receipt, fallback, source).await?;
                Ok((receipt, summary))
            }
            Err(error) => {
                let failure = Failure::from(error);
                if is_worth_another_session(&failure) {
                    self.uplinks.retire(&accepted.destination, &uplink);
                }
                Err(failure)
            }
        }
    }

    /// What was delivered: the form that the receiver stored, with the receiver's times.
    async fn summary(
        &self,
        accepted: &Accepted,
        coded: &CodedImage,
        receipt: &Delivered,
        fallback: outgoing::Fallback,
        source: &Bytes,
    ) -> Result<ImageSummary, Failure> {
        let mut summary = coded.summary.clone();
        if receipt.form == Form::Exact && coded.mode == Mode::Latent {
            summary = match fallback.taken() {
                Some(exact) => exact,
                None => {
                    let (codec, file) = (Arc::clone(self.codec()?), source.clone());
                    let prepare = move || codec.prepare_exact(&file, outgoing::ALREADY_EXACT);
                    CodedImage::new(self.blocking(prepare).await?, accepted.inner_layer)?.summary
                }
            };
        }
        outgoing::complete(&mut summary, receipt);
        Ok(summary)
    }
}

/// The right to send one transfer; the next call for it waits for the drop.
struct Turn<'a> {
    engine: &'a Engine,
    key: Key,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut under_way = self.engine.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        self.guard = None;
        // Whoever waits holds the lock too; the last one takes it out of the map.
        if under_way.get(&self.key).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            under_way.remove(&self.key);
        }
    }
}

/// Whether a fresh session may bring what this one did not: the link broke, or what arrived did not authenticate.
fn is_worth_another_session(failure: &Failure) -> bool {
    let status = to_status(failure);
    let is_over = matches!(failure, Failure::Wire(error) if error.retry() == Retry::NewSession);
    is_over || status.code() == Code::DataLoss || reason_of(&status) == reason::PEER_UNAVAILABLE
}

fn arrived(transfer: &Transfer) -> bool {
    transfer.status() == TransferStatus::Delivered
}

#[cfg(test)]
mod tests {
    use latentwire_service::sealing::{Role, SecretKey};
    use latentwire_wire::SessionLimits;

    use super::*;

    #[tokio::test]
    async fn a_panic_while_coding_stays_in_its_image() {
        let destinations = Destinations::default();
        let mut rng = getrandom::rand_core::UnwrapErr(getrandom::SysRng);
        let identity = SecretKey::generate(Role::Sender, &mut rng);
        let uplinks = Uplinks::new(identity, &destinations, SessionLimits::default(), None);
        let engine = Engine::new(destinations, uplinks, TransferLog::new(1), Audit::none(), 1);
        for _ in 0..3 {
            let failure = engine.blocking(|| panic!("a fault in a codec")).await.expect_err("it panicked");
            let status = to_status(&failure);
            assert_eq!((status.code(), reason_of(&status).as_str()), (Code::Internal, reason::INTERNAL));
            assert!(!status.message().contains("codec"), "{status:?}");
        }
        assert_eq!(engine.coding.available_permits(), 1, "the place of a panicked image is free again");
    }
}
