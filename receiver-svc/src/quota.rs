//! Room for what is on its way: the store's bound, the peers' shares and the disk, with reservations.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use latentwire_service::sealing::at_rest;
use latentwire_wire::{Reason, SinkError};

/// Bytes that a stored image takes beside its object: its row, generously.
const ROW_BYTES: u64 = 4096;

/// How much may be kept.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// In all.
    pub max_store_bytes: u64,
    /// Of the disk, what stays free.
    pub min_free_bytes: u64,
}

/// What is kept, and what is promised to transfers on their way.
#[derive(Debug)]
pub struct Quota {
    bounds: Bounds,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    stored: u64,
    reserved: u64,
    /// By peer name: stored and reserved together.
    peers: HashMap<String, u64>,
}

/// Room that is promised to one transfer; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    quota: Arc<Quota>,
    peer: String,
    bytes: u64,
}

impl Quota {
    /// With so many bytes stored already.
    pub fn new(bounds: Bounds, stored: u64) -> Self {
        Self { bounds, used: Mutex::new(Used { stored, ..Used::default() }) }
    }

    /// Whether the peer's bytes are known yet; the catalogue is asked once a peer.
    pub fn knows(&self, peer: &str) -> bool {
        self.used().peers.contains_key(peer)
    }

    /// Enters what the catalogue says of a peer.
    pub fn learn(&self, peer: &str, stored: u64) {
        self.used().peers.entry(peer.to_owned()).or_insert(stored);
    }

    /// Promises room for a transfer of so many padded bytes.
    ///
    /// # Errors
    /// TRANSFER_TOO_LARGE if it can never fit, STORAGE_FULL if it does not fit now.
    pub fn reserve(
        self: &Arc<Self>,
        peer: &str,
        share: Option<u64>,
        padded_bytes: u64,
        free_bytes: u64,
    ) -> Result<Reservation, SinkError> {
        let too_large = |what: &str| SinkError::new(Reason::TransferTooLarge, what);
        let full = |what: &str| SinkError::new(Reason::StorageFull, what);
        let sealed =
            at_rest::sealed_bytes(padded_bytes).map_err(|_| too_large("larger than an object may be"))?;
        let bytes = sealed + ROW_BYTES;
        if bytes > self.bounds.max_store_bytes {
            return Err(too_large("larger than --max-store-bytes"));
        }
        if share.is_some_and(|share| bytes > share) {
            return Err(too_large("larger than the peer's max_bytes"));
        }
        let mut used = self.used();
        if used.stored + used.reserved + bytes > self.bounds.max_store_bytes {
            return Err(full("--max-store-bytes is reached"));
        }
        let of_peer = used.peers.get(peer).copied().unwrap_or(0);
        if share.is_some_and(|share| of_peer + bytes > share) {
            return Err(full("the peer's max_bytes is reached"));
        }
        if free_bytes < self.bounds.min_free_bytes.saturating_add(used.reserved).saturating_add(bytes) {
            return Err(full("--min-free-bytes is reached"));
        }
        used.reserved += bytes;
        *used.peers.entry(peer.to_owned()).or_default() += bytes;
        Ok(Reservation { quota: Arc::clone(self), peer: peer.to_owned(), bytes })
    }

    /// Bytes stored, without reservations.
    pub fn stored(&self) -> u64 {
        self.used().stored
    }

    /// Enters an image that has been stored.
    pub fn added(&self, peer: &str, bytes: u64) {
        let mut used = self.used();
        used.stored += bytes;
        *used.peers.entry(peer.to_owned()).or_default() += bytes;
    }

    /// Enters an image that has been deleted.
    pub fn removed(&self, peer: &str, bytes: u64) {
        let mut used = self.used();
        used.stored = used.stored.saturating_sub(bytes);
        if let Some(of_peer) = used.peers.get_mut(peer) {
            *of_peer = of_peer.saturating_sub(bytes);
        }
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        // Every change is complete before anything can panic.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut used = self.quota.used();
        used.reserved = used.reserved.saturating_sub(self.bytes);
        if let Some(of_peer) = used.peers.get_mut(&self.peer) {
            *of_peer = of_peer.saturating_sub(self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(max_store_bytes: u64, min_free_bytes: u64, stored: u64) -> Arc<Quota> {
        Arc::new(Quota::new(Bounds { max_store_bytes, min_free_bytes }, stored))
    }

    fn reason(reserved: Result<Reservation, SinkError>) -> Reason {
        reserved.expect_err("refused").reason
    }

    #[test]
    fn room_is_promised_once_and_given_back() {
        let quota = quota(100_000, 0, 0);
        let first = quota.reserve("a", None, 60_000, u64::MAX).expect("room");
        assert_eq!(reason(quota.reserve("b", None, 60_000, u64::MAX)), Reason::StorageFull);
        drop(first);
        quota.reserve("b", None, 60_000, u64::MAX).expect("room again");
    }

    #[test]
    fn what_is_stored_counts_until_it_is_deleted() {
        let quota = quota(100_000, 0, 0);
        quota.added("a", 60_000);
        assert_eq!(reason(quota.reserve("a", None, 60_000, u64::MAX)), Reason::StorageFull);
        quota.removed("a", 60_000);
        quota.reserve("a", None, 60_000, u64::MAX).expect("room again");
    }

    #[test]
    fn what_can_never_fit_is_too_large() {
        let quota = quota(100_000, 0, 0);
        assert_eq!(reason(quota.reserve("a", None, 100_000, u64::MAX)), Reason::TransferTooLarge);
        assert_eq!(reason(quota.reserve("a", Some(50_000), 60_000, u64::MAX)), Reason::TransferTooLarge);
        assert_eq!(reason(quota.reserve("a", None, u64::MAX, u64::MAX)), Reason::TransferTooLarge);
    }

    #[test]
    fn a_peer_keeps_to_its_share() {
        let quota = quota(u64::MAX / 2, 0, 0);
        quota.learn("a", 50_000);
        quota.learn("a", 0);
        assert_eq!(reason(quota.reserve("a", Some(100_000), 60_000, u64::MAX)), Reason::StorageFull);
        quota.reserve("b", Some(100_000), 60_000, u64::MAX).expect("another's share");
    }

    #[test]
    fn the_disk_keeps_its_free_bytes() {
        let quota = quota(u64::MAX / 2, 1_000_000, 0);
        assert_eq!(reason(quota.reserve("a", None, 60_000, 1_000_000)), Reason::StorageFull);
        let _first = quota.reserve("a", None, 60_000, 1_080_000).expect("room");
        assert_eq!(reason(quota.reserve("a", None, 60_000, 1_080_000)), Reason::StorageFull);
    }
}
