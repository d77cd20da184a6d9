//! The messages that say where a transfer stands.

use std::time::SystemTime;

use latentwire_proto::v1::{ImageSummary, Transfer, TransferStatus};
use latentwire_service::status::transfer_error;
use prost_types::Timestamp;
use tonic::Status;

use crate::intake::Accepted;

/// A transfer that has been accepted and is on its way; it carries no image before it is coded.
#[must_use]
pub fn accepted(accepted: &Accepted) -> Transfer {
    let now = Timestamp::from(SystemTime::now());
    Transfer {
        transfer_id: accepted.transfer_id.to_vec().into(),
        destination: accepted.destination.name.clone(),
        status: TransferStatus::Sending.into(),
        create_time: Some(now),
        update_time: Some(now),
        study_group: accepted.study_group.clone(),
        sequence: accepted.sequence,
        ..Transfer::default()
    }
}

/// The transfer with what is now known of its image.
#[must_use]
pub fn coded(transfer: Transfer, image: ImageSummary) -> Transfer {
    Transfer { image: Some(image), ..touched(transfer) }
}

/// The transfer with the receiver's receipt.
#[must_use]
pub fn delivered(transfer: Transfer, image: ImageSummary, image_id: [u8; 16]) -> Transfer {
    Transfer {
        status: TransferStatus::Delivered.into(),
        image: Some(image),
        image_id: image_id.to_vec().into(),
        ..touched(transfer)
    }
}

/// The transfer that will not be delivered.
#[must_use]
pub fn rejected(transfer: Transfer, status: &Status) -> Transfer {
    Transfer {
        status: TransferStatus::Rejected.into(),
        error: Some(transfer_error(status)),
        ..touched(transfer)
    }
}

fn touched(transfer: Transfer) -> Transfer {
    Transfer { update_time: Some(SystemTime::now().into()), ..transfer }
}
