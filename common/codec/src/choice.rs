//! Which model encodes a picture.

use latentwire_imaging::{ContentHint, Format, PixelTensor};
use latentwire_model::{Choose, Modality};

use crate::bitstream::{CodedImage, write_latent};
use crate::decode::decode_pixels;
use crate::encode::{encode_pixels, latent_header};
use crate::error::CodecError;
use crate::models::{LoadedModel, Models};
use crate::normalise::ValueRange;
use crate::policy::{BelowFloor, Coding, LatentCoding, Policy};

/// A picture for which a model is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) pixels: &'a PixelTensor,
    pub(crate) format: Format,
    pub(crate) hint: ContentHint,
    pub(crate) range: ValueRange,
}

/// Refuses a policy that names a model which is by request only, and would not have its pictures marked.
pub(crate) fn check_research(models: &Models, policy: &Policy) -> Result<(), CodecError> {
    let named = policy.model.as_ref().and_then(|id| models.iter().find(|model| model.info.id == *id));
    let Some(model) = named else { return Ok(()) };
    if model.info.purpose.is_by_request_only() && policy.below_floor != BelowFloor::SendMarked {
        return Err(CodecError::ResearchUnmarked { id: model.info.id.clone(), purpose: model.info.purpose });
    }
    Ok(())
}

/// Chooses a model: the policy's id, else the policy's modality, else what the DICOM header says, else by trial.
///
/// A hint that no loaded model serves is passed over; an id or a modality that none serves is refused. A model that is
/// chosen [by name](Choose::ByName) stands aside unless the policy's id or the header's Modality names it. A model that
/// is [by request only](latentwire_model::Purpose::is_by_request_only) stands aside unless the policy's id names it.
pub(crate) fn choose<'a>(
    models: &'a Models,
    policy: &Policy,
    subject: &Subject<'_>,
) -> Result<&'a LoadedModel, CodecError> {
    let takes = |model: &LoadedModel| model.takes(subject.pixels.channels);
    if let Some(id) = &policy.model {
        let model = models.iter().find(|model| model.info.id == *id && model.encoder.is_some());
        let model = model.ok_or_else(|| CodecError::NoFittingModel {
            wanted: format!("model {:.80}", id.escape_debug()),
        })?;
        return if takes(model) { Ok(model) } else { Err(CodecError::GreyOnly { id: id.clone() }) };
    }
    let able = |model: &&LoadedModel| {
        model.encoder.is_some() && !model.info.purpose.is_by_request_only() && takes(model)
    };
    let (all, named): (Vec<_>, Vec<_>) =
        models.iter().filter(able).partition(|model| model.choose == Choose::ByTrial);
    let of =
        |modality| all.iter().copied().filter(|model| model.info.modality == modality).collect::<Vec<_>>();
    if let Some(modality) = policy.modality.filter(|modality| *modality != Modality::Other) {
        let wanted = || CodecError::NoFittingModel { wanted: format!("modality {modality}") };
        return cheapest(&of(modality), policy, subject, wanted);
    }
    let hinted = match subject.hint {
        ContentHint::Modality(code) => {
            let both = all.iter().chain(&named).copied();
            both.filter(|model| model.dicom_modalities.iter().any(|own| code.is(own))).collect()
        }
        hint @ (ContentHint::None
        | ContentHint::Fundus
        | ContentHint::Chest
        | ContentHint::Brain
        | ContentHint::Other) => hinted_modality(hint).map(of).unwrap_or_default(),
    };
    let candidates = if hinted.is_empty() { candidates(&all, subject.pixels.channels) } else { hinted };
    cheapest(&candidates, policy, subject, || CodecError::NoFittingModel {
        wanted: match named.len() {
            0 => "this picture".to_owned(),
            some => format!("this picture, and {some} wait to be asked for by id"),
        },
    })
}

/// What the DICOM header says, as a modality; `None` if nothing that a model is trained for.
pub(crate) fn hinted_modality(hint: ContentHint) -> Option<Modality> {
    match hint {
        ContentHint::Fundus => Some(Modality::Fundus),
        ContentHint::Chest => Some(Modality::Chest),
        ContentHint::Brain => Some(Modality::Brain),
        ContentHint::None | ContentHint::Modality(_) | ContentHint::Other => None,
    }
}

