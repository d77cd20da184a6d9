//! What a receiver does with transfers: the service implements [`TransferSink`], the session drives it.

use std::future::Future;

use latentwire_proto::Bytes;
use latentwire_proto::v1::MetaRecord;
use latentwire_sealing::{Form, InnerLayer, PaddingPolicy, PublicKey, TrustEntry};
use thiserror::Error;

use crate::reason::Reason;
use crate::{ImageId, TransferId};

/// The sender at the other end of a session: authenticated, and admitted by the trust store.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Name in the trust store; transfers are scoped to it, so that a rotated key does not redeliver.
    pub name: String,
    /// The key that this session was agreed with.
    pub key: PublicKey,
    /// What the trust store said of the key when the session began.
    pub entry: TrustEntry,
}

/// What an Open announces, before any byte of the image is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Id of the transfer.
    pub transfer_id: TransferId,
    /// Form in which the image travels.
    pub form: Form,
    /// Digest of the decoder it needs; zero for the exact form.
    pub decoder_digest: [u8; 32],
    /// Length after padding, bytes, and in row mode the most that the head may add: the most that will be kept for it.
    pub padded_bytes: u64,
    /// How the length is hidden; [`PaddingPolicy::Rows`] in row mode.
    pub padding: PaddingPolicy,
    /// Cipher below AES-256-GCM.
    pub inner_layer: InnerLayer,
}

/// A transfer that has arrived whole: every tag verified, padding and inner layer undone, rows joined to their head,
/// digest checked.
#[derive(Clone, Debug)]
pub struct Received {
    /// What its Open announced.
    pub announced: Announced,
    /// The coded image.
    pub coded: Bytes,
    /// What the sender states about it; digests and lengths in it have been checked against `coded`.
    pub meta: MetaRecord,
    /// CPU time that opening the segments took, milliseconds; to be put into the stored record.
    pub open_ms: f64,
    /// Bytes on the wire for it: the protobuf messages Open, Meta and Segment.
    pub sealed_bytes: u64,
}

/// What the sink holds of a transfer that it has finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The image's id.
    pub image_id: ImageId,
    /// SHA-256 of its source file, from the [`MetaRecord`]: shows whether a repeated transfer has equal content.
    pub source_sha256: [u8; 32],
    /// Form that is stored.
    pub form: Form,
    /// What was found when it was decoded.
    pub verdict: Verdict,
}

/// What the receiver found when it decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Not decoded.
    Undecoded,
    /// Exact form: the source digest is equal.
    Exact,
    /// The reconstruction's digest equals the certificate's.
    Equal,
    /// It differs; the model is not certified bit-identical.
    Differs,
    /// The sender held no decoder: there is nothing to compare with.
    Unmeasured,
}

/// What became of a complete transfer.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It is on disk and synced; the receipt may go out.
    Stored {
        /// Id that the sink gave it.
        image_id: ImageId,
        /// What decoding found.
        verdict: Verdict,
        /// Wall-clock time of decoding, milliseconds.
        decode_ms: f64,
    },
    /// Nothing was stored: the sender is asked for the exact form of the same transfer.
    NeedExact {
        /// Why, in a word of the error table, for example `RECONSTRUCTION_DIFFERS`.
        reason: &'static str,
    },
}

/// How an Open ended that the sink did not bring to its end itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The sender gave it up.
    Cancelled,
    /// The transfer id is known with other content.
    Conflict,
    /// The sink had it already, with equal content.
    Done(Known),
    /// It was accepted, and the session broke or what came did not authenticate.
    Failed(Reason),
    /// It was not accepted.
    Refused(Reason),
}

/// Why the sink refuses or fails a transfer; the session lives on.
#[derive(Debug, Error)]
#[error("{reason}: {detail}")]
pub struct SinkError {
    /// What the sender is told.
    pub reason: Reason,
    /// For our own log; does not travel.
    pub detail: String,
}

impl SinkError {
    /// A refusal with its cause for our own log.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

/// Where a receiver's transfers go.
///
/// All methods are called from the session's task: blocking work (disk, decoder) belongs on a blocking thread
/// (`tokio::task::spawn_blocking`). A [`SinkError`] concerns the one transfer; the session and its other transfers go on.
pub trait TransferSink: Send + Sync + 'static {
    /// What admission reserves (quota, disk); dropped when the transfer ends without being complete.
    type Admission: Send + 'static;

    /// Looks a finished transfer up by peer name and transfer id; tombstones count.
    fn known(
        &self,
        peer: &Peer,
        transfer_id: &TransferId,
    ) -> impl Future<Output = Result<Option<Known>, SinkError>> + Send;

    /// Decides whether the transfer may come in, before a byte of it is kept: allowed form and model, quota, disk.
    fn admit(
        &self,
        peer: &Peer,
        announced: &Announced,
    ) -> impl Future<Output = Result<Self::Admission, SinkError>> + Send;

    /// Decodes once, compares, stores durably.
    ///
    /// Runs to its end even if the session breaks meanwhile; the sender then learns of it by [`Self::known`].
    fn complete(
        &self,
        peer: &Peer,
        received: Received,
        admission: Self::Admission,
    ) -> impl Future<Output = Result<Outcome, SinkError>> + Send;

    /// Hears how an Open ended where [`Self::complete`] did not see to it, before the peer hears of it: each Open has exactly one
    /// end, here or there (after NeedExact, the exact form's Open has its own). For an audit log.
    ///
    /// An error turns "done already" into a refusal for that reason; other endings stay what they are.
    fn ended(
        &self,
        peer: &Peer,
        announced: &Announced,
        ending: Ending,
    ) -> impl Future<Output = Result<(), SinkError>> + Send {
        let _ = (peer, announced, ending);
        std::future::ready(Ok(()))
    }
}
