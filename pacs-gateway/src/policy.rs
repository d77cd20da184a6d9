//! How what is stored here is to be coded: flags to the policy of a request.

use clap::{Args, ValueEnum};
use latentwire_proto::v1::{Mode, Policy};
use latentwire_service::floors::FloorArgs;

/// How stored objects are to be coded; what is not said is left to the sender's own defaults.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Policy")]
pub struct PolicyArgs {
    /// How the pixels travel; the sender's default is latent. What no latent can hold (reports, plans, video) travels exact.
    #[arg(long, env = "LATENTWIRE_MODE", value_name = "MODE", value_enum)]
    pub mode: Option<ModeArg>,
    /// What the reconstruction must keep.
    #[command(flatten)]
    pub floors: FloorArgs,
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
        Self { mode: mode.into(), ..Self::from(&args.floors) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_left_to_the_sender() {
        assert_eq!(Policy::from(&PolicyArgs::default()), Policy::default());
        let args = PolicyArgs {
            mode: Some(ModeArg::Exact),
            floors: FloorArgs { min_psnr_db: Some(40.0), ..FloorArgs::default() },
            ..PolicyArgs::default()
        };
        let policy = Policy::from(&args);
        assert_eq!(policy.mode(), Mode::Exact);
        assert_eq!(policy.floors.and_then(|floors| floors.min_psnr_db), Some(40.0));
    }

    #[test]
    fn urgency_follows_the_flag() {
        assert!(Urgent::High.applies(true) && !Urgent::High.applies(false));
        assert!(Urgent::All.applies(false) && !Urgent::None.applies(true));
    }
}
