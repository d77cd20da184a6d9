//! What became of the transfers: bounded, in memory, newest first.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use latentwire_proto::v1::{Transfer, TransferStatus};
use tokio::sync::broadcast;

/// Changes that a watcher may lag behind before it is cut off.
const CHANGES_KEPT: usize = 1024;

/// 16 bytes that name a transfer; one transfer goes to one destination.
pub type TransferId = [u8; 16];

/// The transfers of this process, and a feed of their changes.
///
/// Finished transfers are forgotten, oldest first, when more than `capacity` are known; those under way are kept.
pub struct TransferLog {
    capacity: usize,
    entries: Mutex<Entries>,
    changes: broadcast::Sender<Transfer>,
}

/// Transfers in the order in which they were accepted.
#[derive(Default)]
struct Entries {
    next_number: u64,
    by_number: BTreeMap<u64, Transfer>,
    by_key: HashMap<(String, TransferId), u64>,
}

/// Why there is no one transfer for an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookUpError {
    /// None is known.
    NotFound,
    /// It went to several destinations, and none was named.
    Ambiguous,
}

/// One page of the list.
#[derive(Debug, Default)]
pub struct Page {
    /// Newest first.
    pub transfers: Vec<Transfer>,
    /// Number of the last transfer on the page; absent at the end of the list.
    pub next: Option<u64>,
}

impl TransferLog {
    /// An empty log that keeps `capacity` transfers.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            entries: Mutex::default(),
            changes: broadcast::Sender::new(CHANGES_KEPT),
        }
    }

    /// Enters a transfer as the newest; returns what was known under its destination and id before.
    pub fn begin(&self, transfer: &Transfer) -> Option<Transfer> {
        let mut entries = self.lock();
        let key = key(transfer);
        let number = entries.next_number;
        entries.next_number += 1;
        let before = entries.by_key.insert(key, number).and_then(|old| entries.by_number.remove(&old));
        entries.by_number.insert(number, transfer.clone());
        entries.forget_beyond(self.capacity);
        drop(entries);
        self.tell(transfer);
        before
    }

    /// Replaces a transfer by its newer state.
    pub fn update(&self, transfer: &Transfer) {
        let mut entries = self.lock();
        if let Some(&number) = entries.by_key.get(&key(transfer)) {
            entries.by_number.insert(number, transfer.clone());
        }
        drop(entries);
        self.tell(transfer);
    }

    /// The transfer with this id; `destination` may be empty where it went to one only.
    ///
    /// # Errors
    /// There is none, or several.
    pub fn find(&self, id: &TransferId, destination: &str) -> Result<Transfer, LookUpError> {
        let entries = self.lock();
        if !destination.is_empty() {
            let number = entries.by_key.get(&(destination.to_owned(), *id)).ok_or(LookUpError::NotFound)?;
            return entries.by_number.get(number).cloned().ok_or(LookUpError::NotFound);
        }
        let mut found = entries.by_number.values().filter(|transfer| transfer.transfer_id[..] == id[..]);
        match (found.next(), found.next()) {
            (Some(transfer), None) => Ok(transfer.clone()),
            (None, _) => Err(LookUpError::NotFound),
            (Some(_), Some(_)) => Err(LookUpError::Ambiguous),
        }
    }

    /// At most `size` transfers older than number `before`, newest first, of these `statuses` (of all if none).
    #[must_use]
    pub fn page(&self, size: usize, before: Option<u64>, statuses: &[TransferStatus]) -> Page {
        let entries = self.lock();
        let mut matching = entries
            .by_number
            .range(..before.unwrap_or(u64::MAX))
            .rev()
            .filter(|(_, transfer)| statuses.is_empty() || statuses.contains(&transfer.status()));
        let mut page = Page::default();
        for (&number, transfer) in matching.by_ref().take(size) {
            page.transfers.push(transfer.clone());
            page.next = Some(number);
        }
        if matching.next().is_none() {
            page.next = None;
        }
        page
    }

    /// Every change from now on.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<Transfer> {
        self.changes.subscribe()
    }

    fn tell(&self, transfer: &Transfer) {
        // It is no fault that nobody watches.
        let _ = self.changes.send(transfer.clone());
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // Every change under the lock is complete before anything can panic, so a poisoned lock guards sound data.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn forget_beyond(&mut self, capacity: usize) {
        let surplus = self.by_number.len().saturating_sub(capacity);
        let finished = |transfer: &Transfer| {
            matches!(transfer.status(), TransferStatus::Delivered | TransferStatus::Rejected)
        };
        let old: Vec<u64> = self
            .by_number
            .iter()
            .filter(|(_, transfer)| finished(transfer))
            .map(|(&number, _)| number)
            .take(surplus)
            .collect();
        for number in old {
            if let Some(transfer) = self.by_number.remove(&number) {
                self.by_key.remove(&key(&transfer));
            }
        }
    }
}

