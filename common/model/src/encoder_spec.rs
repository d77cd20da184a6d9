//! `[encoder]` of `manifest.toml`: the analysis net, and what its sender chooses.

use serde::Deserialize;

use crate::digest::FileDigest;
use crate::error::ModelError;
use crate::manifest::{check_file_name, field};

/// The analysis net, and how its latents are quantised. None of it changes what a latent decodes to.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderSpec {
    /// Plain file name inside the model folder.
    pub file: String,
    /// SHA-256 of the file's bytes.
    pub sha256: FileDigest,
    /// How much rounding favours zero, 0 to 0.5 steps: a value of `v` steps becomes `sign(v) · floor(|v| + 0.5 - dead_zone)`.
    /// For latents with block levels only.
    pub dead_zone: Option<f32>,
    /// How many bits an error of one squared step counts as much as, above 0 and at most 10^6: each coefficient takes
    /// the integer that costs least, error and bits together. For latents with block levels only, instead of a dead zone.
    pub error_weight: Option<f32>,
    /// Where the search for the rate knob begins. For latents with block levels only.
    pub rate: Option<RateSpec>,
}

/// What the model's pictures measured at some knobs, on the mean.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateSpec {
    /// Knob and SSIM: knobs ascend, SSIM does not rise; 2 points at least.
    pub ssim: Vec<(i32, f64)>,
    /// Knob and PSNR in dB, likewise.
    pub psnr_db: Vec<(i32, f64)>,
    /// How many knobs finer than the curves say the search begins, 0 to 32: what most pictures need to meet their floor at
    /// once, so that the second trial may miss it.
    #[serde(default)]
    pub spread: f64,
}

/// The rate knob's range, in sixteenths of an octave of the steps.
const KNOBS: std::ops::RangeInclusive<i32> = -48..=64;
/// Most points of a curve: more than there are knobs says nothing.
const MAX_POINTS: usize = 113;

const FILE: &str = "manifest.toml";

impl EncoderSpec {
    pub(crate) fn check(&self) -> Result<(), ModelError> {
        check_file_name(FILE, "encoder.file", &self.file)?;
        if let Some(dead_zone) = self.dead_zone.filter(|dead_zone| !(0.0..=0.5).contains(dead_zone)) {
            let problem = format!("must be 0 to 0.5 steps, found {dead_zone}");
            return Err(field(FILE, "encoder.dead_zone", problem));
        }
        if let Some(weight) = self.error_weight.filter(|weight| !(*weight > 0.0 && *weight <= 1e6)) {
            let problem = format!("must be above 0 and at most 1000000 bits, found {weight}");
            return Err(field(FILE, "encoder.error_weight", problem));
        }
        if self.error_weight.is_some() && self.dead_zone.is_some() {
            let problem = "stands beside encoder.dead_zone: an encoder has the one or the other".to_owned();
            return Err(field(FILE, "encoder.error_weight", problem));
        }
        if let Some(rate) = &self.rate {
            check_curve("encoder.rate.ssim", &rate.ssim, 1.0)?;
            check_curve("encoder.rate.psnr_db", &rate.psnr_db, 200.0)?;
            if !(0.0..=32.0).contains(&rate.spread) {
                let problem = format!("must be 0 to 32 knobs, found {}", rate.spread);
                return Err(field(FILE, "encoder.rate.spread", problem));
            }
        }
        Ok(())
    }
}

fn check_curve(name: &str, curve: &[(i32, f64)], most: f64) -> Result<(), ModelError> {
    let problem = if !(2..=MAX_POINTS).contains(&curve.len()) {
        format!("must have 2 to {MAX_POINTS} points, found {}", curve.len())
    } else if let Some((knob, _)) = curve.iter().find(|(knob, _)| !KNOBS.contains(knob)) {
        format!("must name knobs of -48 to 64, found {knob}")
    } else if let Some((_, value)) = curve.iter().find(|(_, value)| !(0.0..=most).contains(value)) {
        format!("must name values of 0 to {most}, found {value}")
    } else if !curve.is_sorted_by(|(a, _), (b, _)| a < b) {
        "must name its knobs in ascending order, each once".to_owned()
    } else if !curve.is_sorted_by(|(_, a), (_, b)| a >= b) {
        "must not rise: a larger knob is a coarser quantiser".to_owned()
    } else {
        return Ok(());
    };
    Err(field(FILE, name, problem))
}
