//! One transfer at the receiver: from its accepted Open to the opened, checked bytes.

use std::sync::Arc;
use std::time::Instant;

use latentwire_proto::Bytes;
use latentwire_proto::v1::{MetaRecord, Segment};
use latentwire_sealing::{
    Complete, CryptoError, InnerLayer, MetaOpener, OpenBody, PaddingPolicy, SegmentOpener, TransferTags,
    padding, tags_equal,
};
use prost::Message as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant as TimerInstant;

use super::answers::Stored;
use super::shared::TransferClaim;
use crate::messages::milliseconds;
use crate::sink::{Announced, Outcome, Peer, Received, SinkError, TransferSink};
use crate::{MAX_HEAD_BYTES, TransferId, WireError};

/// Above this, hashing the whole image leaves the session's task, bytes.
const INLINE_BYTES: usize = 512 * 1024;
/// Above this, undoing the chaos cipher does, bytes.
const INLINE_CHAOS_BYTES: usize = 32 * 1024;

/// What a slot of the session holds.
pub(super) enum Slot<A> {
    Free,
    /// Its Open was not accepted; this many message bytes may still have been on the way.
    Discarding(u64),
    Receiving(Box<Receiving<A>>),
    /// Arrived; the sink is at work.
    Completing,
}

/// Everything that an accepted Open set aside.
pub(super) struct Accepted<A> {
    pub(super) body: OpenBody,
    pub(super) content_tag: [u8; 32],
    pub(super) tags: TransferTags,
    pub(super) meta: MetaOpener,
    pub(super) segments: SegmentOpener,
    pub(super) claim: TransferClaim,
    pub(super) room: OwnedSemaphorePermit,
    pub(super) admission: A,
    pub(super) open_bytes: u64,
    pub(super) deadline: TimerInstant,
}

/// A transfer whose segments are coming in. Its buffer grows with what has authenticated, up to the padded length that
/// was announced, allowed and reserved.
pub(super) struct Receiving<A> {
    body: OpenBody,
    content_tag: [u8; 32],
    tags: TransferTags,
    meta: MetaState,
    segments: SegmentOpener,
    claim: TransferClaim,
    room: OwnedSemaphorePermit,
    admission: A,
    padded: Vec<u8>,
    sealed_bytes: u64,
    open_ms: f64,
    pub(super) deadline: TimerInstant,
}

enum MetaState {
    Due(MetaOpener),
    Opened(Box<MetaRecord>, [u8; 32]),
    /// Opening failed; the session is over.
    Failed,
}

impl<A: Send + 'static> Receiving<A> {
    pub(super) fn new(accepted: Accepted<A>) -> Self {
        let Accepted {
            body,
            content_tag,
            tags,
            meta,
            segments,
            claim,
            room,
            admission,
            open_bytes,
            deadline,
        } = accepted;
        Self {
            body,
            content_tag,
            tags,
            meta: MetaState::Due(meta),
            segments,
            claim,
            room,
            admission,
            padded: Vec::new(),
            sealed_bytes: open_bytes,
            open_ms: 0.0,
            deadline,
        }
    }

    pub(super) fn transfer_id(&self) -> &TransferId {
        &self.body.transfer_id
    }

    /// How many segments there are, and how many have come.
    pub(super) fn truncated(&self) -> CryptoError {
        CryptoError::StreamTruncated {
            expected: self.segments.plan().count(),
            received: self.segments.next_index(),
        }
    }

    /// Opens the Meta record and holds it against the Open.
    pub(super) fn take_meta(&mut self, ciphertext: &[u8], message_bytes: u64) -> Result<(), WireError> {
        let started = Instant::now();
        let MetaState::Due(opener) = std::mem::replace(&mut self.meta, MetaState::Failed) else {
            return Err(WireError::OutOfOrder { what: "a second Meta of one transfer" });
        };
        let plaintext = opener.open(ciphertext)?;
        let record = MetaRecord::decode(plaintext.as_slice())
            .map_err(|_| WireError::Malformed { what: "Meta is no MetaRecord" })?;
        let source = digest(&record.source_sha256, "source_sha256 of Meta has not 32 bytes")?;
        let coded = digest(&record.coded_sha256, "coded_sha256 of Meta has not 32 bytes")?;
        if !tags_equal(&self.tags.content(&source), &self.content_tag) {
            return Err(WireError::Malformed { what: "source digest of Meta is not that of the Open" });
        }
        if record.head.is_empty() == (self.body.padding == PaddingPolicy::Rows) {
            return Err(WireError::Malformed { what: "a head in Meta belongs to rows, and rows have one" });
        }
        if record.head.len() > MAX_HEAD_BYTES {
            return Err(WireError::Malformed { what: "head in Meta above 49,152 bytes" });
        }
        self.meta = MetaState::Opened(Box::new(record), coded);
        self.sealed_bytes += message_bytes;
        self.open_ms += milliseconds(started.elapsed());
        Ok(())
    }

    /// Opens the next segment; true when it was the last.
    pub(super) fn take_segment(&mut self, segment: Segment, message_bytes: u64) -> Result<bool, WireError> {
        let started = Instant::now();
        if !matches!(self.meta, MetaState::Opened(..)) {
            return Err(WireError::OutOfOrder { what: "a Segment before the Meta of its transfer" });
        }
        let mut buffer = Vec::from(segment.ciphertext);
        let position = self.segments.open(segment.last, &mut buffer)?;
        self.padded.extend_from_slice(&buffer);
        self.sealed_bytes += message_bytes;
        self.open_ms += milliseconds(started.elapsed());
        Ok(position.last)
    }

    /// What its Open announced.
    pub(super) fn announced(&self) -> Announced {
        announced(&self.body)
    }

    /// Undoes padding and inner layer, or joins the rows to their head, checks the digest, and hands the image to the sink.
    ///
    /// Keeps claim, room and admission until the sink is done. What the peer broke comes back as `Err`.
    pub(super) async fn complete<S>(self, sink: &Arc<S>, peer: &Peer) -> Result<Completed, WireError>
    where
        S: TransferSink<Admission = A>,
    {
        let Self {
            body, tags, meta, segments, claim, room, admission, padded, sealed_bytes, open_ms, ..
        } = self;
        let MetaState::Opened(mut meta, coded_sha256) = meta else {
            return Err(WireError::OutOfOrder { what: "a transfer without Meta" });
        };
        let started = Instant::now();
        let complete = segments.finish()?;
        let tags = Arc::new(tags);
        let arrived = Arrived {
            complete,
            padded,
            coded_bytes: meta.coded_bytes,
            coded_sha256,
            inner_layer: body.inner_layer,
            head: std::mem::take(&mut meta.head),
            tags: Arc::clone(&tags),
        };
        let coded = arrived.undo_beside().await?;
        let open_ms = open_ms + milliseconds(started.elapsed());
        let (transfer_id, form) = (body.transfer_id, body.form);
        let received = Received {
            announced: announced(&body),
            coded: Bytes::from(coded),
            meta: *meta,
            open_ms,
            sealed_bytes,
        };
        let end = match sink.complete(peer, received, admission).await {
            Ok(Outcome::Stored { image_id, verdict, decode_ms }) => {
                let tag = tags.receipt(&coded_sha256);
                End::Stored(Stored { image_id, form, verdict, open_ms, decode_ms, tag })
            }
            Ok(Outcome::NeedExact { reason }) => End::NeedExact(reason),
            Err(error) => End::Failed(error),
        };
        drop((claim, room));
        Ok(Completed { transfer_id, form, end })
    }
}

