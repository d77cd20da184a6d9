//! The driver of one session at the receiver.

use std::sync::Arc;
use std::time::Duration;

use latentwire_proto::v1::session_request::Step;
use latentwire_proto::v1::session_response::Step as AnswerStep;
use latentwire_proto::v1::{HelloReply, Meta, Segment, SessionRequest, SessionResponse};
use latentwire_sealing::{Established, Form, Hello, Responder};
use prost::Message as _;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tonic::{Code, Streaming};

use super::answers::{failed_receipt, need_exact, stored_receipt};
use super::shared::{PeerSeat, Shared};
use super::transfer::{Completed, End, Slot};
use crate::error::printable;
use crate::messages::{response, slot_index, system_rng, within};
use crate::sink::{Ending, Peer, TransferSink};
use crate::{MAX_MESSAGE_BYTES, MAX_SLOTS, Reason, WireError};

type Answers = mpsc::Sender<Result<SessionResponse, WireError>>;

/// Runs one session to its end and reports the error that ended it, if one did.
pub(super) async fn run<S: TransferSink>(
    shared: Arc<Shared<S>>,
    requests: Streaming<SessionRequest>,
    answers: Answers,
) {
    let ended = match Session::establish(&shared, requests, &answers).await {
        Ok(mut session) => {
            tracing::info!(peer = session.peer.name, "session open");
            let ended = session.drive().await;
            session.tell_unfinished(&ended).await;
            tracing::info!(peer = session.peer.name, transfers = session.opened, "session over");
            ended
        }
        Err(error) => Err(error),
    };
    if let Err(error) = ended {
        end(&shared, &answers, error).await;
    }
}

/// Ends a session with an error, which the peer may or may not wait for.
pub(super) async fn end<S: TransferSink>(shared: &Shared<S>, answers: &Answers, error: WireError) {
    tracing::warn!(reason = error.reason().as_str(), cause = %error, "session ends");
    let stall = shared.limits.session.timeouts.stall;
    // A peer that reads nothing learns nothing; the stream is dropped either way.
    let _ = timeout(stall, answers.send(Err(error))).await;
}

pub(super) struct Session<'a, S: TransferSink> {
    pub(super) shared: &'a Arc<Shared<S>>,
    pub(super) requests: Streaming<SessionRequest>,
    pub(super) answers: &'a Answers,
    pub(super) trust: watch::Receiver<Arc<latentwire_sealing::TrustStore>>,
    pub(super) established: Established,
    pub(super) peer: Arc<Peer>,
    pub(super) slots: [Slot<S::Admission>; MAX_SLOTS],
    pub(super) completed: mpsc::UnboundedReceiver<(usize, Result<Completed, WireError>)>,
    pub(super) complete: mpsc::UnboundedSender<(usize, Result<Completed, WireError>)>,
    /// The peer has sent its last message.
    pub(super) requests_over: bool,
    pub(super) born: Instant,
    pub(super) opened: u32,
    pub(super) opened_bytes: u64,
    pub(super) idle_since: Instant,
    pub(super) rate: Option<RateWindow>,
    pub(super) next_trust_check: Instant,
    _place: OwnedSemaphorePermit,
    _seat: PeerSeat,
}

/// Bytes that came since a moment, while a transfer was waiting for segments.
pub(super) struct RateWindow {
    since: Instant,
    bytes: u64,
}

