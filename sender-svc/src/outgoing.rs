//! From a coded image to what its session takes, and from the receipt back to the figures.

use std::sync::{Arc, Mutex, PoisonError};

use latentwire_codec::{Codec, Header, Mode, Prepared, RowLayout};
use latentwire_proto::{
    Bytes,
    v1::{self, Certificate, ImageSummary, MetaRecord, StepTimings},
};
use latentwire_service::convert;
use latentwire_service::sealing::{Form, InnerLayer, MAX_SEGMENT_BYTES, PaddingPolicy};
use latentwire_service::status::{Failure, RequestError};
use latentwire_wire::{Delivered, MAX_HEAD_BYTES, Outgoing, Segmentation};

use crate::intake::Accepted;

/// Why an image is exact that the receiver had in exact form already.
pub const ALREADY_EXACT: &str = "the receiver holds the exact form of this transfer already";

/// Why an image is exact whose reconstruction the receiver could not confirm.
const NOT_CONFIRMED: &str = "the receiver's reconstruction differs from the certified one";

/// A coded image without its pixels.
#[derive(Clone, Debug)]
pub struct CodedImage {
    /// Form in which it travels.
    pub mode: Mode,
    /// What is known of it.
    pub summary: ImageSummary,
    coded: Bytes,
    source_sha256: [u8; 32],
    decoder_digest: [u8; 32],
    segmentation: Segmentation,
    certificate: Option<Certificate>,
    derived_sop_instance_uid: String,
}

impl CodedImage {
    /// Keeps what travels, below this inner layer; drops the pixels.
    ///
    /// # Errors
    /// What was coded is no coded image, which is a fault of ours; or it was asked for in rows, which do not fit.
    pub fn new(prepared: Prepared, inner_layer: v1::InnerLayer) -> Result<Self, Failure> {
        let header = Header::parse(&prepared.coded)?;
        let mut summary = convert::summary_from_report(&prepared.report);
        summary.set_inner_layer(inner_layer);
        summary.set_segmentation(match prepared.rows {
            Some(_) => v1::Segmentation::Row,
            None => v1::Segmentation::Fixed,
        });
        Ok(Self {
            mode: prepared.report.mode,
            summary,
            segmentation: prepared.rows.map_or(Ok(Segmentation::Fixed), rows)?,
            // Zero for the exact form, which needs no decoder.
            decoder_digest: header.decoder_digest().map_or([0; 32], |digest| digest.0),
            coded: prepared.coded.into(),
            source_sha256: prepared.source_sha256,
            certificate: prepared.certificate.as_ref().map(convert::certificate_to_proto),
            derived_sop_instance_uid: prepared.derived_sop_instance_uid.unwrap_or_default(),
        })
    }
}

/// How rows travel, where they fit the protocol.
fn rows(layout: RowLayout) -> Result<Segmentation, RequestError> {
    let RowLayout { head_bytes, row_bytes } = layout;
    let too_large = |what, bytes, limit| {
        let fixed = "send it with segmentation FIXED";
        Err(RequestError::InvalidPolicy {
            what: format!("{what} has {bytes} bytes, of {limit} allowed: {fixed}"),
        })
    };
    if row_bytes > MAX_SEGMENT_BYTES {
        return too_large("a row of this picture's latent", row_bytes as usize, MAX_SEGMENT_BYTES as usize);
    }
    if head_bytes > MAX_HEAD_BYTES {
        return too_large("what this picture's file holds beside its pixels", head_bytes, MAX_HEAD_BYTES);
    }
    Ok(Segmentation::Rows { head_bytes, row_bytes })
}

/// The exact form of an image, once the receiver has asked for it.
#[derive(Clone, Debug, Default)]
pub struct Fallback(Arc<Mutex<Option<ImageSummary>>>);

