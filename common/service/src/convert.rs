//! Messages of `latentwire.v1` to the codec's types and back.

use latentwire_codec as codec;
use latentwire_codec::model::{DecoderDigest, Modality, Purpose};
use latentwire_proto::{Bytes, v1};

use crate::status::RequestError;

/// Quantiser steps that a request may ask for, in per cent of the model's own.
pub const QUANTISER_STEP_PERCENT: std::ops::RangeInclusive<u32> = 25..=1600;

/// A request's policy, checked: the codec's part of it and the wire's.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestedPolicy {
    /// What the codec is asked for.
    pub codec: codec::Policy,
    /// How the sealed stream is padded; never `Unspecified`. In row mode it holds for an exact form alone.
    pub padding: v1::PaddingPolicy,
    /// Cipher below AES-256-GCM; never `Unspecified`.
    pub inner_layer: v1::InnerLayer,
}

/// Reads a request's policy; absent and unspecified fields take the defaults, a floor of 0 asks for none.
///
/// # Errors
/// [`RequestError::InvalidField`] for a value that is unknown or out of range, [`RequestError::InvalidPolicy`] for what
/// contradicts itself, [`RequestError::NotEnabled`] for what is reserved for later versions.
pub fn policy_from_proto(policy: Option<&v1::Policy>) -> Result<RequestedPolicy, RequestError> {
    let default = v1::Policy::default();
    let policy = policy.unwrap_or(&default);
    let mode = match read("policy.mode", policy.mode)? {
        v1::Mode::Unspecified | v1::Mode::Latent => codec::Mode::Latent,
        v1::Mode::Exact => codec::Mode::Exact,
        v1::Mode::Bounded => return Err(RequestError::NotEnabled { what: "mode BOUNDED" }),
    };
    let below_floor = match read("policy.below_floor", policy.below_floor)? {
        v1::BelowFloor::Unspecified | v1::BelowFloor::Exact => codec::BelowFloor::Exact,
        v1::BelowFloor::Reject => codec::BelowFloor::Reject,
        v1::BelowFloor::SendMarked => codec::BelowFloor::SendMarked,
    };
    let padding = match read("policy.padding", policy.padding)? {
        v1::PaddingPolicy::Unspecified => v1::PaddingPolicy::Padme,
        given @ (v1::PaddingPolicy::Padme | v1::PaddingPolicy::Fixed | v1::PaddingPolicy::None) => given,
    };
    let inner_layer = match read("policy.inner_layer", policy.inner_layer)? {
        v1::InnerLayer::Unspecified | v1::InnerLayer::None => v1::InnerLayer::None,
        v1::InnerLayer::Chaos4 => v1::InnerLayer::Chaos4,
    };
    let latent_coding = match read("policy.segmentation", policy.segmentation)? {
        v1::Segmentation::Unspecified | v1::Segmentation::Fixed => codec::LatentCoding::Entropy,
        v1::Segmentation::Row => {
            check_rows(policy)?;
            codec::LatentCoding::RawRows
        }
    };
    let quantiser_step_percent = match policy.quantiser_step_percent {
        0 => None,
        percent if QUANTISER_STEP_PERCENT.contains(&percent) => Some(percent),
        _ => {
            return Err(invalid(
                "policy.quantiser_step_percent",
                "must be 25 to 1600, or 0 for the model's own choice",
            ));
        }
    };
    if policy.model.len() > 64 {
        return Err(invalid("policy.model", "must have at most 64 characters"));
    }
    let codec = codec::Policy {
        mode,
        floors: floors_from_proto(policy.floors.as_ref())?,
        below_floor,
        model: (!policy.model.is_empty()).then(|| policy.model.clone()),
        modality: modality_from_proto(read("policy.modality", policy.modality)?),
        quantiser_step_percent,
        latent_coding,
    };
    Ok(RequestedPolicy { codec, padding, inner_layer })
}

