//! What happens to a transfer at the receiver: admitted, decoded once, compared, stored durably.

use std::time::SystemTime;

use latentwire_codec::imaging::{Identity, PixelTensor};
use latentwire_codec::{CodecError, Header, LatentCoding, Mode, Restored};
use latentwire_proto::{Bytes, v1};
use latentwire_service::audit::Audit;
use latentwire_service::convert::certificate_from_proto;
use latentwire_service::drain::Drain;
use latentwire_service::sealing::{Form, PaddingPolicy};
use latentwire_service::status::{Failure, RequestError, to_status};
use latentwire_storage::{NewImage, StorageError};
use latentwire_wire::{
    Announced, Ending, Known, Outcome, Peer, Reason, Received, SinkError, TransferId, TransferSink, Verdict,
};
use prost::Message;

use crate::archive::Archive;
use crate::audit;
use crate::decoder::{Decoded, Decoder};
use crate::quota::Reservation;
use crate::record::{Attributes, Summary, image_summary, sha256, verdict_name};

/// The latent does not decode here; its exact form will.
const DECODING_FAILED: &str = "DECODING_FAILED";
/// The decoder is certified bit-identical, and yet gave other pixels than the sender measured.
const RECONSTRUCTION_DIFFERS: &str = "RECONSTRUCTION_DIFFERS";

/// Where this receiver's transfers go.
pub struct Sink {
    archive: Archive,
    decoder: Decoder,
    drain: Drain,
    audit: Audit,
}

impl Sink {
    /// Into this archive, decoded by these models, until the drain begins; each end is written down.
    pub fn new(archive: Archive, decoder: Decoder, drain: Drain, audit: Audit) -> Self {
        Self { archive, decoder, drain, audit }
    }

    fn check_decoder(&self, peer: &Peer, announced: &Announced) -> Result<(), SinkError> {
        let codec =
            self.decoder.codec().ok_or_else(|| refuse(Reason::ModelNotReady, "models are loading"))?;
        match announced.form {
            Form::Exact => Ok(()),
            Form::Bounded => Err(refuse(Reason::InvalidTensor, "form BOUNDED is not enabled")),
            Form::Latent => {
                let models = codec.models();
                let model = models
                    .iter()
                    .find(|model| model.decoder && model.digest.0 == announced.decoder_digest)
                    .ok_or_else(|| refuse(Reason::ModelMismatch, "no decoder with this digest is loaded"))?;
                if peer.entry.allows_model(&model.id) {
                    Ok(())
                } else {
                    Err(refuse(Reason::PeerNotAllowed, "the peer may not use this model"))
                }
            }
        }
    }

    async fn store(
        &self,
        peer: &Peer,
        received: Received,
        decoded: &Decoded<Bytes>,
        verdict: Verdict,
    ) -> Result<Outcome, SinkError> {
        let restored = &decoded.restored;
        let decode_ms = restored.timings.decode_ms;
        let summary = Summary::new(&received, verdict);
        let new = self.record(peer, &received, decoded, verdict)?;
        let (image_id, transfer_id) = (new.image_id, new.transfer_id);
        let coded_bytes = received.coded.len() as u64;
        match self.archive.store(&peer.name, new, received.coded).await {
            Ok(stored) => {
                count("stored", restored.mode);
                metrics::counter!("latentwire_verdicts_total", "verdict" => verdict_name(verdict))
                    .increment(1);
                metrics::counter!("latentwire_coded_bytes_total").increment(coded_bytes);
                metrics::counter!("latentwire_sealed_bytes_total").increment(received.sealed_bytes);
                tracing::info!(
                    transfer_id = hex::encode(transfer_id),
                    image_id = hex::encode(image_id),
                    mode = restored.mode.name(),
                    verdict = verdict_name(verdict),
                    coded_bytes,
                    stored_bytes = stored.stored_bytes,
                    decode_ms,
                    "image stored"
                );
                Ok(Outcome::Stored { image_id, verdict, decode_ms })
            }
            // The same transfer came twice at once: the first one counts.
            Err(Failure::Storage(StorageError::Duplicate)) => {
                let known = self.archive.known(&peer.name, transfer_id).await.map_err(failed)?;
                let known = known.and_then(|known| {
                    let first = Summary::decode(known.summary.as_slice()).ok()?;
                    (first.source_sha256 == summary.source_sha256).then_some(known.image_id)
                });
                let image_id = known.ok_or_else(|| {
                    refuse(Reason::TransferConflict, "the transfer is stored with other content")
                })?;
                Ok(Outcome::Stored { image_id, verdict, decode_ms })
            }
            Err(failure) => Err(failed(failure)),
        }
    }

