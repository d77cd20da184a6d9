//! One transfer at the sender: from the coded image to its sealed messages.

use std::sync::Arc;
use std::time::Instant;

use latentwire_proto::Bytes;
use latentwire_proto::v1::session_request::Step;
use latentwire_proto::v1::{Cancel, Meta, Open, Segment, SessionRequest};
use latentwire_sealing::{
    ChaosBytes, ControlKind, ControlSealer, CryptoError, Form, ImageSecret, InnerLayer, MAX_META_BYTES,
    MetaSealer, OpenBody, SegmentSealer, SessionSecrets, TransferTags, padding, tags_equal,
};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant as TimerInstant;

use crate::messages::{milliseconds, request, system_rng};
use crate::{
    Delivered, EARLY_BYTES, MAX_HEAD_BYTES, Outgoing, Progress, Segmentation, TransferId, WireError,
};

/// Above this, hashing the image leaves the caller's task, bytes.
const INLINE_BYTES: usize = 512 * 1024;

/// A transfer that the caller waits for, with what it has cost so far, over all its attempts in this session.
pub(super) struct Job {
    pub(super) ticket: u64,
    pub(super) outgoing: Outgoing,
    pub(super) coded_sha256: [u8; 32],
    pub(super) padded_bytes: u64,
    /// A resume tag was wrong: begin at segment 0, and take no second wrong one.
    pub(super) resume_failed: bool,
    progress: Option<watch::Sender<Progress>>,
    reply: oneshot::Sender<Result<Delivered, WireError>>,
    sealed_bytes: u64,
    seal_ms: f64,
    started: Option<Instant>,
}

impl Job {
    pub(super) async fn new(
        ticket: u64,
        outgoing: Outgoing,
        progress: Option<watch::Sender<Progress>>,
        reply: oneshot::Sender<Result<Delivered, WireError>>,
    ) -> Result<Self, WireError> {
        let coded = outgoing.coded.clone();
        let padded_bytes = padded_bytes(&outgoing)?;
        let coded_sha256 = if coded.len() <= INLINE_BYTES {
            Sha256::digest(&coded).into()
        } else {
            let hashed = tokio::task::spawn_blocking(move || Sha256::digest(&coded).into()).await;
            hashed.map_err(|_| WireError::Internal("hashing was interrupted"))?
        };
        let job = Self {
            ticket,
            outgoing,
            coded_sha256,
            padded_bytes,
            resume_failed: false,
            progress,
            reply,
            sealed_bytes: 0,
            seal_ms: 0.0,
            started: None,
        };
        Ok(job)
    }

    /// Puts the exact form in the latent's place; costs so far stay counted.
    pub(super) fn upgrade(&mut self, exact: Exact) -> Result<(), WireError> {
        let Exact { outgoing, coded_sha256, padded_bytes } = exact;
        if outgoing.form != Form::Exact
            || outgoing.transfer_id != self.outgoing.transfer_id
            || outgoing.source_sha256 != self.outgoing.source_sha256
        {
            return Err(WireError::ExactForm("it is not the exact form of the same transfer".into()));
        }
        let urgent = self.outgoing.urgent;
        self.outgoing = Outgoing { urgent, exact_fallback: None, ..outgoing };
        self.coded_sha256 = coded_sha256;
        self.padded_bytes = padded_bytes;
        self.resume_failed = false;
        Ok(())
    }

    pub(super) fn fail(self, error: WireError) {
        // The caller may have left; then there is nobody to tell.
        let _ = self.reply.send(Err(error));
    }

    /// Completes what the receiver said with what this end measured.
    pub(super) fn deliver(self, told: Delivered) {
        let transfer_ms = self.started.map_or(0.0, |started| milliseconds(started.elapsed()));
        let delivered =
            Delivered { sealed_bytes: self.sealed_bytes, seal_ms: self.seal_ms, transfer_ms, ..told };
        let _ = self.reply.send(Ok(delivered));
    }

