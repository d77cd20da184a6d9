//! What is kept beside a stored image, sealed in the catalogue.

use latentwire_codec as codec;
use latentwire_codec::imaging::Identity;
use latentwire_proto::{Bytes, v1};
use latentwire_service::sealing::{Form, InnerLayer, PaddingPolicy};
use latentwire_wire::{Known, Received, Verdict};
use prost::Message;
use sha2::{Digest, Sha256};

/// What must be remembered of a transfer even when its image is deleted: that it is done, and with which content.
#[derive(Clone, PartialEq, Message)]
pub struct Summary {
    /// SHA-256 of the source file.
    #[prost(bytes = "vec", tag = "1")]
    pub source_sha256: Vec<u8>,
    /// 1 latent, 2 exact.
    #[prost(uint32, tag = "2")]
    pub form: u32,
    /// What decoding found, as `v1::ReconstructionVerdict`.
    #[prost(enumeration = "v1::ReconstructionVerdict", tag = "3")]
    pub verdict: i32,
}

/// Everything else that is known about a stored image.
#[derive(Clone, PartialEq, Message)]
pub struct Attributes {
    /// As ImageService shows it.
    #[prost(message, optional, tag = "1")]
    pub image: Option<v1::Image>,
    /// What the sender stated about the reconstruction.
    #[prost(message, optional, tag = "2")]
    pub certificate: Option<v1::Certificate>,
    /// SHA-256 of the reconstruction as it was decoded here before the receipt; empty in exact form.
    #[prost(bytes = "bytes", tag = "3")]
    pub reconstruction_sha256: Bytes,
    /// ONNX Runtime that decoded it here.
    #[prost(string, tag = "4")]
    pub runtime_version: String,
    /// SOP Instance UID that a lossy DICOM gets; empty otherwise.
    #[prost(string, tag = "5")]
    pub derived_sop_instance_uid: String,
    /// Whose it is, for the audit log when it is deleted; absent where it is no DICOM object, and before version 0.2.
    #[prost(message, optional, tag = "6")]
    pub identity: Option<StoredIdentity>,
}

/// Patient and study of a DICOM object.
#[derive(Clone, PartialEq, Message)]
pub struct StoredIdentity {
    /// Patient ID.
    #[prost(string, optional, tag = "1")]
    pub patient_id: Option<String>,
    /// Patient's Name.
    #[prost(string, optional, tag = "2")]
    pub patient_name: Option<String>,
    /// Accession Number.
    #[prost(string, optional, tag = "3")]
    pub accession_number: Option<String>,
    /// Study Instance UID.
    #[prost(string, optional, tag = "4")]
    pub study_instance_uid: Option<String>,
    /// Series Instance UID.
    #[prost(string, optional, tag = "5")]
    pub series_instance_uid: Option<String>,
    /// SOP Class UID.
    #[prost(string, optional, tag = "6")]
    pub sop_class_uid: Option<String>,
    /// SOP Instance UID.
    #[prost(string, optional, tag = "7")]
    pub sop_instance_uid: Option<String>,
}

impl From<Identity> for StoredIdentity {
    fn from(identity: Identity) -> Self {
        let Identity {
            patient_id,
            patient_name,
            accession_number,
            study_instance_uid,
            series_instance_uid,
            sop_class_uid,
            sop_instance_uid,
        } = identity;
        Self {
            patient_id,
            patient_name,
            accession_number,
            study_instance_uid,
            series_instance_uid,
            sop_class_uid,
            sop_instance_uid,
        }
    }
}

impl From<StoredIdentity> for Identity {
    fn from(stored: StoredIdentity) -> Self {
        Self {
            patient_id: stored.patient_id,
            patient_name: stored.patient_name,
            accession_number: stored.accession_number,
            study_instance_uid: stored.study_instance_uid,
            series_instance_uid: stored.series_instance_uid,
            sop_class_uid: stored.sop_class_uid,
            sop_instance_uid: stored.sop_instance_uid,
        }
    }
}

impl Summary {
    /// Of a transfer that arrived, and what decoding found.
    pub fn new(received: &Received, verdict: Verdict) -> Self {
        Self {
            source_sha256: received.meta.source_sha256.to_vec(),
            form: form_code(received.announced.form),
            verdict: verdict_to_proto(verdict).into(),
        }
    }

    /// As the session wants it; `None` if the record is not one.
    pub fn known(&self, image_id: [u8; 16]) -> Option<Known> {
        Some(Known {
            image_id,
            source_sha256: self.source_sha256.as_slice().try_into().ok()?,
            form: match self.form {
                1 => Form::Latent,
                2 => Form::Exact,
                _ => return None,
            },
            verdict: verdict_from_proto(self.verdict()),
        })
    }
}

fn form_code(form: Form) -> u32 {
    match form {
        Form::Latent => 1,
        Form::Exact => 2,
        Form::Bounded => 3,
    }
}

