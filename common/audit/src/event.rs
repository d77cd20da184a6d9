//! What is written down: the event, in clear, and the identifiers, sealed.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Longest text of a field, in characters; what a peer or a caller can name is cut there.
const MAX_TEXT: usize = 256;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Somebody called who is no caller of the list, or asked for what its entry does not allow.
    CallerRefused,
    /// A latent could not be confirmed here, and its exact form was asked for.
    ExactRequested,
    /// A file of the log begins.
    FileOpened,
    /// An image was deleted.
    ImageDeleted,
    /// An image was given out.
    ImageFetched,
    /// A peer's key was revoked, or taken off the trust store.
    KeyRevoked,
    /// The log was found torn, as a crash or a power cut leaves it, and mended.
    LogRecovered,
    /// The service began to serve.
    ServiceStarted,
    /// The service ended in order.
    ServiceStopped,
    /// A session broke after it was set up.
    SessionEnded,
    /// Somebody knocked and was not let in.
    SessionRefused,
    /// A transfer ended.
    Transfer,
    /// The trust store in force was replaced.
    TrustReloaded,
}

impl Kind {
    /// Every kind, in alphabetical order.
    pub const ALL: [Self; 13] = [
        Self::CallerRefused,
        Self::ExactRequested,
        Self::FileOpened,
        Self::ImageDeleted,
        Self::ImageFetched,
        Self::KeyRevoked,
        Self::LogRecovered,
        Self::ServiceStarted,
        Self::ServiceStopped,
        Self::SessionEnded,
        Self::SessionRefused,
        Self::Transfer,
        Self::TrustReloaded,
    ];

    /// The word in the record.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CallerRefused => "caller_refused",
            Self::ExactRequested => "exact_requested",
            Self::FileOpened => "file_opened",
            Self::ImageDeleted => "image_deleted",
            Self::ImageFetched => "image_fetched",
            Self::KeyRevoked => "key_revoked",
            Self::LogRecovered => "log_recovered",
            Self::ServiceStarted => "service_started",
            Self::ServiceStopped => "service_stopped",
            Self::SessionEnded => "session_ended",
            Self::SessionRefused => "session_refused",
            Self::Transfer => "transfer",
            Self::TrustReloaded => "trust_reloaded",
        }
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The sender gave it up.
    Cancelled,
    /// The transfer id is known with other content.
    Conflict,
    /// Stored at the receiver, and its receipt given or taken.
    Delivered,
    /// The receiver had it already, with equal content.
    DoneAlready,
    /// It was begun and did not succeed.
    Failed,
    /// It was not begun.
    Refused,
    /// It was done; for everything but transfers.
    Success,
}

impl Outcome {
    /// The word in the record.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Conflict => "conflict",
            Self::Delivered => "delivered",
            Self::DoneAlready => "done_already",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Success => "success",
        }
    }

    /// Whether what was wanted was reached.
    #[must_use]
    pub fn is_success(self) -> bool {
        matches!(self, Self::Delivered | Self::DoneAlready | Self::Success)
    }
}

/// A service at one end, or who called it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// Name in the trust store, in the configuration, or of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Fingerprint of its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its network address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// One event. Nothing in it names a patient or a study; that goes into [`Identifiers`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// What happened.
    pub kind: Kind,
    /// How it ended.
    pub outcome: Outcome,
    /// The service that writes, with its own key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Party>,
    /// The service at the other end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Party>,
    /// Who called, on the PACS side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<Party>,
    /// 16 bytes, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer_id: Option<String>,
    /// 16 bytes, hex: the receiver's id of the stored image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// `latent`, `exact` or `bounded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<String>,
    /// Id of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// SHA-256 of the decoder's `decode.toml`, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder_digest: Option<String>,
    /// Bytes of the coded image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coded_bytes: Option<u64>,
    /// Bytes on the wire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_bytes: Option<u64>,
    /// What decoding at the receiver found: `exact`, `equal`, `differs`, `unmeasured`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// Stable reason of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A word on the service's own state; never what a stranger sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How many more of the same there were since the last record of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<u64>,
}

