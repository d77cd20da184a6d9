//! Bounds what strangers can write into the log: the first few of a kind each, the rest as a number.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::Kind;

/// Counts the events of a kind within a window of time.
#[derive(Debug)]
pub struct Flood {
    most: u32,
    window: Duration,
    seen: HashMap<Kind, Seen>,
}

#[derive(Debug)]
struct Seen {
    since: Instant,
    written: u32,
    left_out: u64,
}

/// Whether an event is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// It is, and so many of its kind were left out before it.
    Write {
        /// How many.
        more: u64,
    },
    /// It is counted alone.
    Count,
}

impl Flood {
    /// Lets `most` events of a kind pass in each window.
    #[must_use]
    pub fn new(most: u32, window: Duration) -> Self {
        Self { most, window, seen: HashMap::new() }
    }

    /// Counts one.
    pub fn pass(&mut self, kind: Kind, now: Instant) -> Passed {
        let seen = self.seen.entry(kind).or_insert(Seen { since: now, written: 0, left_out: 0 });
        if now.saturating_duration_since(seen.since) >= self.window {
            seen.since = now;
            seen.written = 0;
        }
        if seen.written >= self.most {
            seen.left_out += 1;
            return Passed::Count;
        }
        seen.written += 1;
        Passed::Write { more: std::mem::take(&mut seen.left_out) }
    }

    /// What was left out in windows that are over: to be written down even if nothing comes any more.
    pub fn overdue(&mut self, now: Instant) -> Vec<(Kind, u64)> {
        let over = |seen: &Seen| now.saturating_duration_since(seen.since) >= self.window;
        let mut due = Vec::new();
        for (kind, seen) in &mut self.seen {
            if over(seen) && seen.left_out > 0 {
                due.push((*kind, std::mem::take(&mut seen.left_out)));
            }
        }
        due
    }

    /// All that was left out so far: for the end of the service.
    pub fn rest(&mut self) -> Vec<(Kind, u64)> {
        let left = self.seen.iter_mut().filter(|(_, seen)| seen.left_out > 0);
        left.map(|(kind, seen)| (*kind, std::mem::take(&mut seen.left_out))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_few_records_and_a_number() {
        let mut flood = Flood::new(3, Duration::from_secs(60));
        let begin = Instant::now();
        let passed: Vec<_> = (0..1000).map(|_| flood.pass(Kind::SessionRefused, begin)).collect();
        assert!(passed[..3].iter().all(|passed| *passed == Passed::Write { more: 0 }));
        assert!(passed[3..].iter().all(|passed| *passed == Passed::Count));
        assert_eq!(flood.pass(Kind::SessionEnded, begin), Passed::Write { more: 0 }, "kinds are apart");
        assert!(flood.overdue(begin).is_empty());
        let later = begin + Duration::from_secs(61);
        assert_eq!(flood.overdue(later), [(Kind::SessionRefused, 997)]);
        assert_eq!(flood.pass(Kind::SessionRefused, later), Passed::Write { more: 0 });
        for _ in 0..4 {
            flood.pass(Kind::SessionRefused, later);
        }
        assert_eq!(flood.rest(), [(Kind::SessionRefused, 2)]);
    }
}
