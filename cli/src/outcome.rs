//! What became of one image: the JSON object of `--json`, and the row of the table.

use latentwire_proto::v1::{ImageSummary, InnerLayer, Modality, Mode, Segmentation, StepTimings};
use latentwire_service::convert::mark_name;
use serde::Serialize;

use crate::{failure::Failure, table::Cell, terminal::Paint};

/// Where an image ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageStatus {
    /// The receiver's receipt is in.
    Delivered,
    /// The image is durably in the outbox.
    Queued,
    /// The image was not taken; see `error`.
    Rejected,
    /// `inspect` alone: `send` with the same policy would send it.
    WouldSend,
}

impl ImageStatus {
    /// The word in JSON and in the table.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Queued => "queued",
            Self::Rejected => "rejected",
            Self::WouldSend => "would_send",
        }
    }
}

/// One image as `latentwire send --json` and `latentwire inspect --json` print it: one object a line.
///
/// A figure that is not known is `null`: an image that was rejected before it was coded has no sizes, one whose
/// sender holds no decoder has no `ssim`, and `psnr_db` is `null` where the pixels are equal.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// File as the command line named it.
    pub path: String,
    /// 32 hex digits; `null` from `inspect`.
    pub transfer_id: Option<String>,
    /// Where it ended.
    pub status: ImageStatus,
    /// `latent`, `exact` or `bounded`.
    pub mode: Option<&'static str>,
    /// Model id; `null` when exact.
    pub model: Option<String>,
    /// Why the picture is not to be taken for the original: `below_floor`, `denoised` or `research`; `null` where nothing
    /// speaks against it.
    pub mark: Option<&'static str>,
    /// `fundus`, `chest`, `brain` or `other`.
    pub modality: Option<&'static str>,
    /// Columns.
    pub width: Option<u32>,
    /// Rows.
    pub height: Option<u32>,
    /// Frames.
    pub frames: Option<u32>,
    /// Length of the file.
    pub original_bytes: Option<u64>,
    /// Length of the uncompressed pixels.
    pub raw_bytes: Option<u64>,
    /// Length of the coded image.
    pub coded_bytes: Option<u64>,
    /// All bytes on the wire for it; `null` from `inspect`.
    pub sealed_bytes: Option<u64>,
    /// Mean structural similarity; 1 when exact, `null` when unmeasured.
    pub ssim: Option<f64>,
    /// The worst 64x64 tile's; 1 when exact, `null` when unmeasured.
    pub min_local_ssim: Option<f64>,
    /// Decibels; `null` where the pixels are equal, or unmeasured.
    pub psnr_db: Option<f64>,
    /// In stored values; 0 when exact, `null` when unmeasured.
    pub max_abs_error: Option<u32>,
    /// Wall-clock milliseconds of each step; 0 where a step did not run.
    pub timings_ms: TimingsMs,
    /// Reconstructions made and measured in search of the rate; absent where it was not searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trials: Option<u32>,
    /// Quantiser step in 1/256 of the model's own; absent where the model has no rate knob.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantiser_step: Option<u32>,
    /// `chaos4` where that lay below AES-256-GCM; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inner_layer: Option<&'static str>,
    /// `row` where each row of the raw latent was sealed by itself; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segmentation: Option<&'static str>,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// Why the original travels although a latent was asked for; shown below the table.
    #[serde(skip)]
    pub exact_reason: Option<String>,
}

/// Wall-clock milliseconds of each step; 0 where a step did not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct TimingsMs {
    /// Parse the file, choose the model, measure.
    pub prepare: f64,
    /// ONNX encoder.
    pub encode: f64,
    /// Quantise and entropy-code.
    pub code: f64,
    /// AES-256-GCM.
    pub seal: f64,
    /// From the first sealed byte to the receipt.
    pub transfer: f64,
    /// AES-256-GCM at the receiver.
    pub open: f64,
    /// Entropy decoding, ONNX decoder and rebuild.
    pub decode: f64,
}

impl Outcome {
    /// An image that was not taken.
    #[must_use]
    pub fn rejected(
        path: String,
        transfer_id: Option<String>,
        image: Option<&ImageSummary>,
        error: Failure,
    ) -> Self {
        let outcome = Self::new(path, transfer_id, ImageStatus::Rejected, image);
        Self { error: Some(error), ..outcome }
    }