/// Rows are those of a raw latent, as the net gave it, and nothing lies around them: what a request asks for beside them
/// must not be left undone in silence.
fn check_rows(policy: &v1::Policy) -> Result<(), RequestError> {
    let contradiction = if policy.inner_layer() == v1::InnerLayer::Chaos4 {
        "inner_layer CHAOS4: ask for one of the two"
    } else if policy.mode() == v1::Mode::Exact {
        "mode EXACT: the file has no rows"
    } else if !matches!(policy.quantiser_step_percent, 0 | 100) {
        "quantiser_step_percent: rows are not quantised"
    } else if matches!(policy.padding(), v1::PaddingPolicy::Padme | v1::PaddingPolicy::Fixed) {
        "padding: rows are not padded"
    } else {
        return Ok(());
    };
    let what = format!("policy.segmentation ROW does not go with policy.{contradiction}");
    Err(RequestError::InvalidPolicy { what })
}

fn floors_from_proto(floors: Option<&v1::Floors>) -> Result<codec::Floors, RequestError> {
    let default = codec::Floors::default();
    let Some(floors) = floors else { return Ok(default) };
    Ok(codec::Floors {
        min_ssim: floor("policy.floors.min_ssim", floors.min_ssim, 1.0, default.min_ssim)?,
        min_local_ssim: floor(
            "policy.floors.min_local_ssim",
            floors.min_local_ssim,
            1.0,
            default.min_local_ssim,
        )?,
        min_psnr_db: floor("policy.floors.min_psnr_db", floors.min_psnr_db, 200.0, default.min_psnr_db)?,
        max_abs_error: floors.max_abs_error.or(default.max_abs_error),
    })
}

fn floor(
    field: &'static str,
    asked: Option<f64>,
    most: f64,
    default: Option<f64>,
) -> Result<Option<f64>, RequestError> {
    match asked {
        None => Ok(default),
        Some(value) if (0.0..=most).contains(&value) => Ok((value > 0.0).then_some(value)),
        Some(_) => Err(invalid(field, &format!("must be 0 to {most}"))),
    }
}

fn read<E: TryFrom<i32>>(field: &'static str, value: i32) -> Result<E, RequestError> {
    E::try_from(value).map_err(|_| invalid(field, "is not a value of this enumeration"))
}

fn invalid(field: &'static str, what: &str) -> RequestError {
    RequestError::InvalidField { field, what: what.to_owned() }
}

/// Reads an id of 16 bytes.
///
/// # Errors
/// [`RequestError::InvalidField`] for another length.
pub fn id_from_bytes(field: &'static str, bytes: &[u8]) -> Result<[u8; 16], RequestError> {
    bytes.try_into().map_err(|_| invalid(field, "must have 16 bytes"))
}

/// The modality that a message names; `None` where it is unspecified.
pub fn modality_from_proto(modality: v1::Modality) -> Option<Modality> {
    match modality {
        v1::Modality::Unspecified => None,
        v1::Modality::Fundus => Some(Modality::Fundus),
        v1::Modality::Chest => Some(Modality::Chest),
        v1::Modality::Brain => Some(Modality::Brain),
        v1::Modality::Other => Some(Modality::Other),
    }
}

/// The modality as messages name it.
pub fn modality_to_proto(modality: Modality) -> v1::Modality {
    match modality {
        Modality::Fundus => v1::Modality::Fundus,
        Modality::Chest => v1::Modality::Chest,
        Modality::Brain => v1::Modality::Brain,
        Modality::Other => v1::Modality::Other,
    }
}

/// The mode as messages name it.
pub fn mode_to_proto(mode: codec::Mode) -> v1::Mode {
    match mode {
        codec::Mode::Latent => v1::Mode::Latent,
        codec::Mode::Exact => v1::Mode::Exact,
        codec::Mode::Bounded => v1::Mode::Bounded,
    }
}