    fn report(&self, bytes_sent: u64) {
        if let Some(progress) = &self.progress {
            progress.send_replace(Progress { bytes_sent, bytes_total: self.padded_bytes });
        }
    }

    fn count(&mut self, message: &SessionRequest, sealing: Instant) {
        self.seal_ms += milliseconds(sealing.elapsed());
        self.sealed_bytes += message.encoded_len() as u64;
        self.started.get_or_insert(sealing);
    }
}

/// The exact form of a transfer, hashed.
pub(super) struct Exact {
    outgoing: Outgoing,
    coded_sha256: [u8; 32],
    padded_bytes: u64,
}

impl Exact {
    /// Runs the caller's fallback; blocking.
    pub(super) fn make(fallback: crate::ExactFallback) -> Result<Self, WireError> {
        let outgoing = fallback().map_err(WireError::ExactForm)?;
        let padded_bytes = padded_bytes(&outgoing)?;
        let coded_sha256 = Sha256::digest(&outgoing.coded).into();
        Ok(Self { outgoing, coded_sha256, padded_bytes })
    }
}

/// A transfer in a slot.
pub(super) struct Active {
    /// None once the caller has its answer: the slot then waits for the receiver's last word on it.
    pub(super) job: Option<Job>,
    pub(super) answered: bool,
    pub(super) cancel_due: bool,
    /// Moment at which waiting for the receiver, or the transfer as a whole, has lasted too long.
    pub(super) deadline: TimerInstant,
    pub(super) tags: Arc<TransferTags>,
    pub(super) transfer_id: TransferId,
    slot: u32,
    open: Option<Vec<u8>>,
    meta: Option<(MetaSealer, Vec<u8>)>,
    segments: SegmentSealer,
    inside: Inside,
    /// Follows its Open at once: small, and nothing that the receiver may refuse by its policy.
    early: bool,
    resumable: bool,
}

/// What the segments hold.
enum Inside {
    /// The coded image as it is.
    Coded,
    /// The coded image below the chaos cipher, which is being made; the Open waits for it.
    Scrambling,
    /// The coded image below the chaos cipher.
    Scrambled(ChaosBytes),
}

/// The chaos cipher's work for one attempt: long, so it is done beside the session.
pub(super) struct Scrambling {
    coded: Bytes,
    coded_sha256: [u8; 32],
    tags: Arc<TransferTags>,
}

/// What came of it.
pub(super) struct Scrambled {
    bytes: ChaosBytes,
    took_ms: f64,
}

impl Scrambling {
    /// Runs the four stages; blocking.
    pub(super) fn run(self) -> Scrambled {
        let started = Instant::now();
        let bytes = ChaosBytes::scramble(self.coded.into(), &self.tags, &self.coded_sha256);
        Scrambled { bytes, took_ms: milliseconds(started.elapsed()) }
    }
}

/// What a slot would send next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Control,
    Data,
    Nothing,
}