    fn record(
        &self,
        peer: &Peer,
        received: &Received,
        decoded: &Decoded<Bytes>,
        verdict: Verdict,
    ) -> Result<NewImage, SinkError> {
        let restored = &decoded.restored;
        let mut image_id = [0; 16];
        getrandom::fill(&mut image_id).map_err(|error| refuse(Reason::Internal, error.to_string()))?;
        let now = SystemTime::now();
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let summary = image_summary(received, restored, restored.timings.decode_ms);
        let image = v1::Image {
            image_id: Bytes::copy_from_slice(&image_id),
            transfer_id: Bytes::copy_from_slice(&received.announced.transfer_id),
            peer: peer.name.clone(),
            create_time: Some(now.into()),
            image: Some(summary),
            verdict: verdict_name(verdict).to_owned(),
            study_group: received.meta.study_group.clone(),
            sequence: received.meta.sequence,
            stored_bytes: 0,
        };
        let runtime_version = self.decoder.codec().map(|codec| codec.runtime_version().to_owned());
        let attributes = Attributes {
            image: Some(image),
            certificate: received.meta.certificate.clone(),
            reconstruction_sha256: restored
                .reconstruction_sha256
                .map(|digest| Bytes::copy_from_slice(&digest))
                .unwrap_or_default(),
            runtime_version: runtime_version.filter(|_| restored.mode == Mode::Latent).unwrap_or_default(),
            derived_sop_instance_uid: received.meta.derived_sop_instance_uid.clone(),
            identity: decoded.identity.clone().map(Into::into),
        };
        Ok(NewImage {
            image_id,
            transfer_id: received.announced.transfer_id,
            peer: peer.name.clone(),
            study_group: received.meta.study_group.clone(),
            created_ms: i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            summary: Summary::new(received, verdict).encode_to_vec(),
            attributes: attributes.encode_to_vec(),
        })
    }
}

impl TransferSink for Sink {
    type Admission = Reservation;

    async fn known(&self, peer: &Peer, transfer_id: &TransferId) -> Result<Option<Known>, SinkError> {
        let Some(known) = self.archive.known(&peer.name, *transfer_id).await.map_err(failed)? else {
            return Ok(None);
        };
        let summary = Summary::decode(known.summary.as_slice()).ok();
        let known = summary.and_then(|summary| summary.known(known.image_id));
        known.map(Some).ok_or_else(|| refuse(Reason::Internal, "the record of the transfer is damaged"))
    }

    async fn admit(&self, peer: &Peer, announced: &Announced) -> Result<Reservation, SinkError> {
        if self.drain.is_stopping() {
            return Err(refuse(Reason::PeerUnavailable, "stopping"));
        }
        self.audit.check().await.map_err(|error| failed(error.into()))?;
        if !peer.entry.allows_form(announced.form) {
            return Err(refuse(Reason::PeerNotAllowed, "the peer may not send this form"));
        }
        self.check_decoder(peer, announced)?;
        let free_bytes = self.archive.room(&peer.name).await.map_err(failed)?;
        let quota = self.archive.quota();
        let reserved = quota.reserve(&peer.name, peer.entry.max_bytes, announced.padded_bytes, free_bytes);
        reserved.map_err(|refusal| refuse(refusal.reason, refusal.detail))
    }

