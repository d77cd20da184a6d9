//! Bounds of sessions, transfers and waits. The defaults are the protocol's; tests shorten them.

use std::time::Duration;

/// Largest gRPC message on this service, both ways: a 64 KiB segment, or a Noise message, with room to spare.
pub const MAX_MESSAGE_BYTES: usize = 128 * 1024;
/// Largest number of transfers that one session interleaves.
pub const MAX_SLOTS: usize = 4;
/// Longest head that travels in a Meta record in row mode, bytes; leaves the rest of the record 16 KiB.
pub const MAX_HEAD_BYTES: usize = 48 * 1024;
/// Segment bytes that may follow Open before its answer.
pub const EARLY_BYTES: u64 = 256 * 1024;

/// Bounds that both ends keep. Reaching one of the first three stops new Opens; open transfers finish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// Transfers opened in one session: 1,024.
    pub max_transfers: u32,
    /// Padded bytes opened in one session: 16 GiB.
    pub max_bytes: u64,
    /// Age of a session: one hour.
    pub max_age: Duration,
    /// Plaintext bytes of a segment, 64 KiB; the sender's choice, 1 KiB ..= 64 KiB.
    pub segment_bytes: u32,
    /// How long each wait may take.
    pub timeouts: Timeouts,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            max_transfers: 1_024,
            max_bytes: 16 << 30,
            max_age: Duration::from_secs(3_600),
            segment_bytes: 64 * 1024,
            timeouts: Timeouts::default(),
        }
    }
}

/// How long each wait of a session may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the peer's handshake message: 10 s.
    pub handshake: Duration,
    /// For the answer to an Open, and for the sink's answers behind it: 30 s.
    pub open: Duration,
    /// For room to send the next message: 30 s.
    pub stall: Duration,
    /// For the receipt after the last segment: 300 s (entropy decoding and one pass of the decoder lie in it).
    pub receipt: Duration,
    /// Of a session with no transfer open: 600 s, then the receiver ends it in order.
    pub idle: Duration,
    /// Of one transfer from Open to the last segment: 24 h.
    pub transfer: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            open: Duration::from_secs(30),
            stall: Duration::from_secs(30),
            receipt: Duration::from_secs(300),
            idle: Duration::from_secs(600),
            transfer: Duration::from_secs(24 * 3_600),
        }
    }
}

/// Bounds of a receiver, over all its sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverLimits {
    /// Bounds of each session.
    pub session: SessionLimits,
    /// Largest padded transfer: 1 GiB, the protocol's own bound.
    pub max_transfer_bytes: u64,
    /// Padded bytes of all transfers that are open at once: 4 GiB. A transfer that does not fit is OVERLOADED.
    pub max_buffered_bytes: u64,
    /// Sessions at once of peers that the trust store has admitted: 256.
    pub max_sessions: usize,
    /// Sessions at once of one peer: 16.
    pub max_sessions_per_peer: usize,
    /// Streams at once whose Hello has not come: 64, not counted among the sessions. When one more comes, the one that has
    /// waited longest is OVERLOADED.
    pub max_pending_handshakes: usize,
    /// Segment bytes a second that a session with open transfers must bring, over [`Self::rate_window`]: 1 KiB.
    pub min_bytes_per_second: u64,
    /// Time over which the minimum rate is judged, and after which a silent peer is dropped: 30 s.
    pub rate_window: Duration,
    /// How often a live session asks the trust store again: 10 s; a changed trust store is asked at once.
    pub trust_check: Duration,
    /// Whether transfers may come below the chaos cipher, which serves research; no.
    pub allow_chaos4: bool,
    /// Whether transfers may come as rows of a raw latent, which serves research and hides no length; no.
    pub allow_rows: bool,
}

impl Default for ReceiverLimits {
    fn default() -> Self {
        Self {
            session: SessionLimits::default(),
            max_transfer_bytes: 1 << 30,
            max_buffered_bytes: 4 << 30,
            max_sessions: 256,
            max_sessions_per_peer: 16,
            max_pending_handshakes: 64,
            min_bytes_per_second: 1_024,
            rate_window: Duration::from_secs(30),
            trust_check: Duration::from_secs(10),
            allow_chaos4: false,
            allow_rows: false,
        }
    }
}
