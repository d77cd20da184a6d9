//! What a sender asks for: mode, floors, and what to do with a picture that falls below a floor.

use std::fmt;
use std::str::FromStr;

use latentwire_imaging::Fidelity;
use latentwire_model::Modality;

use crate::error::CodecError;

/// How an image travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Through a model's latent, measured against the floors (the default).
    #[default]
    Latent,
    /// As the file's own bytes.
    Exact,
    /// With a bound on the error of every sample. Not enabled in bitstream version 1: `prepare`
    /// refuses it.
    Bounded,
}

impl Mode {
    /// The name used in JSON, reports and flags: `latent`, `exact` or `bounded`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Latent => "latent",
            Self::Exact => "exact",
            Self::Bounded => "bounded",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mode {
    type Err = CodecError;

    fn from_str(text: &str) -> Result<Self, CodecError> {
        match text {
            "latent" => Ok(Self::Latent),
            "exact" => Ok(Self::Exact),
            "bounded" => Ok(Self::Bounded),
            _ => Err(CodecError::InvalidPolicy { what: "mode must be latent, exact or bounded" }),
        }
    }
}

/// How the latent is written into the coded image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LatentCoding {
    /// Quantised, and entropy-coded tile by tile (the default).
    #[default]
    Entropy,
    /// As the net gave it: rows of `f32`, neither quantised nor coded. For research: what paper A (Alslman et al. 2022,
    /// section 3.3) seals row by row. A latent that was asked for so is kept where the file itself is smaller.
    RawRows,
}

/// What becomes of a picture whose reconstruction falls below a floor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BelowFloor {
    /// Send the file's own bytes instead (the default).
    #[default]
    Exact,
    /// Refuse with [`CodecError::FidelityBelowFloor`].
    Reject,
    /// Send the latent, marked as below the floor. Evaluation uses it, so that no picture escapes
    /// into exact: the latent is kept even where the file itself is smaller.
    SendMarked,
}

impl BelowFloor {
    /// The name used in flags: `exact`, `reject` or `send-marked`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Reject => "reject",
            Self::SendMarked => "send-marked",
        }
    }
}

impl fmt::Display for BelowFloor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for BelowFloor {
    type Err = CodecError;

    fn from_str(text: &str) -> Result<Self, CodecError> {
        match text {
            "exact" => Ok(Self::Exact),
            "reject" => Ok(Self::Reject),
            "send-marked" => Ok(Self::SendMarked),
            _ => Err(CodecError::InvalidPolicy { what: "below-floor must be exact, reject or send-marked" }),
        }
    }
}

/// Lower bounds on the measured fidelity; each holds for every frame. `None` asks for nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Floors {
    /// Mean SSIM of the worst frame, 0..=1.
    pub min_ssim: Option<f64>,
    /// Mean SSIM of the worst 64x64 tile of any frame, 0..=1.
    pub min_local_ssim: Option<f64>,
    /// PSNR of the worst frame in dB, 0..=200. An identical reconstruction has no PSNR and passes.
    pub min_psnr_db: Option<f64>,
    /// Largest absolute error of any sample, in stored units.
    pub max_abs_error: Option<u32>,
}

/// SSIM 0.95, nothing else.
pub const DEFAULT_MIN_SSIM: f64 = 0.95;

impl Default for Floors {
    fn default() -> Self {
        Self {
            min_ssim: Some(DEFAULT_MIN_SSIM),
            min_local_ssim: None,
            min_psnr_db: None,
            max_abs_error: None,
        }
    }
}

impl Floors {
    /// No floor at all.
    pub const NONE: Self =
        Self { min_ssim: None, min_local_ssim: None, min_psnr_db: None, max_abs_error: None };

    /// Whether the figures reach every floor. A figure that is not a number reaches none.
    pub fn hold(&self, fidelity: &Fidelity) -> bool {
        self.min_ssim.is_none_or(|floor| fidelity.ssim >= floor)
            && self.min_local_ssim.is_none_or(|floor| fidelity.min_local_ssim >= floor)
            && self.min_psnr_db.is_none_or(|floor| fidelity.psnr_db.is_none_or(|psnr| psnr >= floor))
            && self.max_abs_error.is_none_or(|ceiling| fidelity.max_abs_error <= ceiling)
    }

    /// Whether a request asked for these floors: some are set, and they are not the default ones.
    ///
    /// A sender without decoders cannot honour floors, and refuses a request that [names its
    /// own](CodecError::FloorsUnmeasurable).
    pub fn are_explicit(&self) -> bool {
        *self != Self::NONE && *self != Self::default()
    }
}

/// What a request asks of the codec.
#[derive(Clone, Default, Debug, PartialEq)]
pub struct Policy {
    /// How the image travels.
    pub mode: Mode,
    /// What the reconstruction must reach in [`Mode::Latent`].
    pub floors: Floors,
    /// What to do below a floor.
    pub below_floor: BelowFloor,
    /// The model to use, by id; overrides every other way of choosing.
    pub model: Option<String>,
    /// What the image shows; `other` means any model.
    pub modality: Option<Modality>,
    /// Quantiser step in percent of the model's base steps, 1..=10,000; 100 is the step it was
    /// trained for, more is coarser. `None` leaves it to the model: 100, or, where its latents have block levels and
    /// there are floors to be met, the coarsest that meets them, found with two trials at most. Steps of such models
    /// are rounded to sixteenths of an octave.
    pub quantiser_step_percent: Option<u32>,
    /// How the latent is written; [`LatentCoding::RawRows`] goes with [`Mode::Latent`] and the model's own step.
    pub latent_coding: LatentCoding,
}

