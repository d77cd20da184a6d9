//! The callers' file: names, what proves them, what they may do.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use thiserror::Error;

use super::permission::Permission;
use super::token::{TokenDigest, sha256_of_hex};
use crate::tls::PeerCertificate;

/// Largest callers' file.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// Most entries; every call is compared with all of them.
const MAX_ENTRIES: usize = 1_000;
/// Longest name of a caller.
const MAX_NAME_CHARS: usize = 64;

/// Why a callers' file could not be loaded; local, it names the file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CallerFileError {
    /// It could not be read.
    #[error("callers file {} cannot be read ({cause}): make one with `latentwire callers add`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        cause: std::io::Error,
    },
    /// Others may change it.
    #[error("callers file {} can be changed by others (mode {mode:04o}): run `chmod go-w '{}'`", path.display(), path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is not a callers' file.
    #[error("callers file {}: {cause}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
}

/// What proves a caller.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A bearer token with this SHA-256.
    Token(TokenDigest),
    /// A client certificate, verified against `--tls-client-ca`, with this SHA-256 over its DER.
    Certificate([u8; 32]),
    /// A client certificate, verified against `--tls-client-ca`, with this DNS name among its subject alternative names.
    CertificateName(String),
}

/// A caller, one way to prove it, and what it may do. Several entries may share a name: so a credential is changed with overlap.
#[derive(Clone, Debug)]
pub struct CallerEntry {
    /// Name, as logs and the audit log show it.
    pub name: Arc<str>,
    /// What proves it.
    pub credential: Credential,
    /// What it may do, sorted.
    pub permissions: Vec<Permission>,
}

/// Layout of the file.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(default)]
    caller: Vec<TextEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TextEntry {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate_sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate_name: Option<String>,
    permissions: Vec<Permission>,
}

/// All callers.
#[derive(Clone, Debug, Default)]
pub struct CallerList {
    entries: Vec<CallerEntry>,
}

impl CallerList {
    /// Reads a callers' file whole.
    ///
    /// # Errors
    /// [`CallerFileError`]; its text names the file.
    pub fn load(path: &Path) -> Result<Self, CallerFileError> {
        let io = |cause| CallerFileError::Io { path: path.to_owned(), cause };
        let wrong = |cause: String| CallerFileError::Text { path: path.to_owned(), cause };
        let file = File::open(path).map_err(io)?;
        let mode = file.metadata().map_err(io)?.mode() & 0o7777;
        if mode & 0o022 != 0 {
            return Err(CallerFileError::Permissions { path: path.to_owned(), mode });
        }
        let mut text = String::new();
        file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(io)?;
        if text.len() as u64 > MAX_FILE_BYTES {
            return Err(wrong(format!("it has more than {MAX_FILE_BYTES} bytes: name the right file")));
        }
        Self::parse(&text).map_err(wrong)
    }

    /// Reads the text of a callers' file.
    ///
    /// # Errors
    /// A sentence that says which entry is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text: Text = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut list = Self::default();
        for entry in text.caller {
            let of = |what: String| format!("caller {:?}: {what}", entry.name);
            let credential = match (&entry.token_sha256, &entry.certificate_sha256, &entry.certificate_name) {
                (Some(token), None, None) => {
                    Credential::Token(token.parse().map_err(|error| of(format!("token_sha256 {error}")))?)
                }
                (None, Some(digest), None) => Credential::Certificate(
                    sha256_of_hex(digest).map_err(|error| of(format!("certificate_sha256 {error}")))?,
                ),
                (None, None, Some(name)) => Credential::CertificateName(name.to_ascii_lowercase()),
                _ => {
                    return Err(of(
                        "give one of token_sha256, certificate_sha256 and certificate_name".to_owned()
                    ));
                }
            };
            list.add(CallerEntry {
                name: entry.name.as_str().into(),
                credential,
                permissions: entry.permissions,
            })?;
        }
        Ok(list)
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// A sentence: the name is none, nothing is permitted, or the credential is another entry's already.
    pub fn add(&mut self, mut entry: CallerEntry) -> Result<(), String> {
        let of = |what: &str| Err(format!("caller {:?}: {what}", entry.name));
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if entry.name.is_empty() || entry.name.len() > MAX_NAME_CHARS || !entry.name.chars().all(allowed) {
            return of("a name has 1 to 64 letters, digits, dots, hyphens or underscores");
        }
        if let Credential::CertificateName(name) = &entry.credential
            && (name.is_empty() || name.contains('*') || !name.chars().all(allowed))
        {
            return of("certificate_name is one whole DNS name, without *");
        }
        entry.permissions.sort_unstable();
        entry.permissions.dedup();
        if entry.permissions.is_empty() {
            return of(
                "permissions are empty, so that it could do nothing: name some, or leave the caller out",
            );
        }
        if self.entries.iter().any(|other| same(&other.credential, &entry.credential)) {
            return of("its token or certificate proves another entry already");
        }
        if self.entries.len() == MAX_ENTRIES {
            return of("there are 1,000 entries already, the most there may be");
        }
        self.entries.push(entry);
        Ok(())
    }

    /// Removes every entry of this name; says how many there were.
    pub fn remove(&mut self, name: &str) -> usize {
        let before = self.entries.len();
        self.entries.retain(|entry| &*entry.name != name);
        before - self.entries.len()
    }

    /// All entries, as they stand in the file.
    #[must_use]
    pub fn entries(&self) -> &[CallerEntry] {
        &self.entries
    }