    /// An image that ended at `status`; `image` is what is known of it.
    #[must_use]
    pub fn new(
        path: String,
        transfer_id: Option<String>,
        status: ImageStatus,
        image: Option<&ImageSummary>,
    ) -> Self {
        let mode = image.and_then(|image| mode_word(image.mode()));
        let exact = mode == Some("exact");
        let fidelity = image.and_then(|image| image.fidelity.as_ref());
        Self {
            path,
            transfer_id,
            status,
            mode,
            model: image.map(|image| image.model.clone()).filter(|model| !model.is_empty()),
            mark: image.and_then(|image| mark_name(image.mark())),
            modality: image.map(|image| modality_word(image.modality())),
            width: image.map(|image| image.width),
            height: image.map(|image| image.height),
            frames: image.map(|image| image.frames),
            original_bytes: image.map(|image| image.original_bytes),
            raw_bytes: image.map(|image| image.raw_bytes),
            coded_bytes: image.map(|image| image.coded_bytes),
            sealed_bytes: image.map(|image| image.sealed_bytes).filter(|bytes| *bytes > 0),
            ssim: if exact { Some(1.0) } else { fidelity.map(|fidelity| fidelity.ssim) },
            min_local_ssim: if exact { Some(1.0) } else { fidelity.map(|fidelity| fidelity.min_local_ssim) },
            psnr_db: if exact { None } else { fidelity.and_then(|fidelity| fidelity.psnr_db) },
            max_abs_error: if exact { Some(0) } else { fidelity.map(|fidelity| fidelity.max_abs_error) },
            timings_ms: image
                .and_then(|image| image.timings.as_ref())
                .map_or_else(TimingsMs::default, Into::into),
            trials: image.map(|image| image.trials).filter(|trials| *trials > 0),
            quantiser_step: image.map(|image| image.quantiser_step).filter(|step| *step > 0),
            inner_layer: image.and_then(|image| inner_layer_word(image.inner_layer())),
            segmentation: image.and_then(|image| segmentation_word(image.segmentation())),
            error: None,
            exact_reason: image.map(|image| image.exact_reason.clone()).filter(|reason| !reason.is_empty()),
        }
    }

    /// Coded bits per pixel; absent where nothing was coded.
    #[must_use]
    pub fn bits_per_pixel(&self) -> Option<f64> {
        let pixels = f64::from(self.width?) * f64::from(self.height?) * f64::from(self.frames?);
        (pixels > 0.0).then_some(self.coded_bytes? as f64 * 8.0 / pixels)
    }

    /// The mode for people, with the mark where there is one: `latent`, or `latent, denoised`.
    #[must_use]
    pub fn mode_and_mark(&self) -> Cell {
        let mode = self.mode.unwrap_or("-");
        match self.mark {
            None => mode.into(),
            Some(mark) => Cell::painted(Paint::Notice, format!("{mode}, {}", mark.replace('_', " "))),
        }
    }

    /// The JSON object, without a line break.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers, words and text always serialise")
    }
}

impl From<&StepTimings> for TimingsMs {
    fn from(timings: &StepTimings) -> Self {
        Self {
            prepare: timings.prepare_ms,
            encode: timings.encode_ms,
            code: timings.code_ms,
            seal: timings.seal_ms,
            transfer: timings.transfer_ms,
            open: timings.open_ms,
            decode: timings.decode_ms,
        }
    }
}

/// The word for a mode; absent where none was chosen.
#[must_use]
pub fn mode_word(mode: Mode) -> Option<&'static str> {
    match mode {
        Mode::Unspecified => None,
        Mode::Latent => Some("latent"),
        Mode::Exact => Some("exact"),
        Mode::Bounded => Some("bounded"),
    }
}

/// The word for an inner layer; absent where there was none.
fn inner_layer_word(inner_layer: InnerLayer) -> Option<&'static str> {
    match inner_layer {
        InnerLayer::Unspecified | InnerLayer::None => None,
        InnerLayer::Chaos4 => Some("chaos4"),
    }
}

/// The word for a segmentation that is not the ordinary one.
fn segmentation_word(segmentation: Segmentation) -> Option<&'static str> {
    match segmentation {
        Segmentation::Unspecified | Segmentation::Fixed => None,
        Segmentation::Row => Some("row"),
    }
}

