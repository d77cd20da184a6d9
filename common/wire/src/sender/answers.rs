//! What the receiver's answers do to the sender's slots.

use std::sync::atomic::Ordering;

use latentwire_proto::v1::session_response::Step;
use latentwire_proto::v1::{
    NeedExactBody, OpenAckBody, OpenVerdict, ReceiptBody, ReceiptStatus, SessionResponse,
};
use latentwire_sealing::{ControlKind, Form, tags_equal};
use prost::Message as _;
use tokio::time::Instant;

use super::driver::Driver;
use super::transfer::{Active, Exact};
use crate::error::printable;
use crate::messages::{form_of, slot_index, verdict_of};
use crate::{Delivered, ImageId, Reason, Verdict, WireError};

impl Driver {
    /// Takes one answer; an error ends the session.
    pub(super) fn take(&mut self, response: &SessionResponse) -> Result<(), WireError> {
        let opener = &mut self.io.established.opener;
        match &response.step {
            None => Err(WireError::Malformed { what: "an answer without a step" }),
            Some(Step::HelloReply(_)) => Err(WireError::OutOfOrder { what: "a second HelloReply" }),
            Some(Step::OpenAck(ack)) => {
                let plaintext = opener.open(ControlKind::OpenAck, &ack.noise)?;
                let body = OpenAckBody::decode(plaintext.as_slice())
                    .map_err(|_| WireError::Malformed { what: "OpenAck is no OpenAckBody" })?;
                self.open_ack(&body)
            }
            Some(Step::NeedExact(need)) => {
                let plaintext = opener.open(ControlKind::NeedExact, &need.noise)?;
                let body = NeedExactBody::decode(plaintext.as_slice())
                    .map_err(|_| WireError::Malformed { what: "NeedExact is no NeedExactBody" })?;
                self.need_exact(&body)
            }
            Some(Step::Receipt(receipt)) => {
                let plaintext = opener.open(ControlKind::Receipt, &receipt.noise)?;
                let body = ReceiptBody::decode(plaintext.as_slice())
                    .map_err(|_| WireError::Malformed { what: "Receipt is no ReceiptBody" })?;
                self.receipt(&body)
            }
        }
    }

    fn open_ack(&mut self, ack: &OpenAckBody) -> Result<(), WireError> {
        let slot = slot_index(ack.slot)?;
        let Some(active) = self.slots[slot].as_ref().filter(|active| active.is_open() && !active.answered)
        else {
            return Err(WireError::OutOfOrder { what: "an OpenAck that no Open waits for" });
        };
        let outcome = match ack.verdict() {
            OpenVerdict::Unspecified => {
                return Err(WireError::Malformed { what: "OpenAck without a verdict" });
            }
            OpenVerdict::Accepted => return self.accepted(slot, ack),
            OpenVerdict::Done => Ok(done(active, ack)?),
            OpenVerdict::Conflict => Err(WireError::TransferConflict),
            OpenVerdict::Refused => Err(refusal(&ack.reason)),
        };
        if matches!(outcome, Err(WireError::SessionExpired { .. })) {
            self.exhausted.store(true, Ordering::Relaxed);
        }
        self.end(slot, outcome);
        Ok(())
    }

    /// The receiver's last word on a slot: its caller, if it still waits, gets its answer, and the slot is free.
    fn end(&mut self, slot: usize, outcome: Result<Delivered, WireError>) {
        let Some(Active { job: Some(job), .. }) = self.slots[slot].take() else { return };
        match outcome {
            Ok(told) => job.deliver(told),
            Err(error) => job.fail(error),
        }
    }

    fn accepted(&mut self, slot: usize, ack: &OpenAckBody) -> Result<(), WireError> {
        let Some(mut active) = self.slots[slot].take() else { return Ok(()) };
        active.answered = true;
        let (mut active, resumed) = match ack.resume_index {
            1.. if active.job.is_some() && active.is_resumable() => {
                active.resume(ack.resume_index, &ack.resume_tag)
            }
            _ => (active, true),
        };
        let may_not = ack.resume_index > 0 && !active.is_resumable();
        if active.job.is_some() {
            let timeouts = &self.limits.timeouts;
            let wait = if active.all_sent() { timeouts.receipt } else { timeouts.transfer };
            active.deadline = Instant::now() + wait;
        }
        self.slots[slot] = Some(active);
        if may_not {
            return Err(WireError::OutOfOrder { what: "resuming a transfer that begins at segment 0" });
        }
        if resumed { Ok(()) } else { self.start_over(slot) }
    }

    /// The receiver holds other first segments than we do: it is told to forget them, and the transfer starts at 0.
    fn start_over(&mut self, slot: usize) -> Result<(), WireError> {
        let Some(active) = &mut self.slots[slot] else { return Ok(()) };
        if active.job.as_ref().is_some_and(|job| job.resume_failed) {
            return Err(WireError::OutOfOrder { what: "resuming with a wrong tag twice" });
        }
        active.cancel_due = true;
        active.deadline = Instant::now() + self.limits.timeouts.receipt;
        if let Some(mut job) = active.job.take() {
            job.resume_failed = true;
            self.enqueue_first(job);
        }
        Ok(())
    }

