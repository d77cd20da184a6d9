//! The fidelity floors of a policy as flags: the same for whoever hands images in, by gRPC or by DICOM.

use clap::{Args, ValueEnum};
use latentwire_proto::v1::{BelowFloor, Floors, Policy};

/// Floors that a reconstruction must keep, and what happens to an image that does not.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Policy")]
pub struct FloorArgs {
    /// Floor of the mean structural similarity, 0 to 1 [default: 0.95].
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
    /// What happens to an image below a floor [default: exact].
    #[arg(long, env = "LATENTWIRE_BELOW_FLOOR", value_name = "WHAT")]
    pub below_floor: Option<BelowFloorArg>,
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

impl From<&FloorArgs> for Policy {
    /// A policy of these floors alone. What is not given stays unset, so that the sender's own defaults hold.
    fn from(args: &FloorArgs) -> Self {
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
    fn what_is_not_given_is_left_to_the_sender() {
        assert_eq!(Policy::from(&FloorArgs::default()), Policy::default());
        let args = FloorArgs {
            min_psnr_db: Some(40.0),
            below_floor: Some(BelowFloorArg::Reject),
            ..FloorArgs::default()
        };
        let policy = Policy::from(&args);
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
}
