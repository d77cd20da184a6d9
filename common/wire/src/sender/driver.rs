//! The driver of one session at the sender: one task that owns the stream, the keys and the four slots.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tonic_types::StatusExt as _;

use super::connect::{SessionIo, told};
use super::over;
use super::transfer::{Active, Due, Exact, Job, Scrambled};
use crate::{MAX_SLOTS, SessionLimits, WireError};

/// Slots that transfers without urgency may take; the last is kept for urgent ones.
const ORDINARY_SLOTS: usize = MAX_SLOTS - 1;

/// What the callers tell the driver.
pub(super) enum Command {
    Deliver(Box<Job>),
    /// The caller of this ticket has left.
    Abandon(u64),
    /// The session must end now, for this reason.
    End(WireError),
}

pub(super) struct Driver {
    pub(super) io: SessionIo,
    commands: mpsc::UnboundedReceiver<Command>,
    pub(super) limits: SessionLimits,
    pub(super) exhausted: Arc<AtomicBool>,
    /// What broke the session, for those that come later.
    broken: Arc<OnceLock<WireError>>,
    urgent: VecDeque<Job>,
    ordinary: VecDeque<Job>,
    pub(super) slots: [Option<Active>; MAX_SLOTS],
    /// Transfers whose exact form is being made, by ticket.
    pub(super) upgrading: HashMap<u64, Job>,
    pub(super) upgrades: JoinSet<(u64, Result<Exact, WireError>)>,
    /// Coded images that go through the chaos cipher: slot, ticket, and what came of it.
    scrambling: JoinSet<(usize, u64, Scrambled)>,
    /// Whose turn it is among slots of equal urgency.
    turn: usize,
    /// Since when a message has been waiting for room.
    stalled_since: Option<Instant>,
    born: Instant,
    opened: u32,
    opened_bytes: u64,
}

impl Driver {
    pub(super) fn new(
        io: SessionIo,
        commands: mpsc::UnboundedReceiver<Command>,
        limits: SessionLimits,
        exhausted: Arc<AtomicBool>,
        broken: Arc<OnceLock<WireError>>,
    ) -> Self {
        Self {
            io,
            commands,
            limits,
            exhausted,
            broken,
            urgent: VecDeque::new(),
            ordinary: VecDeque::new(),
            slots: std::array::from_fn(|_| None),
            upgrading: HashMap::new(),
            upgrades: JoinSet::new(),
            scrambling: JoinSet::new(),
            turn: 0,
            stalled_since: None,
            born: Instant::now(),
            opened: 0,
            opened_bytes: 0,
        }
    }

    /// Drives the session until the caller closes it, the receiver ends it, or it breaks.
    pub(super) async fn run(mut self) {
        let ended = self.drive().await;
        if let Err(error) = &ended {
            // Nobody else sets it.
            let _ = self.broken.set(error.clone());
        }
        self.commands.close();
        let started = match ended {
            Ok(()) => WireError::Unavailable { why: "the session ended before the receipt".into() },
            Err(error) => {
                tracing::warn!(reason = error.reason().as_str(), cause = %error, "session broke");
                error
            }
        };
        for active in self.slots.iter_mut().filter_map(Option::take) {
            if let Some(job) = active.job {
                job.fail(started.clone());
            }
        }
        for (_, job) in self.upgrading.drain() {
            job.fail(started.clone());
        }
        let unstarted = over(self.broken.get());
        for job in self.urgent.drain(..).chain(self.ordinary.drain(..)) {
            job.fail(unstarted.clone());
        }
        while let Ok(command) = self.commands.try_recv() {
            if let Command::Deliver(job) = command {
                job.fail(unstarted.clone());
            }
        }
        self.leave().await;
    }

