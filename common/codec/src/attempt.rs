//! One way of coding a picture through a latent, measured; and the search for the rate knob among such ways.

use std::time::{Duration, Instant};

use latentwire_imaging::{Fidelity, PixelTensor};

use crate::bitstream::{CodedImage, LatentHeader, write_latent};
use crate::choice::Subject;
use crate::codec::Codec;
use crate::decode::{decode_pixels, model_of};
use crate::encode::{EncodedPixels, Latents, code_latents, encode_latents, encode_pixels};
use crate::error::CodecError;
use crate::models::LoadedModel;
use crate::policy::{Floors, LatentCoding, Policy};
use crate::rate::{MAX_TRIALS, RateCurves};
use crate::report::{RowLayout, Timings};

/// A picture on its way through a model's latent.
pub(crate) struct Task<'a> {
    pub(crate) codec: &'a Codec,
    pub(crate) model: &'a LoadedModel,
    pub(crate) subject: Subject<'a>,
    pub(crate) policy: &'a Policy,
    /// What rebuilds the file in kind.
    pub(crate) container: &'a [u8],
    /// What there is to say of the picture; the quantiser step is the one asked for.
    pub(crate) header: LatentHeader,
    /// A coded image of so many bytes is not worth measuring; `usize::MAX` where it travels whatever its size.
    pub(crate) too_long: usize,
}

/// A coded image.
pub(crate) struct Attempt {
    pub(crate) coded: Vec<u8>,
    pub(crate) quantiser_step: u16,
    pub(crate) rows: Option<RowLayout>,
    /// `None` where the codec has no decoders, or the coded image is too long.
    pub(crate) measurement: Option<Measurement>,
}

/// What the receiver will see, and how near it is.
pub(crate) struct Measurement {
    pub(crate) reconstruction: PixelTensor,
    pub(crate) fidelity: Fidelity,
}

impl Task<'_> {
    /// Codes the picture, at the rate that the floors ask for where the model can vary it; and how many trials that
    /// took, 0 where the rate was not searched.
    pub(crate) fn run(&self, timings: &mut Timings) -> Result<(Attempt, u32), CodecError> {
        let Policy { floors, quantiser_step_percent, .. } = self.policy;
        let rate = self.model.rate.as_ref();
        let rate = rate.filter(|_| self.codec.measures && quantiser_step_percent.is_none());
        match rate {
            Some(rate) if *floors != Floors::NONE => self.search(rate, timings),
            Some(_) | None => {
                let encoded = encode_pixels(self.model, &self.subject, self.header.clone())?;
                add(&mut timings.encode_ms, encoded.encode_time);
                Ok((self.write(&encoded, timings, self.too_long)?, 0))
            }
        }
    }

    /// The coarsest of at most [`MAX_TRIALS`] trials that meets the floors, else the finest of them.
    fn search(&self, rate: &RateCurves, timings: &mut Timings) -> Result<(Attempt, u32), CodecError> {
        let floors = &self.policy.floors;
        let latents = encode_latents(self.model, &self.subject, &self.header)?;
        add(&mut timings.encode_ms, latents.encode_time);
        let first = rate.first(floors);
        let attempt = self.trial(&latents, first.quantiser_step(), timings)?;
        let fidelity = attempt.measurement.as_ref().map(|measurement| measurement.fidelity);
        let second = fidelity.and_then(|fidelity| rate.second(first, floors, &fidelity));
        let Some(second) = second else { return Ok((attempt, 1)) };
        // A picture is held twice for as long as the second trial runs, its latent not longer than that either.
        let other = self.trial(&latents, second.quantiser_step(), timings)?;
        let holds = |attempt: &Attempt| {
            attempt.measurement.as_ref().is_some_and(|measurement| floors.hold(&measurement.fidelity))
        };
        let coarser_first = first > second;
        let (coarse, fine) = if coarser_first { (attempt, other) } else { (other, attempt) };
        Ok((if holds(&coarse) { coarse } else { fine }, MAX_TRIALS))
    }

    fn trial(
        &self,
        latents: &Latents,
        quantiser_step: u16,
        timings: &mut Timings,
    ) -> Result<Attempt, CodecError> {
        let header = LatentHeader { quantiser_step, ..self.header.clone() };
        self.write(&code_latents(self.model, latents, header)?, timings, usize::MAX)
    }

    /// Writes the coded image and measures it, unless it has `too_long` bytes.
    fn write(
        &self,
        encoded: &EncodedPixels,
        timings: &mut Timings,
        too_long: usize,
    ) -> Result<Attempt, CodecError> {
        let start = Instant::now();
        let coded = write_latent(&encoded.header, self.container, &encoded.tiles)?;
        let rows = row_layout(encoded, coded.len())?;
        add(&mut timings.code_ms, encoded.code_time + start.elapsed());
        let measures = self.codec.measures && coded.len() < too_long;
        let measurement = measures.then(|| self.measure(&coded, timings)).transpose()?;
        Ok(Attempt { coded, quantiser_step: encoded.header.quantiser_step, rows, measurement })
    }

    /// Decodes the very bytes that are about to be sent, as the receiver will, and measures every frame.
    fn measure(&self, coded: &[u8], timings: &mut Timings) -> Result<Measurement, CodecError> {
        let start = Instant::now();
        let CodedImage::Latent(image) = CodedImage::parse(coded)? else {
            return Err(CodecError::Bitstream { what: "the latent form just written is not one" });
        };
        let model = model_of(&self.codec.models, &image.header, &self.codec.limits)?;
        let reconstruction = decode_pixels(model, &image)?;
        let decoded = Instant::now();
        let fidelity = latentwire_imaging::measure(self.subject.pixels, &reconstruction)?;
        add(&mut timings.decode_ms, decoded - start);
        add(&mut timings.measure_ms, decoded.elapsed());
        Ok(Measurement { reconstruction, fidelity })
    }
}

/// Where the rows of a coded image are, if it has any.
fn row_layout(encoded: &EncodedPixels, coded_bytes: usize) -> Result<Option<RowLayout>, CodecError> {
    if encoded.header.coding != LatentCoding::RawRows {
        return Ok(None);
    }
    let row_bytes = u32::try_from(encoded.header.raw_row_bytes());
    let row_bytes = row_bytes.map_err(|_| CodecError::TooLarge { what: "a row of the latent" })?;
    let rows: usize = encoded.tiles.iter().map(Vec::len).sum();
    Ok(Some(RowLayout { head_bytes: coded_bytes - rows, row_bytes }))
}

/// Adds a duration to a step's milliseconds.
fn add(milliseconds: &mut f64, duration: Duration) {
    *milliseconds += duration.as_secs_f64() * 1e3;
}
