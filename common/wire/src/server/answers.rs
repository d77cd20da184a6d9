//! The receiver's sealed answers: OpenAck, NeedExact and Receipt.

use latentwire_proto::v1::session_response::Step;
use latentwire_proto::v1::{
    NeedExact, NeedExactBody, OpenAck, OpenAckBody, OpenVerdict, Receipt, ReceiptBody, ReceiptStatus,
    SessionResponse, StepTimings, TransferError,
};
use latentwire_proto::{Bytes, code_name};
use latentwire_sealing::{ControlKind, ControlSealer, Form};
use prost::Message as _;

use crate::messages::{mode_of, response, verdict_to_proto};
use crate::sink::{Known, Verdict};
use crate::{ImageId, Reason, TransferId, WireError};

/// What an Open is answered with.
pub(super) enum Answer {
    Accepted,
    Conflict,
    /// The image, and the receipt's tag over its stored source digest.
    Done(Known, [u8; 32]),
    Refused(Reason),
}

pub(super) fn open_ack(
    sealer: &mut ControlSealer,
    slot: u32,
    answer: &Answer,
) -> Result<SessionResponse, WireError> {
    let mut body = OpenAckBody { slot, ..OpenAckBody::default() };
    match answer {
        Answer::Accepted => body.set_verdict(OpenVerdict::Accepted),
        Answer::Conflict => {
            body.set_verdict(OpenVerdict::Conflict);
            body.reason = Reason::TransferConflict.as_str().into();
        }
        Answer::Done(known, tag) => {
            body.set_verdict(OpenVerdict::Done);
            body.image_id = Bytes::copy_from_slice(&known.image_id);
            body.set_stored_form(mode_of(known.form));
            body.set_stored_verdict(verdict_to_proto(known.verdict));
            body.stored_tag = Bytes::copy_from_slice(tag);
        }
        Answer::Refused(reason) => {
            body.set_verdict(OpenVerdict::Refused);
            body.reason = reason.as_str().into();
        }
    }
    let noise = sealer.seal(ControlKind::OpenAck, &body.encode_to_vec())?.into();
    Ok(response(Step::OpenAck(OpenAck { noise })))
}

pub(super) fn need_exact(
    sealer: &mut ControlSealer,
    slot: u32,
    reason: &str,
) -> Result<SessionResponse, WireError> {
    let body = NeedExactBody { slot, reason: reason.into() };
    let noise = sealer.seal(ControlKind::NeedExact, &body.encode_to_vec())?.into();
    Ok(response(Step::NeedExact(NeedExact { noise })))
}

/// What a good receipt states.
pub(super) struct Stored {
    pub(super) image_id: ImageId,
    pub(super) form: Form,
    pub(super) verdict: Verdict,
    pub(super) open_ms: f64,
    pub(super) decode_ms: f64,
    pub(super) tag: [u8; 32],
}

pub(super) fn stored_receipt(
    sealer: &mut ControlSealer,
    slot: u32,
    transfer_id: &TransferId,
    stored: &Stored,
) -> Result<SessionResponse, WireError> {
    let mut body = receipt_body(slot, transfer_id, ReceiptStatus::Stored);
    body.set_form(mode_of(stored.form));
    body.set_verdict(verdict_to_proto(stored.verdict));
    body.timings =
        Some(StepTimings { open_ms: stored.open_ms, decode_ms: stored.decode_ms, ..StepTimings::default() });
    body.tag = Bytes::copy_from_slice(&stored.tag);
    body.image_id = Bytes::copy_from_slice(&stored.image_id);
    seal_receipt(sealer, &body)
}

pub(super) fn failed_receipt(
    sealer: &mut ControlSealer,
    slot: u32,
    transfer_id: &TransferId,
    reason: Reason,
) -> Result<SessionResponse, WireError> {
    let mut body = receipt_body(slot, transfer_id, ReceiptStatus::Failed);
    body.error = Some(TransferError {
        code: code_name(reason.code()).into(),
        reason: reason.as_str().into(),
        message: reason.sentence().into(),
    });
    seal_receipt(sealer, &body)
}

fn receipt_body(slot: u32, transfer_id: &TransferId, status: ReceiptStatus) -> ReceiptBody {
    let mut body =
        ReceiptBody { slot, transfer_id: Bytes::copy_from_slice(transfer_id), ..ReceiptBody::default() };
    body.set_status(status);
    body
}

fn seal_receipt(sealer: &mut ControlSealer, body: &ReceiptBody) -> Result<SessionResponse, WireError> {
    let noise = sealer.seal(ControlKind::Receipt, &body.encode_to_vec())?.into();
    Ok(response(Step::Receipt(Receipt { noise })))
}
