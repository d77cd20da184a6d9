//! Streams whose Hello has not come yet: a bounded number, in which newcomers have the better right.
//!
//! An honest sender's Hello comes with its stream. Whoever opens streams and says nothing keeps nobody out by it: when all
//! places are taken, the stream that has waited longest hears OVERLOADED and makes room.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::WireError;

/// The handshakes that wait, the oldest first.
pub(super) struct Handshakes {
    most: usize,
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    next: u64,
    waiting: VecDeque<(u64, CancellationToken)>,
}

impl Handshakes {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, line: Mutex::default() })
    }

    pub(super) fn waiting(&self) -> usize {
        self.line().waiting.len()
    }

    /// A place for a new stream.
    ///
    /// # Errors
    /// [`WireError::Overloaded`] where there is no place at all.
    pub(super) fn begin(self: &Arc<Self>) -> Result<Handshake, WireError> {
        if self.most == 0 {
            return Err(WireError::Overloaded { what: "handshakes in progress" });
        }
        let give_way = CancellationToken::new();
        let mut line = self.line();
        if line.waiting.len() >= self.most
            && let Some((_, oldest)) = line.waiting.pop_front()
        {
            oldest.cancel();
        }
        let number = line.next;
        line.next += 1;
        line.waiting.push_back((number, give_way.clone()));
        Ok(Handshake { line: Arc::clone(self), number, give_way })
    }

    /// The line holds no invariant across a panic, so a poisoned lock is as good as a clean one.
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One place; given back when dropped.
pub(super) struct Handshake {
    line: Arc<Handshakes>,
    number: u64,
    give_way: CancellationToken,
}

impl Handshake {
    /// Ready when a newcomer has taken this place.
    pub(super) async fn must_give_way(&self) {
        self.give_way.cancelled().await;
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        let mut line = self.line.line();
        if let Ok(place) = line.waiting.binary_search_by_key(&self.number, |(number, _)| *number) {
            line.waiting.remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_longest_waiting_gives_way() {
        let handshakes = Handshakes::new(2);
        let places: Vec<Handshake> = (0..5).map(|_| handshakes.begin().expect("a place")).collect();
        for place in &places[..3] {
            place.must_give_way().await;
        }
        assert!(places[3..].iter().all(|place| !place.give_way.is_cancelled()));
        assert_eq!(handshakes.waiting(), 2);
        drop(places);
        assert_eq!(handshakes.waiting(), 0);
        assert!(Handshakes::new(0).begin().is_err());
    }
}