/// What a complete transfer came to.
pub(super) struct Completed {
    pub(super) transfer_id: TransferId,
    pub(super) form: latentwire_sealing::Form,
    pub(super) end: End,
}

pub(super) enum End {
    Stored(Stored),
    NeedExact(&'static str),
    Failed(SinkError),
}

pub(super) fn announced(body: &OpenBody) -> Announced {
    Announced {
        transfer_id: body.transfer_id,
        form: body.form,
        decoder_digest: body.decoder_digest,
        padded_bytes: match body.padding {
            PaddingPolicy::Rows => body.padded_bytes.saturating_add(MAX_HEAD_BYTES as u64),
            PaddingPolicy::Padme | PaddingPolicy::Fixed | PaddingPolicy::None => body.padded_bytes,
        },
        padding: body.padding,
        inner_layer: body.inner_layer,
    }
}

/// A transfer whose last segment has authenticated, still as it was sealed.
struct Arrived {
    complete: Complete,
    padded: Vec<u8>,
    coded_bytes: u64,
    coded_sha256: [u8; 32],
    inner_layer: InnerLayer,
    head: Bytes,
    tags: Arc<TransferTags>,
}

impl Arrived {
    /// [`Arrived::undo`], on a blocking thread where it takes long.
    async fn undo_beside(self) -> Result<Vec<u8>, WireError> {
        let inline = match self.inner_layer {
            InnerLayer::None => INLINE_BYTES,
            InnerLayer::Chaos4 => INLINE_CHAOS_BYTES,
        };
        if self.padded.len() <= inline {
            return Ok(self.undo()?);
        }
        let undone = tokio::task::spawn_blocking(move || self.undo()).await;
        Ok(undone.map_err(|_| WireError::Internal("undoing the padding was interrupted"))??)
    }

    /// The coded image.
    fn undo(self) -> Result<Vec<u8>, CryptoError> {
        let Self { complete, padded, coded_bytes, coded_sha256, inner_layer, head, tags } = self;
        match (inner_layer, complete.padding()) {
            (InnerLayer::Chaos4, _) => {
                padding::unpad_chaos(complete, padded, coded_bytes, &coded_sha256, &tags)
            }
            (InnerLayer::None, PaddingPolicy::Rows) => {
                padding::join_rows(complete, &head, &padded, coded_bytes, &coded_sha256)
            }
            (InnerLayer::None, PaddingPolicy::Padme | PaddingPolicy::Fixed | PaddingPolicy::None) => {
                padding::unpad(complete, padded, coded_bytes, &coded_sha256)
            }
        }
    }
}

fn digest(bytes: &[u8], what: &'static str) -> Result<[u8; 32], WireError> {
    bytes.try_into().map_err(|_| WireError::Malformed { what })
}