/// The models to try on a picture of which nothing is known, the likeliest first (the first wins a
/// tie). Colour: fundus, then all others. Grey: all but fundus, or fundus where nothing else is
/// loaded.
fn candidates<'a>(all: &[&'a LoadedModel], channels: u8) -> Vec<&'a LoadedModel> {
    let (fundus, others): (Vec<_>, Vec<_>) =
        all.iter().copied().partition(|model| model.info.modality == Modality::Fundus);
    match channels {
        1 if others.is_empty() => fundus,
        1 => others,
        _ => [fundus, others].concat(),
    }
}

/// The candidate that codes a window from the middle of the picture at the least cost.
fn cheapest<'a>(
    candidates: &[&'a LoadedModel],
    policy: &Policy,
    subject: &Subject<'_>,
    none: impl FnOnce() -> CodecError,
) -> Result<&'a LoadedModel, CodecError> {
    if let [only] = candidates {
        return Ok(only);
    }
    let window = middle(subject.pixels);
    let mut best: Option<(f64, &LoadedModel)> = None;
    let mut failure = None;
    for model in candidates {
        match trial_cost(model, policy, subject, &window) {
            Ok(cost) if best.is_none_or(|(least, _)| cost < least) => best = Some((cost, model)),
            Ok(_) => {}
            Err(error) => failure = Some(error),
        }
    }
    best.map(|(_, model)| model).ok_or_else(|| failure.unwrap_or_else(none))
}

/// What a trial weighs a mean squared error of 1 (pixels in 0..1) as, in bits a sample.
///
/// At high rate, a halved error costs half a bit a sample, so that the exchange rate is 1 / (2 ln 2
/// · mse) bits a sample: 1,000 is the rate at an error of 7e-4 (31.5 dB), in the middle of what the
/// models are trained for.
const TRIAL_LAMBDA: f64 = 1000.0;

/// Longest side of the trial's window, in pixels.
const TRIAL_SIDE: u32 = 256;

/// Bits a sample of the coded window, plus [`TRIAL_LAMBDA`] times its mean squared error where a
/// decoder is loaded.
fn trial_cost(
    model: &LoadedModel,
    policy: &Policy,
    subject: &Subject<'_>,
    window: &PixelTensor,
) -> Result<f64, CodecError> {
    // Models are weighed by what they would cost coded, also where raw rows are asked for.
    let coding = Coding { latent: LatentCoding::Entropy, ..policy.coding() };
    let subject = Subject { pixels: window, ..*subject };
    let encoded = encode_pixels(model, &subject, latent_header(model, &subject, coding)?)?;
    let bytes: usize = encoded.tiles.iter().map(Vec::len).sum();
    let bits_per_sample = bytes as f64 * 8.0 / window.samples.len() as f64;
    if model.decoder.is_none() {
        return Ok(bits_per_sample);
    }
    let coded = write_latent(&encoded.header, &[], &encoded.tiles)?;
    let CodedImage::Latent(image) = CodedImage::parse(&coded)? else {
        return Err(CodecError::Bitstream { what: "the trial's own latent form is not one" });
    };
    let reconstruction = decode_pixels(model, &image)?;
    let span = f64::from(subject.range.high) - f64::from(subject.range.low);
    let squares = window.samples.iter().zip(&reconstruction.samples).map(|(a, b)| {
        let difference = f64::from(a - b) / span;
        difference * difference
    });
    let mean_squared_error = squares.sum::<f64>() / window.samples.len() as f64;
    Ok(bits_per_sample + TRIAL_LAMBDA * mean_squared_error)
}

/// A window of at most 256x256 pixels from the middle of the middle frame.
fn middle(pixels: &PixelTensor) -> PixelTensor {
    let (width, height) = (pixels.width.min(TRIAL_SIDE), pixels.height.min(TRIAL_SIDE));
    let (x, y) = ((pixels.width - width) / 2, (pixels.height - height) / 2);
    let frame = pixels.frames / 2;
    let mut samples = Vec::with_capacity(usize::from(pixels.channels) * (width * height) as usize);
    for channel in 0..pixels.channels {
        let rows = pixels.plane(frame, channel).chunks_exact(pixels.width as usize);
        for row in rows.skip(y as usize).take(height as usize) {
            samples.extend_from_slice(&row[x as usize..(x + width) as usize]);
        }
    }
    let PixelTensor { channels, bits, signed, .. } = *pixels;
    PixelTensor { width, height, channels, frames: 1, bits, signed, samples }
}