/// The word for a modality.
#[must_use]
pub fn modality_word(modality: Modality) -> &'static str {
    match modality {
        Modality::Fundus => "fundus",
        Modality::Chest => "chest",
        Modality::Brain => "brain",
        Modality::Unspecified | Modality::Other => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use latentwire_proto::v1::{Fidelity, Mark};

    fn summary(mode: Mode) -> ImageSummary {
        ImageSummary {
            mode: mode.into(),
            model: if mode == Mode::Latent { "ae224-fundus".to_owned() } else { String::new() },
            modality: Modality::Fundus.into(),
            width: 640,
            height: 480,
            frames: 1,
            channels: 3,
            bits: 8,
            original_bytes: 500_000,
            raw_bytes: 921_600,
            coded_bytes: 38_400,
            sealed_bytes: 39_700,
            measured: true,
            timings: Some(StepTimings { prepare_ms: 1.5, decode_ms: 2.5, ..StepTimings::default() }),
            format: "png".to_owned(),
            ..ImageSummary::default()
        }
    }

    /// The fields of DESIGN, section 3, and no other.
    #[test]
    fn a_delivered_latent_prints_exactly_the_agreed_fields() {
        let mut image = summary(Mode::Latent);
        image.fidelity = Some(Fidelity {
            ssim: 0.97,
            min_local_ssim: 0.91,
            psnr_db: Some(38.5),
            max_abs_error: 31,
            mse: 0.0001,
        });
        let outcome =
            Outcome::new("a.png".to_owned(), Some("00".repeat(16)), ImageStatus::Delivered, Some(&image));
        assert_eq!(
            outcome.to_json(),
            concat!(
                r#"{"path":"a.png","transfer_id":"00000000000000000000000000000000","status":"delivered","#,
                r#""mode":"latent","model":"ae224-fundus","mark":null,"modality":"fundus","width":640,"height":480,"frames":1,"#,
                r#""original_bytes":500000,"raw_bytes":921600,"coded_bytes":38400,"sealed_bytes":39700,"#,
                r#""ssim":0.97,"min_local_ssim":0.91,"psnr_db":38.5,"max_abs_error":31,"#,
                r#""timings_ms":{"prepare":1.5,"encode":0.0,"code":0.0,"seal":0.0,"transfer":0.0,"open":0.0,"decode":2.5}}"#,
            )
        );
        assert_eq!(outcome.bits_per_pixel(), Some(1.0));
    }

    #[test]
    fn a_searched_rate_is_told_with_its_trials() {
        let image = ImageSummary { trials: 2, quantiser_step: 267, ..summary(Mode::Latent) };
        let outcome = Outcome::new("a.png".to_owned(), None, ImageStatus::WouldSend, Some(&image));
        assert!(outcome.to_json().ends_with(r#""trials":2,"quantiser_step":267}"#), "{}", outcome.to_json());
    }

    #[test]
    fn research_is_told_where_it_was_used() {
        let line = |inner_layer: InnerLayer, segmentation: Segmentation| {
            let image = ImageSummary {
                inner_layer: inner_layer.into(),
                segmentation: segmentation.into(),
                ..summary(Mode::Latent)
            };
            Outcome::new(String::new(), None, ImageStatus::Delivered, Some(&image)).to_json()
        };
        assert!(line(InnerLayer::Chaos4, Segmentation::Fixed).ends_with(r#","inner_layer":"chaos4"}"#));
        assert!(line(InnerLayer::None, Segmentation::Row).ends_with(r#","segmentation":"row"}"#));
        let plain = line(InnerLayer::None, Segmentation::Fixed);
        assert!(!plain.contains("inner_layer") && !plain.contains("segmentation"), "{plain}");
    }

    #[test]
    fn a_mark_is_told_wherever_the_mode_is() {
        for (mark, word, shown) in [
            (Mark::BelowFloor, "below_floor", "latent, below floor"),
            (Mark::Denoised, "denoised", "latent, denoised"),
            (Mark::Research, "research", "latent, research"),
        ] {
            let image = ImageSummary { mark: mark.into(), ..summary(Mode::Latent) };
            let outcome = Outcome::new(String::new(), None, ImageStatus::Delivered, Some(&image));
            assert!(outcome.to_json().contains(&format!(r#""mark":"{word}""#)), "{}", outcome.to_json());
            assert_eq!(outcome.mode_and_mark(), Cell::painted(Paint::Notice, shown));
        }
        let plain = Outcome::new(String::new(), None, ImageStatus::Delivered, Some(&summary(Mode::Latent)));
        assert_eq!(plain.mode_and_mark(), "latent".into());
    }

    #[test]
    fn exact_is_perfect_without_a_ratio_and_unmeasured_has_no_figures() {
        let exact = Outcome::new(String::new(), None, ImageStatus::Delivered, Some(&summary(Mode::Exact)));
        assert_eq!((exact.ssim, exact.min_local_ssim), (Some(1.0), Some(1.0)));
        assert_eq!((exact.psnr_db, exact.max_abs_error, exact.model), (None, Some(0), None));
        let unmeasured = ImageSummary { measured: false, ..summary(Mode::Latent) };
        let unmeasured = Outcome::new(String::new(), None, ImageStatus::Delivered, Some(&unmeasured));
        assert_eq!((unmeasured.ssim, unmeasured.min_local_ssim), (None, None));
        assert_eq!((unmeasured.psnr_db, unmeasured.max_abs_error), (None, None));
    }

    #[test]
    fn a_rejected_image_keeps_every_field_and_gains_the_error() {
        let failure = Failure::rejected("INVALID_ARGUMENT", "UNKNOWN_FORMAT", "no picture");
        let line = Outcome::rejected("x.txt".to_owned(), None, None, failure).to_json();
        let object: serde_json::Value = serde_json::from_str(&line).expect("one JSON object");
        for field in
            ["width", "coded_bytes", "sealed_bytes", "ssim", "psnr_db", "model", "mode", "transfer_id"]
        {
            assert!(object.get(field).is_some_and(serde_json::Value::is_null), "{field} in {line}");
        }
        assert_eq!(object["error"]["code"], "INVALID_ARGUMENT");
        assert_eq!(object["error"]["reason"], "UNKNOWN_FORMAT");
        assert_eq!(object["error"]["message"], "no picture");
    }
}