    async fn complete(
        &self,
        peer: &Peer,
        received: Received,
        admission: Reservation,
    ) -> Result<Outcome, SinkError> {
        let mut event = audit::transfer(peer, &received.announced);
        event.model =
            received.meta.image.as_ref().map(|image| image.model.clone()).filter(|id| !id.is_empty());
        event.coded_bytes = Some(received.coded.len() as u64);
        event.sealed_bytes = Some(received.sealed_bytes);
        let meta = &received.meta;
        let (study_group, derived) = (meta.study_group.clone(), meta.derived_sop_instance_uid.clone());
        let source = meta.source_sha256.clone();
        let mut identity = None;
        let outcome = self.finish(peer, received, admission, &mut identity).await;
        match &outcome {
            Ok(Outcome::Stored { image_id, verdict, .. }) => {
                event.outcome = audit::Outcome::Delivered;
                event.image_id = Some(hex::encode(image_id));
                event.verdict = Some(verdict_name(*verdict).to_owned());
            }
            Ok(Outcome::NeedExact { reason }) => {
                event.kind = audit::Kind::ExactRequested;
                event.outcome = audit::Outcome::Success;
                event.reason = Some((*reason).to_owned());
            }
            Err(error) => event.reason = Some(error.reason.as_str().to_owned()),
        }
        let whose = audit::identifiers(identity.as_ref(), &study_group, &derived, &source);
        // No receipt without a record. What is stored stays: the sender's next attempt finds it, and writes that down.
        self.audit.record(event, Some(whose)).await.map_err(|error| failed(error.into()))?;
        outcome
    }

    async fn ended(&self, peer: &Peer, announced: &Announced, ending: Ending) -> Result<(), SinkError> {
        let event = audit::ended(peer, announced, &ending);
        let recorded = match ending {
            Ending::Done(_) | Ending::Failed(_) => self.audit.record(event, None).await,
            Ending::Cancelled | Ending::Conflict | Ending::Refused(_) => {
                self.audit.record_refusal(event).await
            }
        };
        recorded.map_err(|error| failed(error.into()))
    }
}

impl Sink {
    /// Decodes, compares and stores; says whose image it is as soon as that is known.
    async fn finish(
        &self,
        peer: &Peer,
        received: Received,
        admission: Reservation,
        identity: &mut Option<Identity>,
    ) -> Result<Outcome, SinkError> {
        check_header(&received)?;
        let decoded = match self.decoder.restore(received.coded.clone()).await {
            Ok(decoded) => decoded,
            Err(failure) => return undecodable(received.announced.form, failure),
        };
        identity.clone_from(&decoded.identity);
        let restored = &decoded.restored;
        metrics::histogram!("latentwire_step_seconds", "step" => "decode")
            .record(restored.timings.decode_ms / 1000.0);
        metrics::histogram!("latentwire_step_seconds", "step" => "open").record(received.open_ms / 1000.0);
        let verdict = match judge(&received, restored)? {
            Judgement::Verdict(verdict) => verdict,
            Judgement::NeedExact => {
                count("need_exact", restored.mode);
                return Ok(Outcome::NeedExact { reason: RECONSTRUCTION_DIFFERS });
            }
        };
        let outcome = self.store(peer, received, &decoded, verdict).await;
        // Until here the room stays promised; from here on the image itself is counted.
        drop(admission);
        outcome
    }
}

/// The coded image must be what its Open said, before anything of it is decoded.
fn check_header(received: &Received) -> Result<(), SinkError> {
    let header =
        Header::parse(&received.coded).map_err(|error| refuse(Reason::InvalidTensor, error.to_string()))?;
    let (form, digest) = announced_by(&header);
    if form != received.announced.form || digest != received.announced.decoder_digest {
        return Err(refuse(Reason::InvalidTensor, "the coded image is not of the form or decoder announced"));
    }
    if is_raw_rows(&header) != (received.announced.padding == PaddingPolicy::Rows) {
        return Err(refuse(Reason::InvalidTensor, "a raw latent comes as rows, and nothing else does"));
    }
    Ok(())
}

