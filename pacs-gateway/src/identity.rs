//! Names that are derived with a secret of this gateway: ids of transfers and names of studies.
//!
//! The same object to the same destination is always the same transfer, so that a modality that stores again what it was
//! told had failed duplicates nothing. Without the secret nobody can tell from an id, in a log say, which object it was.

use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt, path::Path};

use anyhow::Context;
use hmac::{Hmac, KeyInit, Mac};
use latentwire_service::{
    args::KeySource,
    keys::{read_secret_file, write_new_secret_file},
};
use sha2::Sha256;
use zeroize::Zeroizing;

/// The secret's file in the data folder.
const FILE: &str = "identity.key";
/// What the line in it begins with.
const PREFIX: &str = "LATENTWIRE-GATEWAY-SECRET-1 ";
const SECRET_BYTES: usize = 32;
const TRANSFER: &[u8] = b"latentwire gateway transfer v1";
const STUDY: &[u8] = b"latentwire gateway study v1";

/// The secret. It is wiped from memory with its owner.
pub struct Identity(Zeroizing<[u8; SECRET_BYTES]>);

impl Identity {
    /// Reads the secret in this folder; makes both at the first start.
    ///
    /// # Errors
    /// The folder or the file cannot be made, read, or is open to others; one sentence says what to do.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(FILE);
        if path.symlink_metadata().is_err() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.with_context(|| format!("data folder {} cannot be made", folder.display()))?;
            let mut secret = Zeroizing::new([0; SECRET_BYTES]);
            getrandom::fill(&mut *secret).context("the system has no random numbers")?;
            let text = Zeroizing::new(format!("{PREFIX}{}", hex::encode(*secret)));
            write_new_secret_file(&path, &text)?;
        }
        let text = read_secret_file(&path, KeySource::File)?;
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        text.trim()
            .strip_prefix(PREFIX)
            .and_then(|digits| hex::decode_to_slice(digits, &mut *secret).ok())
            .with_context(|| format!("{} is not a gateway's secret: put the right file back", path.display()))?;
        Ok(Self(secret))
    }

    /// Id of the transfer of an object to a destination; `sha256` is the file's.
    #[must_use]
    pub fn transfer_id(&self, destination: &str, sop_instance: &str, sha256: &[u8; 32]) -> [u8; 16] {
        self.derive(TRANSFER, &[destination.as_bytes(), sop_instance.as_bytes(), sha256])
    }

    /// Name of a study, by its Study Instance UID.
    #[must_use]
    pub fn study_group(&self, study_instance: &str) -> String {
        hex::encode(self.derive(STUDY, &[study_instance.as_bytes()]))
    }

    /// HMAC-SHA-256 of a label and parts, each behind its length; the first 16 bytes.
    fn derive(&self, label: &[u8], parts: &[&[u8]]) -> [u8; 16] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.0).expect("HMAC takes keys of any length");
        for part in std::iter::once(&label).chain(parts) {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        let tag = mac.finalize().into_bytes();
        std::array::from_fn(|index| tag[index])
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn the_secret_outlives_the_process_and_no_other_user_can_read_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let first = Identity::open(&data).expect("made");
        let again = Identity::open(&data).expect("read");
        assert_eq!(first.study_group("1.2"), again.study_group("1.2"));
        let other = Identity::open(&folder.path().join("other")).expect("made");
        assert_ne!(first.study_group("1.2"), other.study_group("1.2"));
        let mode = fs::metadata(data.join(FILE)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_wrong_or_open_file_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE);
        write_new_secret_file(&path, "LATENTWIRE-GATEWAY-SECRET-1 00ff").expect("written");
        let error = Identity::open(folder.path()).err().expect("too short").to_string();
        assert!(error.contains(FILE), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("own file");
        let error = Identity::open(folder.path()).err().expect("open to others").to_string();
        assert!(error.contains("chmod"), "{error}");
    }

    #[test]
    fn an_id_depends_on_every_part_and_on_where_it_ends() {
        let identity = Identity(Zeroizing::new([7; SECRET_BYTES]));
        let id = identity.transfer_id("b", "1.2", &[0; 32]);
        assert_eq!(id, identity.transfer_id("b", "1.2", &[0; 32]));
        for other in [
            identity.transfer_id("c", "1.2", &[0; 32]),
            identity.transfer_id("b", "1.3", &[0; 32]),
            identity.transfer_id("b1", ".2", &[0; 32]),
            identity.transfer_id("b", "1.2", &[1; 32]),
        ] {
            assert_ne!(id, other);
        }
    }
}