    async fn drive(&mut self) -> Result<(), WireError> {
        let requests = self.io.requests.clone();
        loop {
            self.fill_slots();
            let next = self.next_slot();
            if next.is_some() {
                self.stalled_since.get_or_insert_with(Instant::now);
            } else {
                self.stalled_since = None;
            }
            let wake = self.next_wake();
            tokio::select! {
                biased;
                response = self.io.responses.message() => {
                    match response.map_err(|status| {
                        told(status.code(), status.message(), status.get_details_error_info())
                    })? {
                        Some(response) => self.take(&response)?,
                        None => return Ok(()),
                    }
                }
                command = self.commands.recv() => match command {
                    Some(Command::Deliver(job)) => self.enqueue(*job),
                    Some(Command::Abandon(ticket)) => self.abandon(ticket),
                    Some(Command::End(why)) => return Err(why),
                    None => return Ok(()),
                },
                Some(upgraded) = self.upgrades.join_next() => {
                    let (ticket, exact) =
                        upgraded.map_err(|_| WireError::Internal("making an exact form was interrupted"))?;
                    self.reopen(ticket, exact);
                }
                Some(scrambled) = self.scrambling.join_next() => {
                    let (slot, ticket, scrambled) =
                        scrambled.map_err(|_| WireError::Internal("the chaos cipher was interrupted"))?;
                    if let Some(active) = &mut self.slots[slot] {
                        active.take_scrambled(ticket, scrambled);
                    }
                }
                permit = requests.reserve(), if next.is_some() => {
                    let (Ok(permit), Some(slot)) = (permit, next) else { return Err(self.last_words().await) };
                    if let Some(active) = &mut self.slots[slot]
                        && let Some(message) = active.next_message(&mut self.io.established.sealer)?
                    {
                        permit.send(message);
                    }
                    self.sent(slot);
                }
                () = sleep_until(wake) => self.tick()?,
            }
        }
    }

    /// Ends the request side and lets the receiver end its own, for a while.
    async fn leave(self) {
        let SessionIo { requests, mut responses, .. } = self.io;
        drop(requests);
        let rest = async { while let Ok(Some(_)) = responses.message().await {} };
        // A receiver that does not end its side is left alone.
        let _ = timeout(self.limits.timeouts.handshake, rest).await;
    }

    /// The request stream is gone; the responses say why.
    async fn last_words(&mut self) -> WireError {
        let gone = WireError::Unavailable { why: "the receiver reads no more".into() };
        match timeout(self.limits.timeouts.handshake, self.io.responses.message()).await {
            Ok(Err(status)) => told(status.code(), status.message(), status.get_details_error_info()),
            Ok(Ok(_)) | Err(_) => gone,
        }
    }

    fn enqueue(&mut self, job: Job) {
        if job.outgoing.urgent { self.urgent.push_back(job) } else { self.ordinary.push_back(job) }
    }

    /// A transfer that was under way comes before those that were not.
    pub(super) fn enqueue_first(&mut self, job: Job) {
        if job.outgoing.urgent { self.urgent.push_front(job) } else { self.ordinary.push_front(job) }
    }

    /// Gives free slots to waiting transfers.
    fn fill_slots(&mut self) {
        while let Some(slot) = self.slots.iter().position(Option::is_none) {
            let ordinary = self.slots.iter().flatten().filter(|active| !active.is_urgent()).count();
            let job = match self.urgent.pop_front() {
                Some(job) => job,
                None if ordinary < ORDINARY_SLOTS => match self.ordinary.pop_front() {
                    Some(job) => job,
                    None => return,
                },
                None => return,
            };
            if let Some(limit) = self.limit_reached(job.padded_bytes) {
                self.exhausted.store(true, Ordering::Relaxed);
                job.fail(WireError::SessionExpired { limit });
                continue;
            }
            let padded_bytes = job.padded_bytes;
            let deadline = Instant::now() + self.limits.timeouts.transfer;
            let secrets = &self.io.established.secrets;
            let segment_bytes = self.limits.segment_bytes;
            if let Some(active) = Active::new(job, slot as u32, segment_bytes, secrets, deadline) {
                self.opened += 1;
                self.opened_bytes += padded_bytes;
                if let Some((ticket, work)) = active.to_scramble() {
                    self.scrambling.spawn_blocking(move || (slot, ticket, work.run()));
                }
                self.slots[slot] = Some(active);
                if self.opened >= self.limits.max_transfers {
                    self.exhausted.store(true, Ordering::Relaxed);
                }
            }
        }
    }

