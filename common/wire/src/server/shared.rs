//! What all sessions of a receiver share: identity, trust, and the bounds over all of them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use latentwire_sealing::{SecretKey, TrustStore};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Clock;
use super::handshakes::{Handshake, Handshakes};
use crate::{ReceiverLimits, TransferId, TransferSink, WireError};

/// Unit of the buffer budget: a permit stands for this many bytes.
const BUDGET_UNIT: u64 = 1_024;

pub(super) struct Shared<S: TransferSink> {
    pub(super) identity: Arc<SecretKey>,
    pub(super) trust: watch::Receiver<Arc<TrustStore>>,
    pub(super) sink: Arc<S>,
    pub(super) limits: ReceiverLimits,
    pub(super) clock: Clock,
    pub(super) tasks: TaskTracker,
    pub(super) draining: CancellationToken,
    sessions: Arc<Semaphore>,
    handshakes: Arc<Handshakes>,
    budget: Arc<Semaphore>,
    budget_units: usize,
    seats: Arc<Mutex<Seats>>,
}

#[derive(Default)]
struct Seats {
    sessions_of: HashMap<String, usize>,
    transfers: HashSet<(String, TransferId)>,
}

impl<S: TransferSink> Shared<S> {
    pub(super) fn new(
        identity: Arc<SecretKey>,
        trust: watch::Receiver<Arc<TrustStore>>,
        sink: Arc<S>,
        limits: ReceiverLimits,
        clock: Clock,
    ) -> Self {
        let units = limits.max_buffered_bytes / BUDGET_UNIT;
        let budget_units = usize::try_from(units).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self {
            identity,
            trust,
            sink,
            clock,
            tasks: TaskTracker::new(),
            draining: CancellationToken::new(),
            sessions: Arc::new(Semaphore::new(limits.max_sessions.min(Semaphore::MAX_PERMITS))),
            handshakes: Handshakes::new(limits.max_pending_handshakes),
            budget: Arc::new(Semaphore::new(budget_units)),
            budget_units,
            seats: Arc::default(),
            limits,
        }
    }

    /// Sessions that are set up, and handshakes that may become one.
    pub(super) fn open_sessions(&self) -> usize {
        let set_up = self.limits.max_sessions.min(Semaphore::MAX_PERMITS) - self.sessions.available_permits();
        set_up + self.handshakes.waiting()
    }

    pub(super) fn buffered_bytes(&self) -> u64 {
        (self.budget_units - self.budget.available_permits()) as u64 * BUDGET_UNIT
    }

    /// A place among the handshakes whose Hello has not come yet; whoever has waited longest gives way for it.
    pub(super) fn begin_handshake(&self) -> Result<Handshake, WireError> {
        self.handshakes.begin()
    }

    /// A place among the sessions of peers that the trust store has admitted.
    pub(super) fn admit_session(&self) -> Result<OwnedSemaphorePermit, WireError> {
        try_acquire(&self.sessions, 1, "sessions of this receiver")
    }

    /// A place among the sessions of one peer.
    pub(super) fn admit_peer(&self, name: &str) -> Result<PeerSeat, WireError> {
        let mut seats = lock(&self.seats);
        let sessions = seats.sessions_of.entry(name.to_owned()).or_default();
        if *sessions >= self.limits.max_sessions_per_peer {
            return Err(WireError::Overloaded { what: "sessions of this peer" });
        }
        *sessions += 1;
        Ok(PeerSeat { seats: Arc::clone(&self.seats), name: name.to_owned() })
    }

    /// Claims a transfer, so that no second stream brings it at the same time.
    pub(super) fn claim(&self, peer: &str, transfer_id: &TransferId) -> Result<TransferClaim, WireError> {
        let key = (peer.to_owned(), *transfer_id);
        if lock(&self.seats).transfers.insert(key.clone()) {
            Ok(TransferClaim { seats: Arc::clone(&self.seats), key })
        } else {
            Err(WireError::TransferInProgress)
        }
    }

    /// Reserves room for a padded transfer; nothing is allocated by it.
    pub(super) fn reserve(&self, padded_bytes: u64) -> Result<OwnedSemaphorePermit, WireError> {
        let units = u32::try_from(padded_bytes.div_ceil(BUDGET_UNIT))
            .map_err(|_| WireError::Overloaded { what: "room for open transfers" })?;
        try_acquire(&self.budget, units, "room for open transfers")
    }
}

fn try_acquire(
    semaphore: &Arc<Semaphore>,
    permits: u32,
    what: &'static str,
) -> Result<OwnedSemaphorePermit, WireError> {
    Arc::clone(semaphore).try_acquire_many_owned(permits).map_err(|_| WireError::Overloaded { what })
}

/// The tables hold no invariant across a panic, so a poisoned lock is as good as a clean one.
fn lock(seats: &Mutex<Seats>) -> MutexGuard<'_, Seats> {
    seats.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One session of a peer; given back when dropped.
pub(super) struct PeerSeat {
    seats: Arc<Mutex<Seats>>,
    name: String,
}

impl Drop for PeerSeat {
    fn drop(&mut self) {
        let mut seats = lock(&self.seats);
        if let Some(sessions) = seats.sessions_of.get_mut(&self.name) {
            *sessions -= 1;
            if *sessions == 0 {
                seats.sessions_of.remove(&self.name);
            }
        }
    }
}

/// The one stream that brings a transfer; given back when dropped.
pub(super) struct TransferClaim {
    seats: Arc<Mutex<Seats>>,
    key: (String, TransferId),
}

impl Drop for TransferClaim {
    fn drop(&mut self) {
        lock(&self.seats).transfers.remove(&self.key);
    }
}