fn key(transfer: &Transfer) -> (String, TransferId) {
    let mut id = [0; 16];
    let length = id.len().min(transfer.transfer_id.len());
    id[..length].copy_from_slice(&transfer.transfer_id[..length]);
    (transfer.destination.clone(), id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transfer(id: u8, destination: &str, status: TransferStatus) -> Transfer {
        Transfer {
            transfer_id: vec![id; 16].into(),
            destination: destination.to_owned(),
            status: status.into(),
            ..Transfer::default()
        }
    }

    #[test]
    fn the_oldest_finished_transfer_is_forgotten_and_one_under_way_is_not() {
        let log = TransferLog::new(2);
        log.begin(&transfer(1, "a", TransferStatus::Sending));
        log.begin(&transfer(2, "a", TransferStatus::Delivered));
        log.begin(&transfer(3, "a", TransferStatus::Rejected));
        assert_eq!(log.find(&[2; 16], ""), Err(LookUpError::NotFound));
        assert!(log.find(&[1; 16], "").is_ok() && log.find(&[3; 16], "a").is_ok());
    }

    #[test]
    fn an_id_that_went_to_two_destinations_needs_one_named() {
        let log = TransferLog::new(10);
        log.begin(&transfer(1, "a", TransferStatus::Delivered));
        log.begin(&transfer(1, "b", TransferStatus::Delivered));
        assert_eq!(log.find(&[1; 16], ""), Err(LookUpError::Ambiguous));
        assert_eq!(log.find(&[1; 16], "b").map(|transfer| transfer.destination), Ok("b".to_owned()));
    }

    #[test]
    fn a_repeated_id_moves_to_the_front_and_its_old_state_comes_back() {
        let log = TransferLog::new(10);
        assert_eq!(log.begin(&transfer(1, "a", TransferStatus::Delivered)), None);
        log.begin(&transfer(2, "a", TransferStatus::Delivered));
        let before = log.begin(&transfer(1, "a", TransferStatus::Sending)).expect("known");
        assert_eq!(before.status(), TransferStatus::Delivered);
        let page = log.page(10, None, &[]);
        assert_eq!(page.transfers.iter().map(|t| t.transfer_id[0]).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn pages_follow_one_another_without_a_gap() {
        let log = TransferLog::new(100);
        for id in 0..7 {
            let status = if id % 2 == 0 { TransferStatus::Delivered } else { TransferStatus::Rejected };
            log.begin(&transfer(id, "a", status));
        }
        let mut seen = Vec::new();
        let mut before = None;
        loop {
            let page = log.page(2, before, &[TransferStatus::Delivered]);
            seen.extend(page.transfers.iter().map(|transfer| transfer.transfer_id[0]));
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(seen, [6, 4, 2, 0]);
    }

    #[test]
    fn a_watcher_hears_of_every_change() {
        let log = TransferLog::new(10);
        let mut watcher = log.watch();
        log.begin(&transfer(1, "a", TransferStatus::Sending));
        log.update(&transfer(1, "a", TransferStatus::Delivered));
        assert_eq!(watcher.try_recv().map(|transfer| transfer.status()), Ok(TransferStatus::Sending));
        assert_eq!(watcher.try_recv().map(|transfer| transfer.status()), Ok(TransferStatus::Delivered));
    }
}