/// The name of a mode in JSON and tables: `latent`, `exact`, `bounded`; empty for none.
pub fn mode_name(mode: v1::Mode) -> &'static str {
    match mode {
        v1::Mode::Unspecified => "",
        v1::Mode::Latent => "latent",
        v1::Mode::Exact => "exact",
        v1::Mode::Bounded => "bounded",
    }
}

/// The name of a modality in JSON and tables; empty for none.
pub fn modality_name(modality: v1::Modality) -> &'static str {
    modality_from_proto(modality).map_or("", Modality::name)
}

/// Fidelity figures as a message.
pub fn fidelity_to_proto(fidelity: &codec::imaging::Fidelity) -> v1::Fidelity {
    v1::Fidelity {
        ssim: fidelity.ssim,
        min_local_ssim: fidelity.min_local_ssim,
        psnr_db: fidelity.psnr_db,
        max_abs_error: fidelity.max_abs_error,
        mse: fidelity.mse,
    }
}

/// What the codec reports of a prepared image as a message; `sealed_bytes` is 0 until it has travelled.
pub fn summary_from_report(report: &codec::Report) -> v1::ImageSummary {
    v1::ImageSummary {
        mode: mode_to_proto(report.mode).into(),
        model: report.model.clone().unwrap_or_default(),
        modality: modality_to_proto(report.modality).into(),
        width: report.width,
        height: report.height,
        frames: report.frames,
        channels: report.channels.into(),
        bits: report.bits.into(),
        original_bytes: report.original_bytes,
        raw_bytes: report.raw_bytes,
        coded_bytes: report.coded_bytes,
        sealed_bytes: 0,
        fidelity: report.fidelity.as_ref().map(fidelity_to_proto),
        measured: report.measured,
        below_floor: report.below_floor,
        mark: mark_to_proto(report.mark).into(),
        exact_reason: report.exact_reason.clone().unwrap_or_default(),
        timings: Some(v1::StepTimings {
            // Measuring decodes what was coded, so its decode belongs to the sender's own preparation.
            prepare_ms: report.timings.prepare_ms + report.timings.decode_ms + report.timings.measure_ms,
            encode_ms: report.timings.encode_ms,
            code_ms: report.timings.code_ms,
            ..v1::StepTimings::default()
        }),
        format: format_name(report.format).to_owned(),
        // How it travels is not the codec's to say.
        inner_layer: v1::InnerLayer::Unspecified.into(),
        segmentation: v1::Segmentation::Unspecified.into(),
        trials: report.trials,
        quantiser_step: report.quantiser_step.unwrap_or_default().into(),
    }
}

/// What a picture is marked with, as messages name it.
pub fn mark_to_proto(mark: Option<codec::Mark>) -> v1::Mark {
    match mark {
        None => v1::Mark::Unspecified,
        Some(codec::Mark::BelowFloor) => v1::Mark::BelowFloor,
        Some(codec::Mark::Denoised) => v1::Mark::Denoised,
        Some(codec::Mark::Research) => v1::Mark::Research,
    }
}

/// The name of a mark in JSON and tables; `None` where nothing speaks against the picture.
pub fn mark_name(mark: v1::Mark) -> Option<&'static str> {
    let mark = match mark {
        v1::Mark::Unspecified => return None,
        v1::Mark::BelowFloor => codec::Mark::BelowFloor,
        v1::Mark::Denoised => codec::Mark::Denoised,
        v1::Mark::Research => codec::Mark::Research,
    };
    Some(mark.name())
}

/// What a model is for, as messages name it.
pub fn purpose_to_proto(purpose: Purpose) -> v1::Purpose {
    match purpose {
        Purpose::Denoising => v1::Purpose::Denoising,
        Purpose::Product => v1::Purpose::Product,
        Purpose::Research => v1::Purpose::Research,
    }
}

