//! The audit log: kept, whole, and its secret key elsewhere.

use std::path::{Path, PathBuf};

use latentwire_audit::verify::{self, Checks};

use super::Finding;
use crate::{
    args::{DoctorArgs, RoleArg},
    keys::with_suffix,
};

/// What is to be said of the audit log that is named, or lies in the data folder.
pub(super) fn check(args: &DoctorArgs) -> Vec<Finding> {
    let in_data = args.data.as_ref().map(|data| data.join("audit"));
    let Some(folder) = args.audit.clone().or(in_data) else {
        let is_sender = args.role == Some(RoleArg::Sender);
        let advice = "start the service with --audit DIR, and name the folder here too";
        let unkept =
            || Finding::warn("audit", "no audit log is named: who sent what is not written down", advice);
        return is_sender.then(unkept).into_iter().collect();
    };
    if !folder.exists() {
        return vec![Finding::ok("audit", format!("{} will be made at the first start", folder.display()))];
    }
    let mut findings = vec![whole(&folder)];
    let beside = secret_keys(&folder, args.data.as_deref());
    findings.extend(beside.into_iter().filter(|file| file.exists()).map(|file| {
        let message = format!("the secret audit key {} is on this machine", file.display());
        let advice = "move it to the auditor's machine: the service needs the public half alone";
        Finding::warn("audit", message, advice)
    }));
    findings
}

fn whole(folder: &Path) -> Finding {
    match verify::folder(folder, &Checks::default()) {
        Ok(report) if report.is_sound() => {
            let message = format!("{}: {} records, the chain is whole", folder.display(), report.records);
            Finding::ok("audit", message)
        }
        Ok(report) => {
            let first = report.findings.first().map(|finding| finding.what.as_str()).unwrap_or_default();
            let advice = "keep a copy of the folder as it is, then see docs/OPERATIONS.md, The audit log";
            Finding::fail("audit", format!("{}: {first}", folder.display()), advice)
        }
        Err(error) => Finding::fail(
            "audit",
            error.to_string(),
            "run this as the service's user, or name the right folder",
        ),
    }
}

/// Where a service that was given no key put the secret half.
fn secret_keys(folder: &Path, data: Option<&Path>) -> Vec<PathBuf> {
    let mut places = vec![with_suffix(folder, ".key"), folder.join("audit.key")];
    places.extend(data.map(|data| with_suffix(data, ".audit.key")));
    places
}
