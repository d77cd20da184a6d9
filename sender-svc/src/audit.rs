//! What the sender writes into its audit log: one record a transfer, when it has ended.

use latentwire_codec::imaging::{Limits, identity};
use latentwire_proto::{
    Bytes,
    v1::{ImageSummary, Transfer},
};
use latentwire_service::{
    audit::{Event, Identifiers, Kind, Outcome, Party},
    sealing::PublicKey,
    status::reason,
};
use latentwire_wire::{Delivered, Verdict};

use crate::intake::Accepted;

/// A transfer's record before its end is known.
pub fn transfer(accepted: &Accepted, key: Option<&PublicKey>) -> Event {
    let mut event = Event::new(Kind::Transfer, Outcome::Failed);
    let key = key.or_else(|| accepted.destination.public_keys.first());
    event.peer = Some(Party {
        name: Some(accepted.destination.name.clone()),
        key: key.map(|key| key.fingerprint().to_string()),
        address: Some(accepted.destination.address.to_string()),
    });
    event.caller.clone_from(&accepted.caller);
    event.transfer_id = Some(hex::encode(accepted.transfer_id));
    event
}

/// Adds the receipt.
pub fn delivered(event: &mut Event, transfer: &Transfer, receipt: &Delivered) {
    event.outcome = if receipt.already_done { Outcome::DoneAlready } else { Outcome::Delivered };
    event.image_id = Some(hex::encode(receipt.image_id));
    event.verdict = verdict(receipt.verdict).map(str::to_owned);
    figures(event, transfer.image.as_ref());
    event.form = Some(receipt.form.name().to_owned());
}

/// Adds why it was not delivered. What was never coded was refused; what was, failed.
pub fn rejected(event: &mut Event, transfer: &Transfer, why: &str) {
    event.outcome = match why {
        reason::CANCELLED => Outcome::Cancelled,
        reason::TRANSFER_CONFLICT => Outcome::Conflict,
        _ if transfer.image.is_none() => Outcome::Refused,
        _ => Outcome::Failed,
    };
    event.reason = Some(why.to_owned());
    figures(event, transfer.image.as_ref());
}

fn figures(event: &mut Event, image: Option<&ImageSummary>) {
    let Some(image) = image else { return };
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    event.form = text(&image.mode().as_str_name().trim_start_matches("MODE_").to_lowercase());
    event.model = text(&image.model);
    event.coded_bytes = Some(image.coded_bytes);
    event.sealed_bytes = Some(image.sealed_bytes).filter(|bytes| *bytes > 0);
}

fn verdict(verdict: Verdict) -> Option<&'static str> {
    match verdict {
        Verdict::Undecoded => None,
        Verdict::Exact => Some("exact"),
        Verdict::Equal => Some("equal"),
        Verdict::Differs => Some("differs"),
        Verdict::Unmeasured => Some("unmeasured"),
    }
}

/// Whose image it is, on a blocking thread; nothing where it is no DICOM object and belongs to no study.
pub async fn identifiers(accepted: &Accepted, source: Bytes) -> Identifiers {
    // A file that makes the parser panic is recorded without them.
    let found = tokio::task::spawn_blocking(move || identity(&source, &Limits::default())).await;
    let mut whose = Identifiers::default();
    if let Ok(Some(identity)) = found {
        whose.patient_id = identity.patient_id;
        whose.patient_name = identity.patient_name;
        whose.accession_number = identity.accession_number;
        whose.study_instance_uid = identity.study_instance_uid;
        whose.series_instance_uid = identity.series_instance_uid;
        whose.sop_class_uid = identity.sop_class_uid;
        whose.sop_instance_uid = identity.sop_instance_uid;
    }
    let study_group = &accepted.study_group;
    whose.study_group = (!study_group.is_empty()).then(|| study_group.clone());
    whose
}
