//! The sender's half: file to coded image, by policy.

use std::time::{Duration, Instant};

use latentwire_imaging::{ContentHint, Fidelity, Format, ImagingError, Picture, PixelTensor};
use latentwire_model::Modality;
use sha2::{Digest, Sha256};

use crate::attempt::{Attempt, Task};
use crate::bitstream::{exact_length, write_exact};
use crate::choice::{Subject, check_research, choose, hinted_modality};
use crate::codec::Codec;
use crate::decode::check_size;
use crate::encode::latent_header;
use crate::error::CodecError;
use crate::models::LoadedModel;
use crate::normalise::ValueRange;
use crate::policy::{BelowFloor, LatentCoding, Mode, Policy};
use crate::report::{Certificate, Mark, Prepared, Report, Timings};

/// Pictures with a shorter side travel exact: there is nothing to gain, and nothing to measure a
/// floor on.
const MIN_LATENT_SIDE: u32 = 16;

/// See [`Codec::prepare`].
pub(crate) fn prepare(codec: &Codec, source: &[u8], policy: &Policy) -> Result<Prepared, CodecError> {
    policy.validate()?;
    if policy.mode == Mode::Exact {
        return prepare_exact(codec, source, "asked for by the policy", policy.modality);
    }
    if !codec.measures && policy.floors.are_explicit() {
        return Err(CodecError::FloorsUnmeasurable);
    }
    check_research(&codec.models, policy)?;
    let start = Instant::now();
    let source = Source::new(source);
    let picture = latentwire_imaging::read(source.bytes, &codec.limits)?;
    let timings = Timings { prepare_ms: milliseconds(start.elapsed()), ..Timings::default() };
    let modality = policy.modality.or(hinted_modality(picture.hint)).unwrap_or(Modality::Other);
    match range_for_latent(&picture) {
        Ok(range) => prepare_latent(codec, &source, picture, range, policy, timings),
        Err(reason) => Ok(source.exact(picture.format, Some(picture.pixels), modality, reason, timings)),
    }
}

/// See [`Codec::prepare_exact`].
pub(crate) fn prepare_exact(
    codec: &Codec,
    source: &[u8],
    reason: &str,
    modality: Option<Modality>,
) -> Result<Prepared, CodecError> {
    let start = Instant::now();
    let source = Source::new(source);
    let (format, pixels, hint) = match latentwire_imaging::read(source.bytes, &codec.limits) {
        Ok(picture) => (picture.format, Some(picture.pixels), picture.hint),
        // A sound file of a known format; its pixels are the receiver's to decode.
        Err(
            error @ (ImagingError::UnsupportedTransferSyntax { .. }
            | ImagingError::Unsupported { .. }
            | ImagingError::NoPixelData),
        ) => (Format::sniff(source.bytes).ok_or(error)?, None, ContentHint::None),
        Err(error) => return Err(error.into()),
    };
    let timings = Timings { prepare_ms: milliseconds(start.elapsed()), ..Timings::default() };
    let modality = modality.or(hinted_modality(hint)).unwrap_or(Modality::Other);
    Ok(source.exact(format, pixels, modality, reason, timings))
}

/// The range of values of a picture that may go through a latent, or why it may not.
fn range_for_latent(picture: &Picture) -> Result<ValueRange, &'static str> {
    if let Some(reason) = picture.exact_only {
        return Err(reason);
    }
    if picture.pixels.width.min(picture.pixels.height) < MIN_LATENT_SIDE {
        return Err("a side is shorter than 16 pixels");
    }
    ValueRange::of(&picture.pixels).ok_or("all samples have the same value")
}

fn prepare_latent(
    codec: &Codec,
    source: &Source<'_>,
    picture: Picture,
    range: ValueRange,
    policy: &Policy,
    mut timings: Timings,
) -> Result<Prepared, CodecError> {
    let start = Instant::now();
    let Picture { format, pixels, container, hint, .. } = picture;
    let subject = Subject { pixels: &pixels, format, hint, range };
    let model = choose(&codec.models, policy, &subject)?;
    if policy.latent_coding == LatentCoding::RawRows && model.has_levels() {
        let what = "the latents of this model have block levels: they cannot be sent as rows of raw values";
        return Err(CodecError::InvalidPolicy { what });
    }
    timings.encode_ms = milliseconds(start.elapsed());
    let mut header = latent_header(model, &subject, policy.coding())?;
    check_size(&header, &codec.limits)?;
    let derived_sop_instance_uid = latentwire_imaging::derived_sop_instance_uid(
        format,
        &container,
        &model.info.digest.0,
        &source.sha256,
    );
    header.sop_instance_uid = derived_sop_instance_uid.clone();
    let modality = model.info.modality;
    let keeps_latent =
        policy.below_floor == BelowFloor::SendMarked || policy.latent_coding == LatentCoding::RawRows;
    let too_long = if keeps_latent { usize::MAX } else { exact_length(source.bytes.len()) };
    let task = Task { codec, model, subject, policy, container: &container, header, too_long };
    let (attempt, trials) = task.run(&mut timings)?;
    let Attempt { coded, quantiser_step, rows, measurement } = attempt;
    if coded.len() >= too_long {
        let reason = "the coded latent is not smaller than the file";
        let mut prepared = source.exact(format, Some(pixels), modality, reason, timings);
        prepared.report.trials = trials;
        return Ok(prepared);
    }
    let fidelity = measurement.as_ref().map(|measurement| measurement.fidelity);
    let below_floor = fidelity.is_some_and(|fidelity| !policy.floors.hold(&fidelity));
    if let (true, Some(fidelity)) = (below_floor, fidelity) {
        let unlike = unlike(model, &subject, policy);
        match policy.below_floor {
            BelowFloor::Reject => return Err(CodecError::FidelityBelowFloor { fidelity, unlike }),
            BelowFloor::Exact => {
                let reason = below_floor_reason(&fidelity, unlike);
                let mut prepared = source.exact(format, Some(pixels), modality, &reason, timings);
                prepared.report.below_floor = true;
                prepared.report.trials = trials;
                return Ok(prepared);
            }
            BelowFloor::SendMarked => {}
        }
    }
    let report = Report {
        mode: Mode::Latent,
        model: Some(model.info.id.clone()),
        coded_bytes: coded.len() as u64,
        fidelity,
        measured: fidelity.is_some(),
        below_floor,
        mark: Mark::of(model.info.purpose).or(below_floor.then_some(Mark::BelowFloor)),
        exact_reason: None,
        trials,
        quantiser_step: model.has_levels().then_some(quantiser_step),
        ..source.report(format, Some(&pixels), modality, timings)
    };
    let reconstruction = measurement.map(|measurement| measurement.reconstruction);
    Ok(Prepared {
        coded,
        source_sha256: source.sha256,
        certificate: reconstruction.as_ref().map(|pixels| certificate(codec, model, pixels)),
        derived_sop_instance_uid,
        report,
        reconstruction,
        original: Some(pixels),
        rows,
    })
}