/// The name of a purpose in JSON and tables; a service of an older version says none, and has models for products only.
pub fn purpose_name(purpose: v1::Purpose) -> &'static str {
    match purpose {
        v1::Purpose::Unspecified | v1::Purpose::Product => Purpose::Product.name(),
        v1::Purpose::Research => Purpose::Research.name(),
        v1::Purpose::Denoising => Purpose::Denoising.name(),
    }
}

/// The name of a file format in messages: `png`, `jpeg`, `tiff`, `dicom`, or `unknown`.
pub fn format_name(format: Option<codec::imaging::Format>) -> &'static str {
    format.map_or("unknown", codec::imaging::Format::name)
}

/// A certificate as a message.
pub fn certificate_to_proto(certificate: &codec::Certificate) -> v1::Certificate {
    v1::Certificate {
        decoder_digest: Bytes::copy_from_slice(&certificate.decoder_digest.0),
        reconstruction_sha256: Bytes::copy_from_slice(&certificate.reconstruction_sha256),
        runtime_version: certificate.runtime_version.clone(),
        certified: certificate.certified,
    }
}

/// Reads a certificate.
///
/// # Errors
/// [`RequestError::InvalidField`] where a digest has not 32 bytes.
pub fn certificate_from_proto(certificate: &v1::Certificate) -> Result<codec::Certificate, RequestError> {
    let digest = |field, bytes: &[u8]| bytes.try_into().map_err(|_| invalid(field, "must have 32 bytes"));
    Ok(codec::Certificate {
        decoder_digest: DecoderDigest(digest("certificate.decoder_digest", &certificate.decoder_digest)?),
        reconstruction_sha256: digest(
            "certificate.reconstruction_sha256",
            &certificate.reconstruction_sha256,
        )?,
        runtime_version: certificate.runtime_version.clone(),
        certified: certificate.certified,
    })
}

