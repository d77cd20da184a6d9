//! How images are to be coded.

use clap::{Args, ValueEnum};
use latentwire_service::floors::FloorArgs;

/// How images are to be coded; the same flags for `send` and `inspect`.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Policy")]
pub struct PolicyArgs {
    /// How the pixels travel [default: latent].
    #[arg(long, value_name = "MODE")]
    pub mode: Option<ModeArg>,
    /// What the reconstruction must keep.
    #[command(flatten)]
    pub floors: FloorArgs,
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

/// How the coded image is sealed; `send` alone seals.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Research (refused by receivers that do not allow it)")]
pub struct SealingArgs {
    /// Cipher below AES-256-GCM, which adds no security [default: none].
    #[arg(long, value_name = "CIPHER")]
    pub inner: Option<InnerArg>,
    /// How the image is cut into sealed segments [default: fixed].
    #[arg(long, value_name = "HOW")]
    pub segment: Option<SegmentArg>,
}

/// Cipher below AES-256-GCM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InnerArg {
    /// AES-256-GCM alone.
    None,
    /// The four chaos stages of Alqahtani 2024.
    Chaos4,
}

/// How the image is cut into sealed segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SegmentArg {
    /// Padded, and into segments of one size.
    Fixed,
    /// One a row of the raw latent, as in Alslman 2022: not coded, not padded.
    Row,
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
