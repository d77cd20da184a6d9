//! What both ends share: protobuf messages and this crate's types, slots, waits.

use std::future::Future;
use std::time::Duration;

use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use latentwire_proto::v1::session_request::Step as RequestStep;
use latentwire_proto::v1::session_response::Step as ResponseStep;
use latentwire_proto::v1::{Mode, ReconstructionVerdict, SessionRequest, SessionResponse};
use latentwire_sealing::Form;
use tokio::time::timeout;

use crate::sink::Verdict;
use crate::{MAX_SLOTS, WireError};

/// Bytes that a sender may have sent after an Open that is not accepted: early segments with their overhead, and Meta.
pub(crate) const DISCARD_BYTES: u64 = crate::EARLY_BYTES + 128 * 1024;

/// The system's generator; a system without one cannot run this protocol at all.
pub(crate) fn system_rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

pub(crate) fn request(step: RequestStep) -> SessionRequest {
    SessionRequest { step: Some(step) }
}

pub(crate) fn response(step: ResponseStep) -> SessionResponse {
    SessionResponse { step: Some(step) }
}

pub(crate) fn mode_of(form: Form) -> Mode {
    match form {
        Form::Latent => Mode::Latent,
        Form::Exact => Mode::Exact,
        Form::Bounded => Mode::Bounded,
    }
}

pub(crate) fn form_of(mode: Mode) -> Option<Form> {
    match mode {
        Mode::Unspecified => None,
        Mode::Latent => Some(Form::Latent),
        Mode::Exact => Some(Form::Exact),
        Mode::Bounded => Some(Form::Bounded),
    }
}

pub(crate) fn verdict_to_proto(verdict: Verdict) -> ReconstructionVerdict {
    match verdict {
        Verdict::Undecoded => ReconstructionVerdict::Unspecified,
        Verdict::Exact => ReconstructionVerdict::Exact,
        Verdict::Equal => ReconstructionVerdict::Equal,
        Verdict::Differs => ReconstructionVerdict::Differs,
        Verdict::Unmeasured => ReconstructionVerdict::Unmeasured,
    }
}

pub(crate) fn verdict_of(verdict: ReconstructionVerdict) -> Verdict {
    match verdict {
        ReconstructionVerdict::Unspecified => Verdict::Undecoded,
        ReconstructionVerdict::Exact => Verdict::Exact,
        ReconstructionVerdict::Equal => Verdict::Equal,
        ReconstructionVerdict::Differs => Verdict::Differs,
        ReconstructionVerdict::Unmeasured => Verdict::Unmeasured,
    }
}

/// The place of a slot among a session's four.
pub(crate) fn slot_index(slot: u32) -> Result<usize, WireError> {
    usize::try_from(slot)
        .ok()
        .filter(|&slot| slot < MAX_SLOTS)
        .ok_or(WireError::OutOfOrder { what: "a slot outside 0..=3" })
}

/// Waits no longer than a limit.
pub(crate) async fn within<T>(
    limit: Duration,
    waiting_for: &'static str,
    future: impl Future<Output = T>,
) -> Result<T, WireError> {
    timeout(limit, future).await.map_err(|_| WireError::Deadline { waiting_for, after: limit })
}

/// Milliseconds of a duration, for timings.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
