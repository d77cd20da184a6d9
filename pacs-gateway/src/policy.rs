//! How what is stored here is to be coded: flags to the policy of a request.

use clap::{Args, ValueEnum};
use latentwire_proto::v1::{BelowFloor, Floors, Mode, Policy};

/// How stored objects are to be coded; what is not said is left to the sender's own defaults.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Policy")]
pub struct PolicyArgs {
    /// How the pixels travel; the sender's default is latent. What no latent can hold (reports, plans, video) travels exact.
    #[arg(long, env = "LATENTWIRE_MODE", value_name = "MODE", value_enum)]
    pub mode: Option<ModeArg>,
    /// Floor of the mean structural similarity, 0 to 1; the sender's default is 0.95.
    #[arg(long, env = "LATENTWIRE_MIN_SSIM", value_name = "SSIM", value_parser = parse_similarity)]
    pub min_ssim: Option<f64>,
    /// Floor of the structural similarity of the worst 64x64 tile, 0 to 1.
    #[arg(long, env = "LATENTWIRE_MIN_LOCAL_SSIM", value_name = "SSIM", value_parser = parse_similarity)]
    pub min_local_ssim: Option<f64>,
    /// Floor of the peak signal-to-noise ratio in decibels.
    #[arg(long, env = "LATENTWIRE_MIN_PSNR_DB", value_name = "DB", value_parser = parse_decibels)]
    pub min_psnr_db: Option<f64>,
    /// Largest absolute error allowed, in stored values.
    #[arg(long, env = "LATENTWIRE_MAX_ABS_ERROR", value_name = "VALUE")]
    pub max_abs_error: Option<u32>,
    /// What happens to an image below a floor; the sender's default is exact.
    #[arg(long, env = "LATENTWIRE_BELOW_FLOOR", value_name = "WHAT", value_enum)]
    pub below_floor: Option<BelowFloorArg>,
    /// Which objects overtake others at the sender.
    #[arg(long, env = "LATENTWIRE_URGENT", value_name = "WHICH", value_enum, default_value_t)]
    pub urgent: Urgent,
}

/// How the pixels travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModeArg {
    /// Quantised, entropy-coded latent, measured against the floors.
    Latent,
    /// The object's own bytes.
    Exact,
}

/// What happens to an image below a floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BelowFloorArg {
    /// The original travels instead.
    Exact,
    /// Nothing travels, and the modality is told so.
    Reject,
    /// The latent travels, marked.
    SendMarked,
}

/// Which objects overtake others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Urgent {
    /// Those that are stored with DIMSE priority HIGH.
    #[default]
    High,
    /// All.
    All,
    /// None.
    None,
}

impl Urgent {
    /// Whether an object is urgent that was stored with priority HIGH, or not.
    #[must_use]
    pub fn applies(self, high: bool) -> bool {
        match self {
            Self::High => high,
            Self::All => true,
            Self::None => false,
        }
    }
}

impl From<&PolicyArgs> for Policy {
    fn from(args: &PolicyArgs) -> Self {
        let mode = args.mode.map_or(Mode::Unspecified, |mode| match mode {
            ModeArg::Latent => Mode::Latent,
            ModeArg::Exact => Mode::Exact,
        });
        let below_floor = args.below_floor.map_or(BelowFloor::Unspecified, |below_floor| match below_floor {
            BelowFloorArg::Exact => BelowFloor::Exact,
            BelowFloorArg::Reject => BelowFloor::Reject,
            BelowFloorArg::SendMarked => BelowFloor::SendMarked,
        });
        let floors = Floors {
            min_ssim: args.min_ssim,
            min_local_ssim: args.min_local_ssim,
            min_psnr_db: args.min_psnr_db,
            max_abs_error: args.max_abs_error,
        };
        Self {
            mode: mode.into(),
            floors: (floors != Floors::default()).then_some(floors),
            below_floor: below_floor.into(),
            ..Self::default()
        }
    }
}

fn parse_similarity(text: &str) -> Result<f64, String> {
    within(text, 1.0).ok_or_else(|| "a similarity is a number from 0 to 1".to_owned())
}

fn parse_decibels(text: &str) -> Result<f64, String> {
    within(text, 200.0)
        .ok_or_else(|| "a signal-to-noise ratio is a number of decibels from 0 to 200".to_owned())
}

fn within(text: &str, most: f64) -> Option<f64> {
    text.parse::<f64>().ok().filter(|value| (0.0..=most).contains(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_left_to_the_sender() {
        assert_eq!(Policy::from(&PolicyArgs::default()), Policy::default());
        let args = PolicyArgs {
            mode: Some(ModeArg::Exact),
            min_psnr_db: Some(40.0),
            below_floor: Some(BelowFloorArg::Reject),
            ..PolicyArgs::default()
        };
        let policy = Policy::from(&args);
        assert_eq!(policy.mode(), Mode::Exact);
        assert_eq!(policy.below_floor(), BelowFloor::Reject);
        assert_eq!(policy.floors.and_then(|floors| floors.min_psnr_db), Some(40.0));
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        assert_eq!(parse_similarity("0.95"), Ok(0.95));
        for text in ["1.01", "-0.1", "NaN", "much"] {
            assert!(parse_similarity(text).is_err(), "{text}");
        }
        assert!(parse_decibels("40").is_ok() && parse_decibels("inf").is_err());
    }

    #[test]
    fn urgency_follows_the_flag() {
        assert!(Urgent::High.applies(true) && !Urgent::High.applies(false));
        assert!(Urgent::All.applies(false) && !Urgent::None.applies(true));
    }
}