impl<'a, S: TransferSink> Session<'a, S> {
    /// Steps 1 and 2. Nothing is kept for a peer that the trust store does not admit.
    async fn establish(
        shared: &'a Arc<Shared<S>>,
        mut requests: Streaming<SessionRequest>,
        answers: &'a Answers,
    ) -> Result<Self, WireError> {
        if shared.draining.is_cancelled() {
            return Err(WireError::Unavailable { why: "receiver is draining".into() });
        }
        let handshake = shared.begin_handshake()?;
        let timeouts = &shared.limits.session.timeouts;
        let first = tokio::select! {
            biased;
            first = within(timeouts.handshake, "Hello", requests.message()) => first?,
            () = handshake.must_give_way() => {
                return Err(WireError::Overloaded { what: "handshakes in progress" });
            }
        };
        let first = first.map_err(|status| stream_error(status.code(), status.message()))?;
        let Some(Step::Hello(hello)) = first.and_then(|message| message.step) else {
            return Err(WireError::OutOfOrder { what: "the first message is not Hello" });
        };
        let hello = Hello { version: hello.version, suite: hello.suite, noise: hello.noise.to_vec() };
        let mut rng = system_rng();
        let responder = Responder::read(&shared.identity, &hello, &mut rng)?;
        let mut trust = shared.trust.clone();
        let store = Arc::clone(&trust.borrow_and_update());
        let responder = responder.authorise(&store, (shared.clock)())?;
        let place = shared.admit_session()?;
        let seat = shared.admit_peer(&responder.entry().name)?;
        let (established, noise, entry) = responder.reply(&mut rng)?;
        drop(handshake);
        let reply = response(AnswerStep::HelloReply(HelloReply { noise: noise.into() }));
        send(answers, timeouts.stall, reply).await?;

        let peer = Arc::new(Peer { name: entry.name.clone(), key: established.peer, entry });
        let (complete, completed) = mpsc::unbounded_channel();
        let now = Instant::now();
        Ok(Self {
            shared,
            requests,
            answers,
            trust,
            established,
            peer,
            slots: std::array::from_fn(|_| Slot::Free),
            completed,
            complete,
            requests_over: false,
            born: now,
            opened: 0,
            opened_bytes: 0,
            idle_since: now,
            rate: None,
            next_trust_check: now + shared.limits.trust_check,
            _place: place,
            _seat: seat,
        })
    }

    async fn drive(&mut self) -> Result<(), WireError> {
        loop {
            self.keep_rate_window();
            if self.is_idle() && (self.requests_over || self.shared.draining.is_cancelled()) {
                return Ok(());
            }
            let wake = self.next_wake();
            tokio::select! {
                biased;
                () = self.answers.closed() => return Ok(()),
                changed = self.trust.changed() => {
                    changed.map_err(|_| WireError::Internal("the trust store's owner is gone"))?;
                    self.check_trust()?;
                }
                Some((slot, result)) = self.completed.recv() => self.finish(slot, result).await?,
                message = self.requests.message(), if !self.requests_over => {
                    match message.map_err(|status| stream_error(status.code(), status.message()))? {
                        Some(message) => self.take(message).await?,
                        None => self.end_of_requests()?,
                    }
                }
                () = self.shared.draining.cancelled(), if self.is_idle() => {}
                () = sleep_until(wake) => if self.tick()? { return Ok(()) },
            }
        }
    }

    async fn take(&mut self, message: SessionRequest) -> Result<(), WireError> {
        let bytes = message.encoded_len() as u64;
        match message.step {
            None => Err(WireError::Malformed { what: "a message without a step" }),
            Some(Step::Hello(_)) => Err(WireError::OutOfOrder { what: "a second Hello" }),
            Some(Step::Open(open)) => self.open(&open.noise, bytes).await,
            Some(Step::Meta(meta)) => self.meta(meta, bytes),
            Some(Step::Segment(segment)) => self.segment(segment, bytes),
            Some(Step::Cancel(cancel)) => self.cancel(cancel.slot).await,
        }
    }

    fn meta(&mut self, meta: Meta, bytes: u64) -> Result<(), WireError> {
        self.count(bytes);
        match &mut self.slots[slot_index(meta.slot)?] {
            Slot::Receiving(receiving) => receiving.take_meta(&meta.ciphertext, bytes),
            Slot::Discarding(left) => discard(left, bytes),
            Slot::Free | Slot::Completing => {
                Err(WireError::OutOfOrder { what: "a Meta in a slot without open transfer" })
            }
        }
    }

    fn segment(&mut self, segment: Segment, bytes: u64) -> Result<(), WireError> {
        self.count(bytes);
        let slot = slot_index(segment.slot)?;
        let last = match &mut self.slots[slot] {
            Slot::Receiving(receiving) => receiving.take_segment(segment, bytes)?,
            Slot::Discarding(left) => return discard(left, bytes),
            Slot::Free | Slot::Completing => {
                return Err(WireError::OutOfOrder { what: "a Segment in a slot without open transfer" });
            }
        };
        if last {
            self.complete(slot);
        }
        Ok(())
    }