impl Active {
    /// Derives the keys of one attempt; nothing is sent yet. None where the transfer breaks a rule: its caller has been told.
    pub(super) fn new(
        mut job: Job,
        slot: u32,
        segment_bytes: u32,
        secrets: &SessionSecrets,
        deadline: TimerInstant,
    ) -> Option<Self> {
        let sealing = Instant::now();
        let outgoing = &mut job.outgoing;
        outgoing.meta.coded_bytes = outgoing.coded.len() as u64;
        outgoing.meta.coded_sha256 = Bytes::copy_from_slice(&job.coded_sha256);
        outgoing.meta.source_sha256 = Bytes::copy_from_slice(&outgoing.source_sha256);
        outgoing.meta.head = Bytes::copy_from_slice(outgoing.head_and_body().0);
        let segment_bytes = match outgoing.segmentation {
            Segmentation::Fixed => segment_bytes,
            Segmentation::Rows { row_bytes, .. } => row_bytes,
        };
        let body = OpenBody {
            slot,
            transfer_id: outgoing.transfer_id,
            form: outgoing.form,
            decoder_digest: outgoing.decoder_digest,
            segment_bytes,
            padded_bytes: job.padded_bytes,
            padding: outgoing.padding_policy(),
            inner_layer: outgoing.inner_layer,
        };
        let secret = ImageSecret::generate(&mut system_rng());
        let proposal = match secrets.propose(&body, secret, &outgoing.source_sha256) {
            Ok(proposal) => proposal,
            Err(error) => {
                job.fail(error.into());
                return None;
            }
        };
        let record = job.outgoing.meta.encode_to_vec();
        if record.len() > MAX_META_BYTES {
            job.fail(CryptoError::MetaLength { found: record.len(), limit: MAX_META_BYTES }.into());
            return None;
        }
        let resumable = job.outgoing.is_resumable();
        job.seal_ms += milliseconds(sealing.elapsed());
        job.report(0);
        Some(Self {
            early: resumable && job.padded_bytes <= EARLY_BYTES,
            resumable: resumable && job.padded_bytes > EARLY_BYTES,
            inside: match job.outgoing.inner_layer {
                InnerLayer::None => Inside::Coded,
                InnerLayer::Chaos4 => Inside::Scrambling,
            },
            job: Some(job),
            answered: false,
            cancel_due: false,
            deadline,
            tags: Arc::new(proposal.tags),
            transfer_id: body.transfer_id,
            slot,
            open: Some(proposal.open.to_vec()),
            meta: Some((proposal.meta, record)),
            segments: proposal.segments,
        })
    }

    pub(super) fn is_urgent(&self) -> bool {
        self.job.as_ref().is_some_and(|job| job.outgoing.urgent)
    }

    /// Whether its Open has gone out: the receiver then has a last word to say.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_none()
    }

    pub(super) fn all_sent(&self) -> bool {
        self.meta.is_none() && self.segments.next_plaintext_bytes().is_none()
    }

    pub(super) fn has_sent_meta(&self) -> bool {
        self.meta.is_none()
    }

    pub(super) fn is_resumable(&self) -> bool {
        self.resumable
    }

    /// What is to be done beside the session before its Open goes out.
    pub(super) fn to_scramble(&self) -> Option<(u64, Scrambling)> {
        let job = self.job.as_ref().filter(|_| matches!(self.inside, Inside::Scrambling))?;
        let work = Scrambling {
            coded: job.outgoing.coded.clone(),
            coded_sha256: job.coded_sha256,
            tags: Arc::clone(&self.tags),
        };
        Some((job.ticket, work))
    }

    /// Takes what [`Active::to_scramble`] gave out, if it is still this transfer's.
    pub(super) fn take_scrambled(&mut self, ticket: u64, scrambled: Scrambled) {
        let Some(job) = self.job.as_mut().filter(|job| job.ticket == ticket) else { return };
        if matches!(self.inside, Inside::Scrambling) {
            job.seal_ms += scrambled.took_ms;
            self.inside = Inside::Scrambled(scrambled.bytes);
        }
    }

    pub(super) fn due(&self) -> Due {
        if self.cancel_due {
            Due::Control
        } else if self.job.is_none() || matches!(self.inside, Inside::Scrambling) {
            Due::Nothing
        } else if self.open.is_some() {
            Due::Control
        } else if (self.answered || self.early) && !self.all_sent() {
            Due::Data
        } else {
            Due::Nothing
        }
    }

    /// Seals the next message; only when [`Active::due`] says that there is one.
    pub(super) fn next_message(
        &mut self,
        sealer: &mut ControlSealer,
    ) -> Result<Option<SessionRequest>, WireError> {
        if self.cancel_due {
            self.cancel_due = false;
            return Ok(Some(request(Step::Cancel(Cancel { slot: self.slot }))));
        }
        let sealing = Instant::now();
        let Some(job) = &mut self.job else { return Ok(None) };
        let message = if let Some(open) = self.open.take() {
            let noise = sealer.seal(ControlKind::Open, &open)?.into();
            request(Step::Open(Open { noise }))
        } else if let Some((meta, record)) = self.meta.take() {
            let ciphertext = meta.seal(&record)?.into();
            request(Step::Meta(Meta { slot: self.slot, ciphertext }))
        } else {
            let Some(length) = self.segments.next_plaintext_bytes() else { return Ok(None) };
            let start = sent_bytes(&self.segments);
            let (buffer, position) = match &self.inside {
                Inside::Scrambled(bytes) => self.segments.seal_chaos(bytes)?,
                Inside::Coded => {
                    let mut buffer = padded_piece(job.outgoing.head_and_body().1, start, length);
                    let position = self.segments.seal(&mut buffer)?;
                    (buffer, position)
                }
                Inside::Scrambling => return Ok(None),
            };
            job.report(start + length as u64);
            request(Step::Segment(Segment {
                slot: self.slot,
                last: position.last,
                ciphertext: buffer.into(),
            }))
        };
        job.count(&message, sealing);
        Ok(Some(message))
    }

    /// Takes up at the receiver's `index`, if `tag` proves that both mean the same first segments.
    pub(super) fn resume(mut self, index: u32, tag: &[u8]) -> (Self, bool) {
        let plan = *self.segments.plan();
        let Some(job) = self.job.as_ref().filter(|_| index < plan.count()) else { return (self, false) };
        let mut digest = Sha256::new();
        let mut start = 0;
        for segment in 0..index {
            let length = plan.plaintext_bytes(segment).unwrap_or(0);
            digest.update(padded_piece(&job.outgoing.coded, start, length));
            start += length as u64;
        }
        if !tags_equal(&self.tags.resume(&digest.finalize().into()), tag) {
            return (self, false);
        }
        job.report(start);
        let segments = self.segments.start_at(index);
        self.segments = segments.expect("nothing is sealed before the answer, and the index is in the plan");
        (self, true)
    }
}