fn verdict_to_proto(verdict: Verdict) -> v1::ReconstructionVerdict {
    match verdict {
        Verdict::Undecoded => v1::ReconstructionVerdict::Unspecified,
        Verdict::Exact => v1::ReconstructionVerdict::Exact,
        Verdict::Equal => v1::ReconstructionVerdict::Equal,
        Verdict::Differs => v1::ReconstructionVerdict::Differs,
        Verdict::Unmeasured => v1::ReconstructionVerdict::Unmeasured,
    }
}

fn verdict_from_proto(verdict: v1::ReconstructionVerdict) -> Verdict {
    match verdict {
        v1::ReconstructionVerdict::Unspecified => Verdict::Undecoded,
        v1::ReconstructionVerdict::Exact => Verdict::Exact,
        v1::ReconstructionVerdict::Equal => Verdict::Equal,
        v1::ReconstructionVerdict::Differs => Verdict::Differs,
        v1::ReconstructionVerdict::Unmeasured => Verdict::Unmeasured,
    }
}

/// The word that `Image.verdict` shows.
pub fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Undecoded => "undecoded",
        Verdict::Exact => "exact",
        Verdict::Equal => "equal",
        Verdict::Differs => "differs",
        Verdict::Unmeasured => "unmeasured",
    }
}

/// The sender's summary, with what this end knows better put in: form, lengths, shape, and its own times.
pub fn image_summary(received: &Received, restored: &codec::Restored, decode_ms: f64) -> v1::ImageSummary {
    let mut summary = received.meta.image.clone().unwrap_or_default();
    summary.mode = latentwire_service::convert::mode_to_proto(restored.mode).into();
    summary.model = restored.model.clone().unwrap_or_default();
    summary.coded_bytes = received.coded.len() as u64;
    summary.sealed_bytes = received.sealed_bytes;
    summary.set_inner_layer(match received.announced.inner_layer {
        InnerLayer::None => v1::InnerLayer::None,
        InnerLayer::Chaos4 => v1::InnerLayer::Chaos4,
    });
    summary.set_segmentation(match received.announced.padding {
        PaddingPolicy::Rows => v1::Segmentation::Row,
        PaddingPolicy::Padme | PaddingPolicy::Fixed | PaddingPolicy::None => v1::Segmentation::Fixed,
    });
    if let Some(pixels) = &restored.pixels {
        summary.width = pixels.width;
        summary.height = pixels.height;
        summary.frames = pixels.frames;
        summary.channels = pixels.channels.into();
        summary.bits = pixels.bits.into();
        summary.raw_bytes = pixels.raw_bytes();
    }
    summary.mark = mark(summary.mark(), restored).into();
    if restored.mode == codec::Mode::Exact {
        summary.original_bytes = restored.file.len() as u64;
    }
    let timings = summary.timings.get_or_insert_default();
    timings.open_ms = received.open_ms;
    timings.decode_ms = decode_ms;
    summary
}

/// What the image is marked with: what the model here is for, which no sender can keep silent; else that the sender found
/// it below a floor, which only the sender knows.
fn mark(stated: v1::Mark, restored: &codec::Restored) -> v1::Mark {
    let own = latentwire_service::convert::mark_to_proto(restored.mark);
    match (restored.mode, own, stated) {
        (codec::Mode::Latent | codec::Mode::Bounded, v1::Mark::Unspecified, v1::Mark::BelowFloor) => stated,
        (codec::Mode::Latent | codec::Mode::Bounded, own, _) => own,
        (codec::Mode::Exact, _, _) => v1::Mark::Unspecified,
    }
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restored(mode: codec::Mode, mark: Option<codec::Mark>) -> codec::Restored {
        codec::Restored {
            file: Vec::new(),
            format: None,
            mode,
            model: None,
            mark,
            pixels: None,
            reconstruction_sha256: None,
            timings: codec::RestoreTimings::default(),
        }
    }

    #[test]
    fn no_sender_keeps_the_models_mark_silent_and_none_makes_one_up() {
        use codec::Mode::{Exact, Latent};
        use v1::Mark;
        for (mode, own, stated, expected) in [
            (Latent, Some(codec::Mark::Denoised), Mark::Unspecified, Mark::Denoised),
            (Latent, Some(codec::Mark::Research), Mark::BelowFloor, Mark::Research),
            (Latent, None, Mark::BelowFloor, Mark::BelowFloor),
            (Latent, None, Mark::Denoised, Mark::Unspecified),
            (Latent, None, Mark::Unspecified, Mark::Unspecified),
            (Exact, None, Mark::BelowFloor, Mark::Unspecified),
        ] {
            assert_eq!(mark(stated, &restored(mode, own)), expected, "{mode} {own:?} {stated:?}");
        }
    }
}