/// A loaded model as a message.
pub fn model_to_proto(model: &codec::ModelInfo) -> v1::Model {
    v1::Model {
        id: model.id.clone(),
        modality: modality_to_proto(model.modality).into(),
        family: model.family.clone(),
        decoder_digest: Bytes::copy_from_slice(&model.digest.0),
        encoder: model.encoder,
        decoder: model.decoder,
        certified: model.certified,
        purpose: purpose_to_proto(model.purpose).into(),
        differs_here: model.check == codec::SelfCheck::Differs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_policy_is_the_default_one() {
        let default = RequestedPolicy {
            codec: codec::Policy::default(),
            padding: v1::PaddingPolicy::Padme,
            inner_layer: v1::InnerLayer::None,
        };
        assert_eq!(policy_from_proto(None).expect("valid"), default);
        assert_eq!(policy_from_proto(Some(&v1::Policy::default())).expect("valid"), default);
        let floors = Some(v1::Floors::default());
        let policy = v1::Policy { floors, ..v1::Policy::default() };
        assert_eq!(policy_from_proto(Some(&policy)).expect("valid"), default);
    }

    #[test]
    fn every_field_arrives() {
        let policy = v1::Policy {
            mode: v1::Mode::Exact.into(),
            floors: Some(v1::Floors {
                min_ssim: Some(0.0),
                min_local_ssim: Some(0.5),
                min_psnr_db: Some(40.0),
                max_abs_error: Some(3),
            }),
            below_floor: v1::BelowFloor::SendMarked.into(),
            model: "ae224-chest".to_owned(),
            modality: v1::Modality::Chest.into(),
            quantiser_step_percent: 200,
            padding: v1::PaddingPolicy::None.into(),
            inner_layer: v1::InnerLayer::Chaos4.into(),
            ..v1::Policy::default()
        };
        let read = policy_from_proto(Some(&policy)).expect("valid");
        assert_eq!((read.padding, read.inner_layer), (v1::PaddingPolicy::None, v1::InnerLayer::Chaos4));
        assert_eq!(
            read.codec,
            codec::Policy {
                mode: codec::Mode::Exact,
                floors: codec::Floors {
                    min_ssim: None,
                    min_local_ssim: Some(0.5),
                    min_psnr_db: Some(40.0),
                    max_abs_error: Some(3)
                },
                below_floor: codec::BelowFloor::SendMarked,
                model: Some("ae224-chest".to_owned()),
                modality: Some(Modality::Chest),
                quantiser_step_percent: Some(200),
                latent_coding: codec::LatentCoding::Entropy,
            }
        );
    }

    #[test]
    fn marks_and_purposes_keep_their_names() {
        for mark in [codec::Mark::BelowFloor, codec::Mark::Denoised, codec::Mark::Research] {
            assert_eq!(mark_name(mark_to_proto(Some(mark))), Some(mark.name()));
        }
        assert_eq!(mark_name(mark_to_proto(None)), None);
        for purpose in Purpose::ALL {
            assert_eq!(purpose_name(purpose_to_proto(purpose)), purpose.name());
        }
        assert_eq!(purpose_name(v1::Purpose::Unspecified), "product");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let floors = |floors| v1::Policy { floors: Some(floors), ..v1::Policy::default() };
        let cases = [
            ("policy.mode", v1::Policy { mode: 77, ..v1::Policy::default() }),
            (
                "policy.quantiser_step_percent",
                v1::Policy { quantiser_step_percent: 24, ..v1::Policy::default() },
            ),
            ("policy.model", v1::Policy { model: "m".repeat(65), ..v1::Policy::default() }),
            ("policy.floors.min_ssim", floors(v1::Floors { min_ssim: Some(1.1), ..v1::Floors::default() })),
            (
                "policy.floors.min_ssim",
                floors(v1::Floors { min_ssim: Some(f64::NAN), ..v1::Floors::default() }),
            ),
            (
                "policy.floors.min_psnr_db",
                floors(v1::Floors { min_psnr_db: Some(-1.0), ..v1::Floors::default() }),
            ),
        ];
        for (expected, policy) in cases {
            match policy_from_proto(Some(&policy)) {
                Err(RequestError::InvalidField { field, .. }) => assert_eq!(field, expected),
                other => panic!("{expected}: {other:?}"),
            }
        }
        let bounded = v1::Policy { mode: v1::Mode::Bounded.into(), ..v1::Policy::default() };
        assert!(matches!(policy_from_proto(Some(&bounded)), Err(RequestError::NotEnabled { .. })));
    }

    #[test]
    fn rows_are_those_of_a_raw_latent_and_nothing_lies_around_them() {
        let rows = || v1::Policy { segmentation: v1::Segmentation::Row.into(), ..v1::Policy::default() };
        for plain in [
            rows(),
            v1::Policy { mode: v1::Mode::Latent.into(), quantiser_step_percent: 100, ..rows() },
            v1::Policy { padding: v1::PaddingPolicy::None.into(), ..rows() },
            v1::Policy { inner_layer: v1::InnerLayer::None.into(), ..rows() },
        ] {
            let read = policy_from_proto(Some(&plain)).expect("valid");
            assert_eq!(read.codec.latent_coding, codec::LatentCoding::RawRows);
        }
        for (named, contradictory) in [
            ("inner_layer", v1::Policy { inner_layer: v1::InnerLayer::Chaos4.into(), ..rows() }),
            ("mode", v1::Policy { mode: v1::Mode::Exact.into(), ..rows() }),
            ("quantiser_step", v1::Policy { quantiser_step_percent: 200, ..rows() }),
            ("padding", v1::Policy { padding: v1::PaddingPolicy::Padme.into(), ..rows() }),
            ("padding", v1::Policy { padding: v1::PaddingPolicy::Fixed.into(), ..rows() }),
        ] {
            match policy_from_proto(Some(&contradictory)) {
                Err(RequestError::InvalidPolicy { what }) => assert!(what.contains(named), "{what}"),
                other => panic!("{named}: {other:?}"),
            }
        }
    }
}