impl Fallback {
    /// What is known of the exact form, if it was made.
    #[must_use]
    pub fn taken(&self) -> Option<ImageSummary> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn take(&self, exact: &ImageSummary) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(exact.clone());
    }
}

/// What a session takes for one attempt; an image in latent form carries the way to its exact form along.
#[must_use]
pub fn outgoing(
    accepted: &Accepted,
    coded: &CodedImage,
    source: &Bytes,
    codec: &Arc<Codec>,
) -> (Outgoing, Fallback) {
    let fallback = Fallback::default();
    let mut outgoing = one_form(accepted, coded);
    if coded.mode == Mode::Latent {
        let (accepted, source, codec) = (accepted.clone(), source.clone(), Arc::clone(codec));
        let taken = fallback.clone();
        outgoing.exact_fallback = Some(Box::new(move || {
            let prepared = codec.prepare_exact(&source, NOT_CONFIRMED);
            let prepared = prepared.map_err(|error| error.to_string())?;
            let exact = CodedImage::new(prepared, accepted.inner_layer).map_err(|error| error.to_string())?;
            taken.take(&exact.summary);
            Ok(one_form(&accepted, &exact))
        }));
    }
    (outgoing, fallback)
}

fn one_form(accepted: &Accepted, coded: &CodedImage) -> Outgoing {
    Outgoing {
        transfer_id: accepted.transfer_id,
        form: match coded.mode {
            Mode::Latent => Form::Latent,
            Mode::Exact => Form::Exact,
            Mode::Bounded => Form::Bounded,
        },
        decoder_digest: coded.decoder_digest,
        coded: coded.coded.clone(),
        source_sha256: coded.source_sha256,
        meta: MetaRecord {
            image: Some(coded.summary.clone()),
            certificate: coded.certificate.clone(),
            study_group: accepted.study_group.clone(),
            sequence: accepted.sequence,
            derived_sop_instance_uid: coded.derived_sop_instance_uid.clone(),
            ..MetaRecord::default()
        },
        padding: match accepted.padding {
            v1::PaddingPolicy::Unspecified | v1::PaddingPolicy::Padme => PaddingPolicy::Padme,
            v1::PaddingPolicy::Fixed => PaddingPolicy::Fixed,
            v1::PaddingPolicy::None => PaddingPolicy::None,
        },
        inner_layer: match accepted.inner_layer {
            v1::InnerLayer::Unspecified | v1::InnerLayer::None => InnerLayer::None,
            v1::InnerLayer::Chaos4 => InnerLayer::Chaos4,
        },
        segmentation: coded.segmentation,
        urgent: accepted.urgent,
        exact_fallback: None,
    }
}

/// Adds what only the receipt says: bytes on the wire and the times of sealing, transfer and the receiver.
pub fn complete(summary: &mut ImageSummary, receipt: &Delivered) {
    summary.sealed_bytes = receipt.sealed_bytes;
    let timings = summary.timings.get_or_insert_with(StepTimings::default);
    timings.seal_ms = receipt.seal_ms;
    timings.transfer_ms = receipt.transfer_ms;
    timings.open_ms = receipt.open_ms;
    timings.decode_ms = receipt.decode_ms;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_do_not_fit_are_refused_with_both_figures() {
        let layout = |head_bytes, row_bytes| rows(RowLayout { head_bytes, row_bytes });
        let widest = layout(MAX_HEAD_BYTES, MAX_SEGMENT_BYTES).expect("they fit");
        assert_eq!(widest, Segmentation::Rows { head_bytes: 49_152, row_bytes: 65_536 });
        for (layout, named) in [
            (layout(100, 65_540), "a row of this picture's latent has 65540"),
            (layout(49_153, 672), "has 49153"),
        ] {
            match layout {
                Err(RequestError::InvalidPolicy { what }) => {
                    assert!(what.contains(named) && what.contains("FIXED"), "{what}");
                }
                other => panic!("{named}: {other:?}"),
            }
        }
    }
}