/// Length of what travels in segments, padding included; rows need a head that fits a Meta record.
fn padded_bytes(outgoing: &Outgoing) -> Result<u64, CryptoError> {
    let (head, body) = outgoing.head_and_body();
    let fits = match outgoing.segmentation {
        Segmentation::Fixed => true,
        Segmentation::Rows { .. } => (1..=MAX_HEAD_BYTES).contains(&head.len()),
    };
    if !fits {
        return Err(CryptoError::MetaLength { found: head.len(), limit: MAX_HEAD_BYTES });
    }
    padding::padded_length(outgoing.padding_policy(), body.len() as u64)
}

/// Plaintext bytes before the next segment.
fn sent_bytes(segments: &SegmentSealer) -> u64 {
    let whole = segments.plan().plaintext_bytes(0).unwrap_or(0) as u64;
    u64::from(segments.next_index()) * whole
}

/// `length` bytes of the padded image from `start` on: the coded bytes, then zeros.
fn padded_piece(coded: &[u8], start: u64, length: usize) -> Vec<u8> {
    // Room for the tag, so that sealing in place does not move the bytes.
    let mut piece = Vec::with_capacity(length + latentwire_sealing::SEGMENT_OVERHEAD_BYTES);
    let start = usize::try_from(start).unwrap_or(usize::MAX).min(coded.len());
    let end = start.saturating_add(length).min(coded.len());
    piece.extend_from_slice(&coded[start..end]);
    piece.resize(length, 0);
    piece
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_coded_bytes_then_zeros() {
        let coded = [1, 2, 3, 4, 5];
        assert_eq!(padded_piece(&coded, 0, 4), [1, 2, 3, 4]);
        assert_eq!(padded_piece(&coded, 4, 4), [5, 0, 0, 0]);
        assert_eq!(padded_piece(&coded, 8, 2), [0, 0]);
        assert_eq!(padded_piece(&coded, 0, 0), []);
    }
}
