//! What a sender hands to its session, and what it gets back.

use latentwire_proto::Bytes;
use latentwire_proto::v1::MetaRecord;
use latentwire_sealing::{Form, InnerLayer, PaddingPolicy};

use crate::sink::Verdict;
use crate::{ImageId, TransferId};

/// Makes the exact form of a transfer, when the receiver asks for it; runs on a blocking thread.
///
/// The text of an error is for our own log.
pub type ExactFallback = Box<dyn FnOnce() -> Result<Outgoing, String> + Send>;

/// One coded image on its way out.
pub struct Outgoing {
    /// Id of the transfer, the same for every attempt and for both forms.
    pub transfer_id: TransferId,
    /// Form in which it travels.
    pub form: Form,
    /// SHA-256 of `decode.toml`; 32 zero bytes for [`Form::Exact`] and only for it.
    pub decoder_digest: [u8; 32],
    /// The coded image, 1 byte ..= 1 GiB after padding.
    pub coded: Bytes,
    /// SHA-256 of the source file.
    pub source_sha256: [u8; 32],
    /// What travels sealed beside it. `coded_bytes`, `coded_sha256`, `source_sha256` and `head` are filled in by the
    /// session; the record is at most 64 KiB.
    pub meta: MetaRecord,
    /// How its length is hidden; in row mode it is not.
    pub padding: PaddingPolicy,
    /// Cipher below AES-256-GCM.
    pub inner_layer: InnerLayer,
    /// How it is cut into segments.
    pub segmentation: Segmentation,
    /// Overtakes transfers that are not urgent; one of the four slots is kept for urgent ones.
    pub urgent: bool,
    /// Makes the exact form of the same transfer; without it, NeedExact fails the transfer.
    pub exact_fallback: Option<ExactFallback>,
}

/// How a coded image is cut into segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Segmentation {
    /// Padded, and into pieces of the session's segment size.
    #[default]
    Fixed,
    /// One segment a row of the raw latent; what comes before the rows travels in the Meta record.
    Rows {
        /// Bytes of the coded image before its first row, 1..=[`crate::MAX_HEAD_BYTES`].
        head_bytes: usize,
        /// Bytes of each row, 4..=65,536 and a multiple of four.
        row_bytes: u32,
    },
}

impl Outgoing {
    /// What its Open says of padding.
    pub(crate) fn padding_policy(&self) -> PaddingPolicy {
        match self.segmentation {
            Segmentation::Fixed => self.padding,
            Segmentation::Rows { .. } => PaddingPolicy::Rows,
        }
    }

    /// What travels in the Meta record, and what in segments.
    pub(crate) fn head_and_body(&self) -> (&[u8], &[u8]) {
        match self.segmentation {
            Segmentation::Fixed => (&[], &self.coded),
            Segmentation::Rows { head_bytes, .. } => self.coded.split_at(head_bytes.min(self.coded.len())),
        }
    }

    /// Whether a receiver may hold its first segments from an earlier attempt.
    pub(crate) fn is_resumable(&self) -> bool {
        self.inner_layer == InnerLayer::None && self.segmentation == Segmentation::Fixed
    }
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outgoing")
            .field("form", &self.form)
            .field("coded_bytes", &self.coded.len())
            .field("urgent", &self.urgent)
            .finish_non_exhaustive()
    }
}

/// How far a transfer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Plaintext bytes of the segments sent so far, padding included.
    pub bytes_sent: u64,
    /// Plaintext bytes of all segments; changes when the exact form takes the latent's place.
    pub bytes_total: u64,
}

/// A transfer whose receipt is in and verified.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivered {
    /// Id that the receiver gave the image.
    pub image_id: ImageId,
    /// True where the receiver had it already, with equal content: nothing was stored twice.
    pub already_done: bool,
    /// Form that is stored.
    pub form: Form,
    /// What the receiver found when it decoded.
    pub verdict: Verdict,
    /// Bytes of the protobuf messages Open, Meta and Segment that were sent for it, over both forms after a NeedExact.
    /// The session's handshake (Hello and HelloReply, shared by all its transfers), gRPC's five bytes a message, HTTP/2
    /// and TLS are not in it.
    pub sealed_bytes: u64,
    /// CPU time of sealing, milliseconds.
    pub seal_ms: f64,
    /// From the first sealed byte to the receipt, milliseconds.
    pub transfer_ms: f64,
    /// CPU time of opening at the receiver, milliseconds, as the receipt says.
    pub open_ms: f64,
    /// Time of decoding at the receiver, milliseconds, as the receipt says.
    pub decode_ms: f64,
}
