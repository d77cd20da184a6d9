//! How images are to be coded.

use clap::{Args, ValueEnum};

/// How images are to be coded; the same flags for `send` and `inspect`.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Policy")]
pub struct PolicyArgs {
    /// How the pixels travel [default: latent].
    #[arg(long, value_name = "MODE")]
    pub mode: Option<ModeArg>,
    /// Floor of the mean structural similarity, 0 to 1 [default: 0.95].
    #[arg(long, value_name = "SSIM", value_parser = parse_similarity)]
    pub min_ssim: Option<f64>,
    /// Floor of the structural similarity of the worst 64x64 tile, 0 to 1.
    #[arg(long, value_name = "SSIM", value_parser = parse_similarity)]
    pub min_local_ssim: Option<f64>,
    /// Floor of the peak signal-to-noise ratio in decibels.
    #[arg(long, value_name = "DB", value_parser = parse_decibels)]
    pub min_psnr_db: Option<f64>,
    /// Largest absolute error allowed, in stored values.
    #[arg(long, value_name = "VALUE")]
    pub max_abs_error: Option<u32>,
    /// What happens to an image below a floor [default: exact].
    #[arg(long, value_name = "WHAT")]
    pub below_floor: Option<BelowFloorArg>,
    /// Model id; chosen by what the image shows where absent.
    #[arg(long, value_name = "ID")]
    pub model: Option<String>,
    /// What the image shows; found out where absent.
    #[arg(long, value_name = "WHAT")]
    pub modality: Option<ModalityArg>,
    /// Quantiser step in per cent of the model's own, 25 to 1600: larger is smaller and coarser [default: 100].
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(25..=1600))]
    pub quality_step: Option<u32>,
}

/// How the pixels travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModeArg {
    /// Quantised, entropy-coded latent, measured against the floors.
    Latent,
    /// The file's own bytes.
    Exact,
    /// Latent plus a bounded residual; not enabled yet.
    Bounded,
}

/// What happens to an image below a floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BelowFloorArg {
    /// The original file travels instead.
    Exact,
    /// Nothing travels.
    Reject,
    /// The latent travels, marked.
    SendMarked,
}

/// What an image shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModalityArg {
    /// Colour photograph of the retina.
    Fundus,
    /// Chest X-ray.
    #[value(alias = "chest_xray")]
    Chest,
    /// Magnetic resonance slice of the brain.
    #[value(alias = "brain_mri")]
    Brain,
    /// Anything else.
    Other,
}

fn parse_similarity(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        Ok(_) | Err(_) => Err("a similarity is a number from 0 to 1".to_owned()),
    }
}

fn parse_decibels(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=200.0).contains(&value) => Ok(value),
        Ok(_) | Err(_) => Err("a signal-to-noise ratio is a number of decibels from 0 to 200".to_owned()),
    }
}