    /// Starts the sink's work beside the session; it runs to its end even if the session does not live to see it.
    fn complete(&mut self, slot: usize) {
        let Slot::Receiving(receiving) = std::mem::replace(&mut self.slots[slot], Slot::Completing) else {
            return;
        };
        let (sink, peer) = (Arc::clone(&self.shared.sink), Arc::clone(&self.peer));
        let report = self.complete.clone();
        let announced = receiving.announced();
        self.shared.tasks.spawn(async move {
            let (worker, sender) = (Arc::clone(&sink), Arc::clone(&peer));
            let work = tokio::spawn(async move { receiving.complete(&worker, &sender).await });
            let result = work.await.unwrap_or(Err(WireError::Internal("storing a transfer was interrupted")));
            if let Err(error) = &result {
                // The session ends with this error; the sink's own log says where it could not write it down.
                let _heard = sink.ended(&peer, &announced, Ending::Failed(error.reason())).await;
            }
            // The session may be over; the sender then learns from `known` at its next attempt.
            let _ = report.send((slot, result));
        });
    }

    async fn finish(&mut self, slot: usize, result: Result<Completed, WireError>) -> Result<(), WireError> {
        let Completed { transfer_id, form, end } = result?;
        self.slots[slot] = Slot::Free;
        if self.is_idle() {
            self.idle_since = Instant::now();
        }
        let number = slot as u32;
        let sealer = &mut self.established.sealer;
        let (peer, transfer) = (self.peer.name.as_str(), hex(&transfer_id));
        let message = match end {
            End::Stored(stored) => {
                tracing::info!(peer, transfer, form = form.name(), "transfer stored");
                stored_receipt(sealer, number, &transfer_id, &stored)?
            }
            End::NeedExact(reason) if form != Form::Exact => {
                tracing::info!(peer, transfer, reason, "exact form asked for");
                need_exact(sealer, number, reason)?
            }
            End::NeedExact(cause) => {
                tracing::error!(
                    peer,
                    transfer,
                    cause,
                    "the sink asked for the exact form of an exact transfer"
                );
                failed_receipt(sealer, number, &transfer_id, Reason::Internal)?
            }
            End::Failed(error) => {
                let reason = error.reason.as_str();
                tracing::warn!(peer, transfer, reason, cause = error.detail, "transfer failed");
                failed_receipt(sealer, number, &transfer_id, error.reason)?
            }
        };
        self.answer(message).await
    }

    async fn cancel(&mut self, slot: u32) -> Result<(), WireError> {
        let index = slot_index(slot)?;
        if !matches!(self.slots[index], Slot::Receiving(_)) {
            // Its end is already on the way, or its Open was never accepted.
            return Ok(());
        }
        let Slot::Receiving(receiving) = std::mem::replace(&mut self.slots[index], Slot::Free) else {
            return Ok(());
        };
        let transfer_id = *receiving.transfer_id();
        let announced = receiving.announced();
        drop(receiving);
        let limit = self.shared.limits.session.timeouts.open;
        // Nothing is left to be refused.
        let _heard = timeout(limit, self.shared.sink.ended(&self.peer, &announced, Ending::Cancelled)).await;
        self.idle_since = Instant::now();
        let message = failed_receipt(&mut self.established.sealer, slot, &transfer_id, Reason::Cancelled)?;
        self.answer(message).await
    }

    /// What was still coming in when the session ended.
    async fn tell_unfinished(&mut self, ended: &Result<(), WireError>) {
        let reason = ended.as_ref().map_or_else(WireError::reason, |()| Reason::PeerUnavailable);
        // Their room is free again before anything is waited for.
        let announced = |slot: &mut Slot<S::Admission>| match std::mem::replace(slot, Slot::Free) {
            Slot::Receiving(receiving) => Some(receiving.announced()),
            Slot::Free | Slot::Discarding(_) | Slot::Completing => None,
        };
        let unfinished: Vec<_> = self.slots.iter_mut().filter_map(announced).collect();
        for announced in unfinished {
            let heard = self.shared.sink.ended(&self.peer, &announced, Ending::Failed(reason));
            // The session is over either way.
            let _heard = timeout(self.shared.limits.session.timeouts.open, heard).await;
        }
    }