    fn need_exact(&mut self, need: &NeedExactBody) -> Result<(), WireError> {
        let slot = slot_index(need.slot)?;
        let waits = |active: &&Active| active.answered && (active.job.is_none() || active.all_sent());
        let Some(active) = self.slots[slot].as_ref().filter(waits) else {
            return Err(WireError::OutOfOrder { what: "a NeedExact that no transfer waits for" });
        };
        if active.job.as_ref().is_some_and(|job| job.outgoing.form == Form::Exact) {
            return Err(WireError::OutOfOrder { what: "a NeedExact for an exact form" });
        }
        let Some(Active { job: Some(mut job), .. }) = self.slots[slot].take() else { return Ok(()) };
        let Some(fallback) = job.outgoing.exact_fallback.take() else {
            job.fail(WireError::ExactForm("no fallback was given".into()));
            return Ok(());
        };
        tracing::info!(reason = printable(&need.reason, 64), "receiver asks for the exact form");
        let ticket = job.ticket;
        self.upgrading.insert(ticket, job);
        self.upgrades.spawn_blocking(move || (ticket, Exact::make(fallback)));
        Ok(())
    }

    fn receipt(&mut self, receipt: &ReceiptBody) -> Result<(), WireError> {
        let slot = slot_index(receipt.slot)?;
        let waits = |active: &&Active| active.answered && receipt.transfer_id == active.transfer_id[..];
        let Some(active) = self.slots[slot].as_ref().filter(waits) else {
            return Err(WireError::OutOfOrder { what: "a Receipt that no transfer waits for" });
        };
        let outcome = match receipt.status() {
            ReceiptStatus::Unspecified => {
                return Err(WireError::Malformed { what: "Receipt without a status" });
            }
            ReceiptStatus::Failed => Err(refusal(receipt.error.as_ref().map_or("", |error| &error.reason))),
            // A cancelled transfer may have been stored all the same; nobody waits for it.
            ReceiptStatus::Stored if active.job.is_none() => Err(WireError::Cancelled),
            ReceiptStatus::Stored => Ok(stored(active, receipt)?),
        };
        self.end(slot, outcome);
        Ok(())
    }
}

/// What an OpenAck says at DONE, once it has proven that it means the same image.
fn done(active: &Active, ack: &OpenAckBody) -> Result<Delivered, WireError> {
    if let Some(job) = &active.job
        && !tags_equal(&active.tags.receipt(&job.outgoing.source_sha256), &ack.stored_tag)
    {
        return Err(WireError::Malformed { what: "tag of OpenAck at DONE" });
    }
    Ok(Delivered {
        image_id: image_id(&ack.image_id)?,
        already_done: true,
        form: form_of(ack.stored_form()).ok_or(WireError::Malformed { what: "stored form of OpenAck" })?,
        verdict: verdict_of(ack.stored_verdict()),
        ..undelivered()
    })
}

/// What a Receipt says, once it has proven that it means the bytes that were sent.
fn stored(active: &Active, receipt: &ReceiptBody) -> Result<Delivered, WireError> {
    let Some(job) = active.job.as_ref().filter(|_| active.all_sent()) else {
        return Err(WireError::OutOfOrder { what: "a Receipt for what was not sent" });
    };
    if form_of(receipt.form()) != Some(job.outgoing.form) {
        return Err(WireError::Malformed { what: "form of Receipt" });
    }
    if !tags_equal(&active.tags.receipt(&job.coded_sha256), &receipt.tag) {
        return Err(WireError::Malformed { what: "tag of Receipt" });
    }
    let timings = receipt.timings.unwrap_or_default();
    Ok(Delivered {
        image_id: image_id(&receipt.image_id)?,
        form: job.outgoing.form,
        verdict: verdict_of(receipt.verdict()),
        open_ms: timings.open_ms,
        decode_ms: timings.decode_ms,
        ..undelivered()
    })
}

/// What the session itself fills in, or has not measured.
fn undelivered() -> Delivered {
    Delivered {
        image_id: [0; 16],
        already_done: false,
        form: Form::Exact,
        verdict: Verdict::Undecoded,
        sealed_bytes: 0,
        seal_ms: 0.0,
        transfer_ms: 0.0,
        open_ms: 0.0,
        decode_ms: 0.0,
    }
}

fn refusal(reason: &str) -> WireError {
    match Reason::parse(reason) {
        Some(Reason::SessionExpired) => WireError::SessionExpired { limit: "the receiver's" },
        Some(Reason::TransferConflict) => WireError::TransferConflict,
        Some(Reason::TransferInProgress) => WireError::TransferInProgress,
        Some(reason) => WireError::peer(reason, reason.sentence()),
        None => WireError::peer(Reason::Internal, &format!("unknown reason {:?}", printable(reason, 64))),
    }
}

fn image_id(bytes: &[u8]) -> Result<ImageId, WireError> {
    bytes.try_into().map_err(|_| WireError::Malformed { what: "an image id has 16 bytes" })
}
