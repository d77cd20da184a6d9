//! The key that receiver-svc seals its data folder under: well kept, and not beside what it seals.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use latentwire_service::keys::{KeyFileError, KeySource};
use latentwire_service::storage_key;

use super::{Finding, local::key_advice};
use crate::args::DoctorArgs;

/// What is wrong with the storage key of a data folder that is there.
pub(super) fn check(args: &DoctorArgs, folder: &Path) -> Vec<Finding> {
    if args.storage_key_source == KeySource::Fd {
        return Vec::new();
    }
    let Some(file) = args.storage_key.clone().or_else(|| storage_key::default_path(folder)) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    if let Err(error) = storage_key::load(&file, args.storage_key_source) {
        let missing =
            matches!(&error, KeyFileError::Io { cause, .. } if cause.kind() == std::io::ErrorKind::NotFound);
        if missing && !folder.join("catalogue.sqlite").exists() {
            return findings;
        }
        if missing {
            let message = format!("the storage key {} is missing although there are images", file.display());
            return vec![Finding::fail("data", message, "put the key back: without it they cannot be read")];
        }
        if !is_the_services_own(folder, &file, &error) {
            findings.push(Finding::fail("data", error.to_string(), key_advice(&error)));
        }
    }
    if args.storage_key_source == KeySource::File && storage_key::lies_inside(folder, &file) {
        let message = format!("the storage key {} lies beside what it seals", file.display());
        let advice = "stop receiver-svc, move the key out of the data folder, and name it with --storage-key";
        findings.push(Finding::warn("data", message, advice));
    }
    if storage_key::staged_path(&file).exists() {
        let message = format!("a rotation of the storage key {} was cut off", file.display());
        findings.push(Finding::warn(
            "data",
            message,
            "stop receiver-svc and run `latentwire storage rotate` again",
        ));
    }
    findings
}

/// An administrator looks, not the service: a key is right where whoever owns the folder, and nobody else, can read it.
fn is_the_services_own(folder: &Path, file: &Path, error: &KeyFileError) -> bool {
    let owner_and_mode = |path: &Path| fs::metadata(path).map(|status| (status.uid(), status.mode() & 0o077));
    let Ok((key_owner, open_to)) = owner_and_mode(file) else { return false };
    matches!(error, KeyFileError::Owner { .. })
        && open_to == 0
        && owner_and_mode(folder).is_ok_and(|(owner, _)| owner == key_owner)
}