    /// The file's text.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let entry = |entry: &CallerEntry| {
            let (mut token, mut digest, mut dns) = (None, None, None);
            match &entry.credential {
                Credential::Token(known) => token = Some(known.to_string()),
                Credential::Certificate(known) => digest = Some(hex::encode(known)),
                Credential::CertificateName(name) => dns = Some(name.clone()),
            }
            TextEntry {
                name: entry.name.to_string(),
                token_sha256: token,
                certificate_sha256: digest,
                certificate_name: dns,
                permissions: entry.permissions.clone(),
            }
        };
        let text = Text { caller: self.entries.iter().map(entry).collect() };
        toml::to_string(&text).expect("strings and lists are TOML")
    }

    /// The entry of a token's digest. Every entry is compared, each in constant time.
    pub(super) fn of_token(&self, presented: &TokenDigest) -> Option<&CallerEntry> {
        let (mut found, mut place) = (Choice::from(0), 0_u64);
        for (index, entry) in self.entries.iter().enumerate() {
            if let Credential::Token(known) = &entry.credential {
                let same = known.ct_eq(presented);
                place.conditional_assign(&(index as u64), same);
                found |= same;
            }
        }
        bool::from(found).then(|| &self.entries[usize::try_from(place).unwrap_or(0)])
    }

    /// The entry of a verified certificate: by its digest, else by one of its names.
    pub(super) fn of_certificate(&self, certificate: &PeerCertificate) -> Option<&CallerEntry> {
        let by_digest = |entry: &&CallerEntry| matches!(&entry.credential, Credential::Certificate(known) if *known == certificate.sha256);
        let by_name = |entry: &&CallerEntry| matches!(&entry.credential, Credential::CertificateName(name) if certificate.dns_names.contains(name));
        self.entries.iter().find(by_digest).or_else(|| self.entries.iter().find(by_name))
    }
}

fn same(one: &Credential, other: &Credential) -> bool {
    match (one, other) {
        (Credential::Token(one), Credential::Token(other)) => one.ct_eq(other).into(),
        (Credential::Certificate(one), Credential::Certificate(other)) => one == other,
        (Credential::CertificateName(one), Credential::CertificateName(other)) => one == other,
        (Credential::Token(_) | Credential::Certificate(_) | Credential::CertificateName(_), _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    #[test]
    fn what_is_written_is_read_again() {
        let text = format!(
            "[[caller]]\nname = \"pacs\"\ntoken_sha256 = \"{DIGEST}\"\npermissions = [\"send\", \"list\", \"send\"]\n\
             [[caller]]\nname = \"viewer\"\ncertificate_name = \"Viewer.hospital.example\"\npermissions = [\"fetch\"]\n\
             [[caller]]\nname = \"viewer\"\ncertificate_sha256 = \"{}\"\npermissions = [\"fetch\"]\n",
            "AB:".repeat(32).trim_end_matches(':')
        );
        let list = CallerList::parse(&text).expect("three entries");
        assert_eq!(list.entries()[0].permissions, [Permission::Send, Permission::List]);
        let mut again = CallerList::parse(&list.to_toml()).expect("the same");
        assert_eq!(again.to_toml(), list.to_toml());
        let certificate =
            PeerCertificate { sha256: [1; 32], dns_names: vec!["viewer.hospital.example".to_owned()] };
        assert_eq!(again.of_certificate(&certificate).map(|entry| &*entry.name), Some("viewer"));
        assert_eq!(again.remove("viewer"), 2);
        assert!(again.of_certificate(&certificate).is_none());
    }

    #[test]
    fn a_token_that_is_off_by_a_bit_is_nobodys() {
        let text =
            format!("[[caller]]\nname = \"a\"\ntoken_sha256 = \"{DIGEST}\"\npermissions = [\"send\"]\n");
        let list = CallerList::parse(&text).expect("an entry");
        assert!(list.of_token(&DIGEST.parse().expect("a digest")).is_some());
        for bit in 0..256 {
            let mut bytes = sha256_of_hex(DIGEST).expect("a digest");
            bytes[bit / 8] ^= 1 << (bit % 8);
            let wrong: TokenDigest = hex::encode(bytes).parse().expect("a digest");
            assert!(list.of_token(&wrong).is_none(), "bit {bit}");
        }
        assert!(CallerList::default().of_token(&DIGEST.parse().expect("a digest")).is_none());
    }

    #[test]
    fn what_is_wrong_is_said() {
        let entry = |more: &str| format!("[[caller]]\nname = \"a\"\n{more}");
        let token = format!("token_sha256 = \"{DIGEST}\"\npermissions = [\"send\"]\n");
        for (text, part) in [
            (entry("permissions = [\"send\"]\n"), "give one of"),
            (entry(&format!("certificate_name = \"b\"\n{token}")), "give one of"),
            (entry("token_sha256 = \"12\"\npermissions = [\"send\"]\n"), "64 hexadecimal digits"),
            (entry(&token.replace("[\"send\"]", "[]")), "permissions are empty"),
            (entry(&token.replace("send", "everything")), "everything"),
            (entry(&token).replace("\"a\"", "\"a b\""), "1 to 64"),
            (entry("certificate_name = \"*.example\"\npermissions = [\"send\"]\n"), "without *"),
            (entry(&token) + &entry(&token), "another entry"),
            (entry(&format!("token = \"x\"\n{token}")), "unknown field"),
        ] {
            let error = CallerList::parse(&text).expect_err(part);
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn what_others_may_change_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("callers.toml");
        assert!(CallerList::load(&path).expect_err("missing").to_string().contains("latentwire callers add"));
        std::fs::write(&path, "").expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o664)).expect("changed");
        assert!(CallerList::load(&path).expect_err("open to others").to_string().contains("chmod go-w"));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("changed");
        assert!(CallerList::load(&path).expect("an empty list").entries().is_empty());
    }
}