impl Event {
    /// An event of which nothing more is known yet.
    #[must_use]
    pub fn new(kind: Kind, outcome: Outcome) -> Self {
        Self {
            kind,
            outcome,
            service: None,
            peer: None,
            caller: None,
            transfer_id: None,
            image_id: None,
            form: None,
            model: None,
            decoder_digest: None,
            coded_bytes: None,
            sealed_bytes: None,
            verdict: None,
            reason: None,
            detail: None,
            more: None,
        }
    }

    /// The same with every text cut to a bounded length and rid of control characters.
    pub(crate) fn bounded(&self) -> Self {
        let mut event = self.clone();
        for party in [&mut event.service, &mut event.peer, &mut event.caller].into_iter().flatten() {
            for text in [&mut party.name, &mut party.key, &mut party.address].into_iter().flatten() {
                bound(text);
            }
        }
        let texts = [
            &mut event.transfer_id,
            &mut event.image_id,
            &mut event.form,
            &mut event.model,
            &mut event.decoder_digest,
            &mut event.verdict,
            &mut event.reason,
            &mut event.detail,
        ];
        texts.into_iter().flatten().for_each(bound);
        event
    }
}

/// What names a patient or a study. Sealed in the log, and wiped from memory when dropped.
///
/// # Security
/// Without `Debug`, so that it reaches no log by accident.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub struct Identifiers {
    /// Patient ID (0010,0020).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient_id: Option<String>,
    /// Patient's Name (0010,0010).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient_name: Option<String>,
    /// Accession Number (0008,0050).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accession_number: Option<String>,
    /// Study Instance UID (0020,000D).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub study_instance_uid: Option<String>,
    /// Series Instance UID (0020,000E).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series_instance_uid: Option<String>,
    /// SOP Class UID (0008,0016).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sop_class_uid: Option<String>,
    /// SOP Instance UID (0008,0018) of the file as it is at this end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sop_instance_uid: Option<String>,
    /// SOP Instance UID that a lossy copy gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derived_sop_instance_uid: Option<String>,
    /// Study that the caller named; often a UID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub study_group: Option<String>,
    /// SHA-256 of the source file, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_sha256: Option<String>,
}

impl Identifiers {
    /// Whether there is nothing to be sealed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn bounded(&self) -> Self {
        let mut bounded = self.clone();
        let texts = [
            &mut bounded.patient_id,
            &mut bounded.patient_name,
            &mut bounded.accession_number,
            &mut bounded.study_instance_uid,
            &mut bounded.series_instance_uid,
            &mut bounded.sop_class_uid,
            &mut bounded.sop_instance_uid,
            &mut bounded.derived_sop_instance_uid,
            &mut bounded.study_group,
            &mut bounded.source_sha256,
        ];
        texts.into_iter().flatten().for_each(bound);
        bounded
    }
}

/// Wipes what it takes away, and leaves nothing that could break a line or a terminal.
fn bound(text: &mut String) {
    if text.chars().count() <= MAX_TEXT && !text.chars().any(char::is_control) {
        return;
    }
    let kept = text.chars().take(MAX_TEXT).map(|letter| if letter.is_control() { ' ' } else { letter });
    let kept: String = kept.collect();
    text.zeroize();
    *text = kept;
}

/// Now, in UTC with milliseconds, as it stands in a record: `2026-11-22T02:11:05.123Z`.
#[must_use]
pub fn now() -> String {
    moment(OffsetDateTime::now_utc())
}

pub(crate) fn moment(time: OffsetDateTime) -> String {
    let time = time.to_offset(time::UtcOffset::UTC);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.millisecond()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_what_is_written() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).expect("a word"), kind.name());
        }
        assert!(Kind::ALL.is_sorted_by_key(|kind| kind.name()));
    }

    #[test]
    fn texts_are_bounded_and_harmless() {
        let mut event = Event::new(Kind::Transfer, Outcome::Failed);
        event.reason = Some("x".repeat(10_000));
        event.peer = Some(Party { name: Some("a\nb\u{1b}[31m".into()), ..Party::default() });
        let bounded = event.bounded();
        assert_eq!(bounded.reason.expect("kept").len(), MAX_TEXT);
        assert_eq!(bounded.peer.and_then(|peer| peer.name).expect("kept"), "a b [31m");
    }
}