    fn end_of_requests(&mut self) -> Result<(), WireError> {
        self.requests_over = true;
        for slot in &self.slots {
            if let Slot::Receiving(receiving) = slot {
                return Err(receiving.truncated().into());
            }
        }
        Ok(())
    }

    /// Whatever a passed deadline demands; true when the session ends in order.
    fn tick(&mut self) -> Result<bool, WireError> {
        let now = Instant::now();
        let limits = &self.shared.limits;
        for slot in &self.slots {
            if let Slot::Receiving(receiving) = slot
                && now >= receiving.deadline
            {
                let after = limits.session.timeouts.transfer;
                return Err(WireError::Deadline { waiting_for: "the last segment of a transfer", after });
            }
        }
        if let Some(rate) = &mut self.rate
            && now >= rate.since + limits.rate_window
        {
            let window = limits.rate_window;
            let due = u128::from(limits.min_bytes_per_second) * window.as_millis() / 1_000;
            let expected = u64::try_from(due).unwrap_or(u64::MAX).max(1);
            if rate.bytes < expected {
                return Err(WireError::TooSlow { received: rate.bytes, expected, window });
            }
            *rate = RateWindow { since: now, bytes: 0 };
        }
        if now >= self.next_trust_check {
            self.check_trust()?;
        }
        Ok(self.is_idle() && now >= self.idle_since + self.shared.limits.session.timeouts.idle)
    }

    fn next_wake(&self) -> Instant {
        let limits = &self.shared.limits;
        let mut wake = self.next_trust_check;
        if self.is_idle() {
            wake = wake.min(self.idle_since + limits.session.timeouts.idle);
        }
        if let Some(rate) = &self.rate {
            wake = wake.min(rate.since + limits.rate_window);
        }
        for slot in &self.slots {
            if let Slot::Receiving(receiving) = slot {
                wake = wake.min(receiving.deadline);
            }
        }
        wake
    }

    fn is_idle(&self) -> bool {
        self.slots.iter().all(|slot| matches!(slot, Slot::Free | Slot::Discarding(_)))
    }

    /// The rate is judged while some transfer waits for segments, over the session as a whole: a transfer may rest while
    /// urgent ones pass it.
    fn keep_rate_window(&mut self) {
        let waiting = self.slots.iter().any(|slot| matches!(slot, Slot::Receiving(_)));
        if !waiting {
            self.rate = None;
        } else if self.rate.is_none() {
            self.rate = Some(RateWindow { since: Instant::now(), bytes: 0 });
        }
    }

    /// Time that the sink took to answer is not the peer's.
    pub(super) fn forgive(&mut self, time: Duration) {
        if let Some(rate) = &mut self.rate {
            rate.since += time;
        }
    }

    fn count(&mut self, bytes: u64) {
        if let Some(rate) = &mut self.rate {
            rate.bytes += bytes;
        }
    }

    pub(super) async fn answer(&mut self, message: SessionResponse) -> Result<(), WireError> {
        send(self.answers, self.shared.limits.session.timeouts.stall, message).await
    }
}

fn discard(left: &mut u64, bytes: u64) -> Result<(), WireError> {
    *left = left
        .checked_sub(bytes)
        .ok_or(WireError::OutOfOrder { what: "more than may follow an Open that was not accepted" })?;
    Ok(())
}

async fn send(answers: &Answers, stall: Duration, message: SessionResponse) -> Result<(), WireError> {
    within(stall, "room for an answer", answers.send(Ok(message)))
        .await?
        .map_err(|_| WireError::Unavailable { why: "the peer left".into() })
}

/// What a broken request stream means.
fn stream_error(code: Code, message: &str) -> WireError {
    if code == Code::OutOfRange {
        WireError::MessageTooLarge { limit: MAX_MESSAGE_BYTES }
    } else if code == Code::Internal {
        // tonic reports bytes that are no protobuf, and a compressed message without encoding, as Internal.
        WireError::Malformed { what: "a message is no valid protobuf" }
    } else {
        WireError::Unavailable { why: format!("{code:?}: {}", printable(message, 128)) }
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
