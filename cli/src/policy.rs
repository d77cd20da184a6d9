//! Policy flags to the policy of a request.

use latentwire_proto::v1::{InnerLayer, Modality, Mode, Policy, Segmentation};

use crate::args::{InnerArg, ModalityArg, ModeArg, PolicyArgs, SealingArgs, SegmentArg};

/// The policy of a request to send.
pub fn to_send(policy: &PolicyArgs, sealing: &SealingArgs) -> Policy {
    let inner_layer = sealing.inner.map_or(InnerLayer::Unspecified, |inner| match inner {
        InnerArg::None => InnerLayer::None,
        InnerArg::Chaos4 => InnerLayer::Chaos4,
    });
    let segmentation = sealing.segment.map_or(Segmentation::Unspecified, |segment| match segment {
        SegmentArg::Fixed => Segmentation::Fixed,
        SegmentArg::Row => Segmentation::Row,
    });
    Policy { inner_layer: inner_layer.into(), segmentation: segmentation.into(), ..policy.into() }
}

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