    fn limit_reached(&self, padded_bytes: u64) -> Option<&'static str> {
        if self.opened >= self.limits.max_transfers {
            Some("number of transfers")
        } else if self.opened_bytes.saturating_add(padded_bytes) > self.limits.max_bytes {
            Some("bytes")
        } else if self.born.elapsed() >= self.limits.max_age {
            Some("age")
        } else {
            None
        }
    }

    /// The slot that sends next: control messages, then urgent data, then the others in turn.
    fn next_slot(&self) -> Option<usize> {
        let due = |slot: &usize| self.slots[*slot].as_ref().map_or(Due::Nothing, Active::due);
        let urgent = |slot: &usize| self.slots[*slot].as_ref().is_some_and(Active::is_urgent);
        let in_turn = || (self.turn..self.turn + MAX_SLOTS).map(|slot| slot % MAX_SLOTS);
        in_turn()
            .find(|slot| due(slot) == Due::Control)
            .or_else(|| in_turn().find(|slot| due(slot) == Due::Data && urgent(slot)))
            .or_else(|| in_turn().find(|slot| due(slot) == Due::Data))
    }

    fn sent(&mut self, slot: usize) {
        self.stalled_since = None;
        let Some(active) = &mut self.slots[slot] else { return };
        if active.job.is_none() {
            return;
        }
        let now = Instant::now();
        if active.is_open() && !active.answered && !active.has_sent_meta() {
            active.deadline = now + self.limits.timeouts.open;
        }
        if active.all_sent() && active.answered {
            active.deadline = now + self.limits.timeouts.receipt;
        }
        self.turn = (slot + 1) % MAX_SLOTS;
    }

    /// The exact form is made: the transfer goes on with it, before those that have not begun.
    fn reopen(&mut self, ticket: u64, exact: Result<Exact, WireError>) {
        let Some(mut job) = self.upgrading.remove(&ticket) else { return };
        match exact.and_then(|exact| job.upgrade(exact)) {
            Ok(()) => self.enqueue_first(job),
            Err(error) => job.fail(error),
        }
    }

    fn abandon(&mut self, ticket: u64) {
        self.urgent.retain(|job| job.ticket != ticket);
        self.ordinary.retain(|job| job.ticket != ticket);
        // What makes its exact form runs to its end; its result finds nobody.
        self.upgrading.remove(&ticket);
        let held = |slot: &Option<Active>| {
            slot.as_ref().and_then(|active| active.job.as_ref()).is_some_and(|job| job.ticket == ticket)
        };
        if let Some(slot) = self.slots.iter().position(held) {
            self.give_up(slot, WireError::Cancelled);
        }
    }

    /// Answers the caller; a transfer that the receiver knows of is cancelled there, and its slot waits for its end.
    fn give_up(&mut self, slot: usize, error: WireError) {
        let Some(mut active) = self.slots[slot].take() else { return };
        if let Some(job) = active.job.take() {
            job.fail(error);
        }
        if active.is_open() {
            active.cancel_due = true;
            active.deadline = Instant::now() + self.limits.timeouts.receipt;
            self.slots[slot] = Some(active);
        }
    }

    fn tick(&mut self) -> Result<(), WireError> {
        let now = Instant::now();
        let timeouts = self.limits.timeouts.clone();
        if self.born.elapsed() >= self.limits.max_age {
            self.exhausted.store(true, Ordering::Relaxed);
        }
        if self.stalled_since.is_some_and(|since| now >= since + timeouts.stall) {
            return Err(WireError::Deadline { waiting_for: "room to send", after: timeouts.stall });
        }
        for slot in 0..MAX_SLOTS {
            let Some(active) = &self.slots[slot] else { continue };
            if now < active.deadline {
                continue;
            }
            let receipt = timeouts.receipt;
            if active.job.is_none() {
                return Err(WireError::Deadline {
                    waiting_for: "the end of a cancelled transfer",
                    after: receipt,
                });
            }
            let (waiting_for, after) = if active.is_open() && !active.answered {
                ("OpenAck", timeouts.open)
            } else if active.all_sent() {
                ("Receipt", receipt)
            } else {
                ("the end of a transfer", timeouts.transfer)
            };
            self.give_up(slot, WireError::Deadline { waiting_for, after });
        }
        Ok(())
    }

    fn next_wake(&self) -> Instant {
        let age = self.born + self.limits.max_age;
        // Once past, the age is no reason to wake any more.
        let far = Instant::now() + self.limits.timeouts.transfer;
        let mut wake = if self.exhausted.load(Ordering::Relaxed) { far } else { age.min(far) };
        if let Some(since) = self.stalled_since {
            wake = wake.min(since + self.limits.timeouts.stall);
        }
        for active in self.slots.iter().flatten() {
            wake = wake.min(active.deadline);
        }
        wake
    }
}