fn certificate(codec: &Codec, model: &LoadedModel, reconstruction: &PixelTensor) -> Certificate {
    Certificate {
        decoder_digest: model.info.digest,
        reconstruction_sha256: reconstruction.sha256(),
        runtime_version: codec.runtime_version().to_owned(),
        certified: model.info.certified,
    }
}

/// Why a model that was asked for by its id may not suit a picture: what the request, the header or the colours say
/// against it.
fn unlike(model: &LoadedModel, subject: &Subject<'_>, policy: &Policy) -> Option<String> {
    policy.model.as_ref()?;
    let made_for = model.info.modality;
    let said = policy.modality.or(hinted_modality(subject.hint)).filter(|said| *said != Modality::Other);
    let colours = subject.pixels.channels == 3;
    let what = match (made_for, said) {
        (Modality::Other, _) => return None,
        (_, Some(said)) if said != made_for => format!("is said to show {said}"),
        (Modality::Fundus, _) if !colours => "is grey".to_owned(),
        (Modality::Chest | Modality::Brain, _) if colours => "has colours".to_owned(),
        (Modality::Fundus | Modality::Chest | Modality::Brain, _) => return None,
    };
    Some(format!("model {} was made for {made_for} pictures, and this one {what}", model.info.id))
}

fn below_floor_reason(fidelity: &Fidelity, unlike: Option<String>) -> String {
    let unlike = unlike.map_or_else(String::new, |unlike| format!("; {unlike}"));
    let psnr = fidelity.psnr_db.map_or_else(|| "infinite".to_owned(), |psnr| format!("{psnr:.2} dB"));
    format!(
        "below a floor: SSIM {:.4}, worst tile {:.4}, PSNR {psnr}, largest error {}{unlike}",
        fidelity.ssim, fidelity.min_local_ssim, fidelity.max_abs_error
    )
}

/// The source file.
struct Source<'a> {
    bytes: &'a [u8],
    sha256: [u8; 32],
}

impl<'a> Source<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, sha256: Sha256::digest(bytes).into() }
    }

    /// The exact form. There is nothing to measure, so it counts as measured.
    fn exact(
        &self,
        format: Format,
        pixels: Option<PixelTensor>,
        modality: Modality,
        reason: &str,
        mut timings: Timings,
    ) -> Prepared {
        let start = Instant::now();
        let coded = write_exact(format, self.bytes);
        timings.code_ms += milliseconds(start.elapsed());
        let report = Report {
            coded_bytes: coded.len() as u64,
            exact_reason: Some(reason.to_owned()),
            ..self.report(format, pixels.as_ref(), modality, timings)
        };
        Prepared {
            coded,
            source_sha256: self.sha256,
            certificate: None,
            derived_sop_instance_uid: None,
            report,
            reconstruction: None,
            original: pixels,
            rows: None,
        }
    }

    /// A report of the exact form, but for what only its maker knows.
    fn report(
        &self,
        format: Format,
        pixels: Option<&PixelTensor>,
        modality: Modality,
        timings: Timings,
    ) -> Report {
        Report {
            mode: Mode::Exact,
            model: None,
            modality,
            format: Some(format),
            width: pixels.map_or(0, |pixels| pixels.width),
            height: pixels.map_or(0, |pixels| pixels.height),
            frames: pixels.map_or(0, |pixels| pixels.frames),
            channels: pixels.map_or(0, |pixels| pixels.channels),
            bits: pixels.map_or(0, |pixels| pixels.bits),
            original_bytes: self.bytes.len() as u64,
            raw_bytes: pixels.map_or(0, PixelTensor::raw_bytes),
            coded_bytes: 0,
            fidelity: None,
            measured: true,
            below_floor: false,
            mark: None,
            exact_reason: None,
            trials: 0,
            quantiser_step: None,
            timings,
        }
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
