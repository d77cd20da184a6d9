//! Names in the folder of a log.

use std::fs;
use std::path::{Path, PathBuf};

use crate::AuditError;

/// Most files of a log; far beyond what any disk holds.
pub(crate) const MAX_FILES: u32 = 999_999;

/// `audit-000001.log`
pub(crate) fn file(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("audit-{number:06}.log"))
}

/// Where the chain ends, for everybody.
pub(crate) fn head(folder: &Path) -> PathBuf {
    folder.join("head.json")
}

/// The key of the next record, for the service alone.
pub(crate) fn state(folder: &Path) -> PathBuf {
    folder.join("state")
}

/// Held while a service writes.
pub(crate) fn lock(folder: &Path) -> PathBuf {
    folder.join("lock")
}

/// The numbers of the log's files, in order.
pub(crate) fn numbers(folder: &Path) -> Result<Vec<u32>, AuditError> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder).map_err(AuditError::io(folder))? {
        let name = entry.map_err(AuditError::io(folder))?.file_name();
        numbers.extend(name.to_str().and_then(number));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("audit-")?.strip_suffix(".log")?;
    let number = digits.parse().ok().filter(|number| (1..=MAX_FILES).contains(number))?;
    (digits.len() == 6).then_some(number)
}
