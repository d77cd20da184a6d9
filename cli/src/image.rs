//! Stored images and transfers as `list`, `get` and `watch` show them: as JSON, and as rows.

use latentwire_proto::v1::{Image, Transfer, TransferStatus};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    outcome::{ImageStatus, Outcome},
    table::{Cell, Column, decimal, number, words},
    terminal::Paint,
};

/// The columns of images.
pub const IMAGE_COLUMNS: [Column; 11] = [
    words("received").at_least(20).rank(4),
    words("image id").at_least(32),
    words("peer").at_least(8).rank(1),
    words("model").at_least(12).rank(6),
    words("mode").at_least(19),
    words("format").at_least(6).rank(5),
    words("size").at_least(11).rank(3),
    number("stored").at_least(8).rank(2),
    number("SSIM").at_least(6),
    words("verdict").at_least(10).rank(7),
    words("transfer id").at_least(32).rank(8),
];

/// The columns of transfers.
pub const TRANSFER_COLUMNS: [Column; 9] = [
    words("changed").at_least(20).rank(4),
    words("status").at_least(9),
    words("transfer id").at_least(32),
    words("destination").at_least(11).rank(1),
    words("model").at_least(12).rank(5),
    words("mode").at_least(19).rank(3),
    number("original").at_least(9).rank(6),
    number("sealed").at_least(8).rank(2),
    number("SSIM").at_least(6).rank(3),
];

/// A stored image with the field names of `send --json`.
#[must_use]
pub fn image_json(image: &Image) -> Value {
    let known = known(image);
    json!({
        "image_id": hex::encode(&image.image_id),
        "transfer_id": known.transfer_id,
        "peer": image.peer,
        "created_unix_seconds": image.create_time.as_ref().map(|time| time.seconds),
        "study_group": image.study_group,
        "sequence": image.sequence,
        "verdict": image.verdict,
        "format": image.image.as_ref().map(|summary| summary.format.clone()),
        "mode": known.mode,
        "model": known.model,
        "mark": known.mark,
        "modality": known.modality,
        "width": known.width,
        "height": known.height,
        "frames": known.frames,
        "original_bytes": known.original_bytes,
        "raw_bytes": known.raw_bytes,
        "coded_bytes": known.coded_bytes,
        "stored_bytes": image.stored_bytes,
        "ssim": known.ssim,
        "min_local_ssim": known.min_local_ssim,
        "psnr_db": known.psnr_db,
        "max_abs_error": known.max_abs_error,
    })
}

/// A transfer with the field names of `send --json`; its status may be `sending` too.
#[must_use]
pub fn transfer_json(transfer: &Transfer) -> Value {
    let known = known_transfer(transfer);
    let error = transfer.error.as_ref();
    json!({
        "transfer_id": known.transfer_id,
        "destination": transfer.destination,
        "status": status_word(transfer.status()),
        "image_id": (!transfer.image_id.is_empty()).then(|| hex::encode(&transfer.image_id)),
        "created_unix_seconds": transfer.create_time.as_ref().map(|time| time.seconds),
        "updated_unix_seconds": transfer.update_time.as_ref().map(|time| time.seconds),
        "study_group": transfer.study_group,
        "sequence": transfer.sequence,
        "mode": known.mode,
        "model": known.model,
        "mark": known.mark,
        "modality": known.modality,
        "width": known.width,
        "height": known.height,
        "frames": known.frames,
        "original_bytes": known.original_bytes,
        "raw_bytes": known.raw_bytes,
        "coded_bytes": known.coded_bytes,
        "sealed_bytes": known.sealed_bytes,
        "ssim": known.ssim,
        "min_local_ssim": known.min_local_ssim,
        "psnr_db": known.psnr_db,
        "max_abs_error": known.max_abs_error,
        "error": error.map(|error| json!({"code": error.code, "reason": error.reason, "message": error.message})),
    })
}

/// A row under [`IMAGE_COLUMNS`].
#[must_use]
pub fn image_row(image: &Image) -> Vec<Cell> {
    let known = known(image);
    let summary = image.image.as_ref();
    let dash = || "-".to_owned();
    let size = |summary: &latentwire_proto::v1::ImageSummary| match summary.frames {
        0 | 1 => format!("{}x{}", summary.width, summary.height),
        frames => format!("{}x{}x{frames}", summary.width, summary.height),
    };
    vec![
        moment(image.create_time.as_ref().map(|time| time.seconds)).into(),
        hex::encode(&image.image_id).into(),
        image.peer.clone().into(),
        known.model.clone().unwrap_or_else(dash).into(),
        known.mode_and_mark(),
        summary.map_or_else(dash, |summary| summary.format.clone()).into(),
        summary.map_or_else(dash, size).into(),
        image.stored_bytes.to_string().into(),
        decimal(known.ssim, 4),
        image.verdict.clone().into(),
        hex::encode(&image.transfer_id).into(),
    ]
}

/// A row under [`TRANSFER_COLUMNS`].
#[must_use]
pub fn transfer_row(transfer: &Transfer) -> Vec<Cell> {
    let known = known_transfer(transfer);
    vec![
        moment(transfer.update_time.as_ref().map(|time| time.seconds)).into(),
        status(transfer.status()),
        hex::encode(&transfer.transfer_id).into(),
        transfer.destination.clone().into(),
        known.model.clone().unwrap_or_else(|| "-".to_owned()).into(),
        known.mode_and_mark(),
        crate::table::whole(known.original_bytes),
        crate::table::whole(known.sealed_bytes),
        decimal(known.ssim, 4),
    ]
}

/// The word for a transfer's status.
#[must_use]
pub fn status_word(status: TransferStatus) -> &'static str {
    match status {
        TransferStatus::Unspecified => "unknown",
        TransferStatus::Queued => "queued",
        TransferStatus::Sending => "sending",
        TransferStatus::Delivered => "delivered",
        TransferStatus::Rejected => "rejected",
    }
}

fn status(status: TransferStatus) -> Cell {
    let word = status_word(status);
    match status {
        TransferStatus::Delivered => Cell::painted(Paint::Good, word),
        TransferStatus::Rejected => Cell::painted(Paint::Bad, word),
        TransferStatus::Queued => Cell::painted(Paint::Notice, word),
        TransferStatus::Sending | TransferStatus::Unspecified => Cell::painted(Paint::Faint, word),
    }
}

/// A moment as people and programs read it, in UTC and whole seconds.
#[must_use]
pub fn moment(unix_seconds: Option<i64>) -> String {
    let moment = unix_seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    moment.and_then(|moment| moment.format(&Rfc3339).ok()).unwrap_or_else(|| "-".to_owned())
}

fn known(image: &Image) -> Outcome {
    Outcome::new(
        String::new(),
        Some(hex::encode(&image.transfer_id)),
        ImageStatus::Delivered,
        image.image.as_ref(),
    )
}

fn known_transfer(transfer: &Transfer) -> Outcome {
    Outcome::new(
        String::new(),
        Some(hex::encode(&transfer.transfer_id)),
        ImageStatus::Delivered,
        transfer.image.as_ref(),
    )
}
