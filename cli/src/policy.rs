//! Policy flags to the policy of a request.

use latentwire_proto::v1::{Modality, Mode, Policy};

use crate::args::{ModalityArg, ModeArg, PolicyArgs};

impl From<&PolicyArgs> for Policy {
    /// What is not on the command line stays unset, so that the service's own defaults hold.
    fn from(args: &PolicyArgs) -> Self {
        let mode = args.mode.map_or(Mode::Unspecified, |mode| match mode {
            ModeArg::Latent => Mode::Latent,
            ModeArg::Exact => Mode::Exact,
            ModeArg::Bounded => Mode::Bounded,
        });
        let modality = args.modality.map_or(Modality::Unspecified, |modality| match modality {
            ModalityArg::Fundus => Modality::Fundus,
            ModalityArg::Chest => Modality::Chest,
            ModalityArg::Brain => Modality::Brain,
            ModalityArg::Other => Modality::Other,
        });
        Self {
            mode: mode.into(),
            model: args.model.clone().unwrap_or_default(),
            modality: modality.into(),
            quantiser_step_percent: args.quality_step.unwrap_or(0),
            ..Self::from(&args.floors)
        }
    }
}
