//! What the receiver writes into its audit log.

use std::net::SocketAddr;

use latentwire_codec::imaging::Identity;
use latentwire_proto::v1;
use latentwire_service::audit::{Event, Identifiers, Party};
pub use latentwire_service::audit::{Kind, Outcome};
use latentwire_service::sealing::CryptoError;
use latentwire_wire::{Announced, Ending, Peer, Reason, WireError};

use crate::record::{Attributes, verdict_name};

/// A transfer's record before its outcome is known.
pub fn transfer(peer: &Peer, announced: &Announced) -> Event {
    let mut event = Event::new(Kind::Transfer, Outcome::Failed);
    event.peer = Some(party(peer));
    event.transfer_id = Some(hex::encode(announced.transfer_id));
    event.form = Some(announced.form.name().to_owned());
    let needs_decoder = announced.decoder_digest != [0; 32];
    event.decoder_digest = needs_decoder.then(|| hex::encode(announced.decoder_digest));
    event
}

/// The record of an Open that ended before the sink had the whole image.
pub fn ended(peer: &Peer, announced: &Announced, ending: &Ending) -> Event {
    let mut event = transfer(peer, announced);
    let (outcome, reason) = match ending {
        Ending::Cancelled => (Outcome::Cancelled, Some(Reason::Cancelled)),
        Ending::Conflict => (Outcome::Conflict, Some(Reason::TransferConflict)),
        Ending::Done(known) => {
            event.image_id = Some(hex::encode(known.image_id));
            event.form = Some(known.form.name().to_owned());
            event.verdict = Some(verdict_name(known.verdict).to_owned());
            (Outcome::DoneAlready, None)
        }
        Ending::Failed(reason) => (Outcome::Failed, Some(*reason)),
        Ending::Refused(reason) => (Outcome::Refused, Some(*reason)),
    };
    event.outcome = outcome;
    event.reason = reason.map(|reason| reason.as_str().to_owned());
    event
}

/// The record of a session that ended with an error, before or after it was set up.
pub fn session(error: &WireError, was_set_up: bool, from: Option<SocketAddr>) -> Event {
    let (kind, outcome) = if was_set_up {
        (Kind::SessionEnded, Outcome::Failed)
    } else {
        (Kind::SessionRefused, Outcome::Refused)
    };
    let mut event = Event::new(kind, outcome);
    event.reason = Some(error.reason().as_str().to_owned());
    let key = if let WireError::Crypto(CryptoError::PeerNotAllowed { fingerprint, .. }) = error {
        Some(fingerprint.to_string())
    } else {
        None
    };
    event.peer = Some(Party { name: None, key, address: from.map(|address| address.ip().to_string()) });
    event
}

/// Whose image it is.
pub fn identifiers(
    identity: Option<&Identity>,
    study_group: &str,
    derived: &str,
    source_sha256: &[u8],
) -> Identifiers {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let mut whose = Identifiers::default();
    if let Some(identity) = identity {
        whose.patient_id.clone_from(&identity.patient_id);
        whose.patient_name.clone_from(&identity.patient_name);
        whose.accession_number.clone_from(&identity.accession_number);
        whose.study_instance_uid.clone_from(&identity.study_instance_uid);
        whose.series_instance_uid.clone_from(&identity.series_instance_uid);
        whose.sop_class_uid.clone_from(&identity.sop_class_uid);
        whose.sop_instance_uid.clone_from(&identity.sop_instance_uid);
    }
    whose.study_group = text(study_group);
    whose.derived_sop_instance_uid = text(derived);
    whose.source_sha256 = (!source_sha256.is_empty()).then(|| hex::encode(source_sha256));
    whose
}

/// The record of an image that is given out or deleted, with whose it is.
pub fn access(
    kind: Kind,
    image: &v1::Image,
    attributes: &Attributes,
    identity: Option<&Identity>,
) -> (Event, Identifiers) {
    let mut event = Event::new(kind, Outcome::Success);
    event.image_id = Some(hex::encode(&image.image_id));
    event.transfer_id = Some(hex::encode(&image.transfer_id));
    event.peer = Some(Party { name: Some(image.peer.clone()), ..Party::default() });
    event.verdict = Some(image.verdict.clone());
    let kept = attributes.identity.clone().map(Identity::from);
    let identity = identity.or(kept.as_ref());
    let derived = &attributes.derived_sop_instance_uid;
    (event, identifiers(identity, &image.study_group, derived, &[]))
}

fn party(peer: &Peer) -> Party {
    Party { name: Some(peer.name.clone()), key: Some(peer.key.fingerprint().to_string()), address: None }
}