/// The model's own steps.
const OWN_STEPS_PERCENT: u32 = 100;

/// Largest [`Policy::quantiser_step_percent`].
pub const MAX_QUANTISER_STEP_PERCENT: u32 = 10_000;

impl Policy {
    /// Checks the ranges named above.
    ///
    /// # Errors
    /// [`CodecError::InvalidPolicy`] if a value is out of range, [`CodecError::NotEnabled`] for
    /// [`Mode::Bounded`].
    pub fn validate(&self) -> Result<(), CodecError> {
        let unit = |floor: Option<f64>| floor.is_none_or(|value| (0.0..=1.0).contains(&value));
        if !unit(self.floors.min_ssim) {
            return Err(CodecError::InvalidPolicy { what: "min_ssim must lie in 0..=1" });
        }
        if !unit(self.floors.min_local_ssim) {
            return Err(CodecError::InvalidPolicy { what: "min_local_ssim must lie in 0..=1" });
        }
        if !self.floors.min_psnr_db.is_none_or(|value| (0.0..=200.0).contains(&value)) {
            return Err(CodecError::InvalidPolicy { what: "min_psnr_db must lie in 0..=200" });
        }
        let step = self.quantiser_step_percent;
        if step.is_some_and(|step| !(1..=MAX_QUANTISER_STEP_PERCENT).contains(&step)) {
            return Err(CodecError::InvalidPolicy { what: "quantiser_step_percent must lie in 1..=10000" });
        }
        if self.latent_coding == LatentCoding::RawRows {
            self.validate_raw_rows()?;
        }
        match self.mode {
            Mode::Latent | Mode::Exact => Ok(()),
            Mode::Bounded => Err(CodecError::NotEnabled { what: "mode bounded" }),
        }
    }

    fn validate_raw_rows(&self) -> Result<(), CodecError> {
        if self.mode != Mode::Latent {
            return Err(CodecError::InvalidPolicy { what: "rows of a raw latent need mode latent" });
        }
        if self.quantiser_step_percent.is_some_and(|step| step != OWN_STEPS_PERCENT) {
            let what = "rows of a raw latent are not quantised: leave the quantiser step out";
            return Err(CodecError::InvalidPolicy { what });
        }
        Ok(())
    }

    /// How its latents are quantised and written.
    pub(crate) fn coding(&self) -> Coding {
        Coding { quantiser_step: self.quantiser_step(), latent: self.latent_coding }
    }

    /// The quantiser step as the bitstream has it: in 1/256 of the model's base steps, rounded, at
    /// least 1.
    pub(crate) fn quantiser_step(&self) -> u16 {
        let percent = self.quantiser_step_percent.unwrap_or(OWN_STEPS_PERCENT);
        let step = (u64::from(percent) * 256 + 50) / 100;
        u16::try_from(step).unwrap_or(u16::MAX).max(1)
    }
}

/// How a latent is quantised and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Coding {
    /// In 1/256 of the model's base steps, at least 1.
    pub(crate) quantiser_step: u16,
    pub(crate) latent: LatentCoding,
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIDELITY: Fidelity =
        Fidelity { ssim: 0.97, min_local_ssim: 0.9, psnr_db: Some(40.0), mse: 1e-4, max_abs_error: 9 };

    #[test]
    fn a_figure_that_equals_its_floor_holds_and_nan_never_does() {
        let exact = Floors {
            min_ssim: Some(0.97),
            min_local_ssim: Some(0.9),
            min_psnr_db: Some(40.0),
            max_abs_error: Some(9),
        };
        assert!(exact.hold(&FIDELITY) && Floors::NONE.hold(&FIDELITY));
        for worse in [
            Fidelity { ssim: 0.969, ..FIDELITY },
            Fidelity { ssim: f64::NAN, ..FIDELITY },
            Fidelity { min_local_ssim: 0.899, ..FIDELITY },
            Fidelity { min_local_ssim: f64::NAN, ..FIDELITY },
            Fidelity { psnr_db: Some(39.9), ..FIDELITY },
            Fidelity { psnr_db: Some(f64::NAN), ..FIDELITY },
            Fidelity { max_abs_error: 10, ..FIDELITY },
        ] {
            assert!(!exact.hold(&worse), "{worse:?}");
        }
        assert!(exact.hold(&Fidelity { psnr_db: None, ..FIDELITY }), "identical pixels have no PSNR");
    }

    #[test]
    fn the_step_is_rounded_and_never_zero() {
        let step =
            |percent| Policy { quantiser_step_percent: Some(percent), ..Policy::default() }.quantiser_step();
        assert_eq!([1, 50, 100, 150, 10_000].map(step), [3, 128, 256, 384, 25_600]);
        assert_eq!((step(0), step(u32::MAX)), (1, u16::MAX));
        assert_eq!(Policy::default().quantiser_step(), 256);
    }

    #[test]
    fn names_round_trip() {
        for mode in [Mode::Latent, Mode::Exact, Mode::Bounded] {
            assert_eq!(mode.to_string().parse::<Mode>().unwrap(), mode);
        }
        for below in [BelowFloor::Exact, BelowFloor::Reject, BelowFloor::SendMarked] {
            assert_eq!(below.to_string().parse::<BelowFloor>().unwrap(), below);
        }
        assert_eq!("LATENT".parse::<Mode>().unwrap_err().reason(), "INVALID_POLICY");
        assert_eq!("none".parse::<BelowFloor>().unwrap_err().reason(), "INVALID_POLICY");
    }
}