fn announced_by(header: &Header) -> (Form, [u8; 32]) {
    match header {
        Header::Latent(latent) => (Form::Latent, latent.decoder_digest.0),
        Header::Exact(_) => (Form::Exact, [0; 32]),
    }
}

fn is_raw_rows(header: &Header) -> bool {
    match header {
        Header::Latent(latent) => latent.coding == LatentCoding::RawRows,
        Header::Exact(_) => false,
    }
}

enum Judgement {
    Verdict(Verdict),
    NeedExact,
}

/// Compares what was decoded with what the sender stated.
fn judge(received: &Received, restored: &Restored) -> Result<Judgement, SinkError> {
    if restored.mode == Mode::Exact {
        return if sha256(&restored.file)[..] == received.meta.source_sha256[..] {
            Ok(Judgement::Verdict(Verdict::Exact))
        } else {
            Err(refuse(Reason::InvalidTensor, "the exact form is not the source file that it claims to be"))
        };
    }
    let Some(certificate) = &received.meta.certificate else {
        return Ok(Judgement::Verdict(Verdict::Unmeasured));
    };
    let certificate = certificate_from_proto(certificate)
        .map_err(|error| refuse(Reason::InvalidTensor, error.to_string()))?;
    let found = restored.reconstruction_sha256.or_else(|| restored.pixels.as_ref().map(PixelTensor::sha256));
    if found == Some(certificate.reconstruction_sha256) {
        Ok(Judgement::Verdict(Verdict::Equal))
    } else if certificate.certified {
        Ok(Judgement::NeedExact)
    } else {
        Ok(Judgement::Verdict(Verdict::Differs))
    }
}

/// A latent that does not decode here is asked for in exact form; an exact form that does not is refused.
fn undecodable(form: Form, failure: Failure) -> Result<Outcome, SinkError> {
    match (&failure, form) {
        (Failure::Codec(CodecError::ModelMissing { .. }), _) => {
            Err(refuse(Reason::ModelMismatch, failure.to_string()))
        }
        (Failure::Codec(error), Form::Latent | Form::Bounded) => {
            tracing::warn!(%error, "a latent does not decode; asking for its exact form");
            count("need_exact", Mode::Latent);
            Ok(Outcome::NeedExact { reason: DECODING_FAILED })
        }
        (Failure::Codec(error), Form::Exact) => Err(refuse(Reason::InvalidTensor, error.to_string())),
        (Failure::Request(_) | Failure::Storage(_) | Failure::Wire(_), _) => Err(failed(failure)),
    }
}

fn count(outcome: &'static str, mode: Mode) {
    metrics::counter!("latentwire_transfers_total", "outcome" => outcome, "mode" => mode.name()).increment(1);
}

fn refuse(reason: Reason, detail: impl Into<String>) -> SinkError {
    metrics::counter!("latentwire_transfers_refused_total", "reason" => reason.as_str()).increment(1);
    SinkError::new(reason, detail)
}

/// A failure of ours, as the session can tell it.
fn failed(failure: Failure) -> SinkError {
    let reason = match &failure {
        Failure::Request(RequestError::AuditUnavailable) => Reason::AuditUnavailable,
        Failure::Request(RequestError::NotReady) => Reason::ModelNotReady,
        Failure::Storage(StorageError::NoSpace) => Reason::StorageFull,
        Failure::Codec(_) | Failure::Request(_) | Failure::Storage(_) | Failure::Wire(_) => Reason::Internal,
    };
    // Logs the cause of an internal failure under a request id.
    let status = to_status(&failure);
    refuse(reason, status.message())
}
