//! Policy flags to the policy of a request.

use latentwire_proto::v1::{BelowFloor, Floors, Modality, Mode, Policy};

use crate::args::{BelowFloorArg, ModalityArg, ModeArg, PolicyArgs};

impl From<&PolicyArgs> for Policy {
    /// What is not on the command line stays unset, so that the service's own defaults hold.
    fn from(args: &PolicyArgs) -> Self {
        let mode = args.mode.map_or(Mode::Unspecified, |mode| match mode {
            ModeArg::Latent => Mode::Latent,
            ModeArg::Exact => Mode::Exact,
            ModeArg::Bounded => Mode::Bounded,
        });
        let below_floor = args.below_floor.map_or(BelowFloor::Unspecified, |below_floor| match below_floor {
            BelowFloorArg::Exact => BelowFloor::Exact,
            BelowFloorArg::Reject => BelowFloor::Reject,
            BelowFloorArg::SendMarked => BelowFloor::SendMarked,
        });
        let modality = args.modality.map_or(Modality::Unspecified, |modality| match modality {
            ModalityArg::Fundus => Modality::Fundus,
            ModalityArg::Chest => Modality::Chest,
            ModalityArg::Brain => Modality::Brain,
            ModalityArg::Other => Modality::Other,
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
            model: args.model.clone().unwrap_or_default(),
            modality: modality.into(),
            quantiser_step_percent: args.quality_step.unwrap_or(0),
            ..Self::default()
        }
    }
}
