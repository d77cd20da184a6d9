//! The receivers that images may go to: name, address, pinned public keys.

use std::path::{Path, PathBuf};
use std::{collections::BTreeMap, fs};

use latentwire_sealing::{MAX_LIVE_KEYS, PublicKey, Role};
use serde::Deserialize;
use thiserror::Error;

use crate::keys;
use crate::peer_address::{PeerAddress, PeerAddressError};
use crate::tls::ClientTlsArgs;

/// Longest name of a destination.
const MAX_NAME_CHARS: usize = 64;

/// A receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Name that requests use.
    pub name: String,
    /// Where its TransferService listens.
    pub address: PeerAddress,
    /// Its pinned identity: one key, or two while the receiver changes from one to the other; tried in this order.
    pub public_keys: Vec<PublicKey>,
    /// TLS to it, for an https address.
    pub tls: ClientTlsArgs,
}

/// The configured receivers, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destinations {
    by_name: BTreeMap<String, Destination>,
}

/// Why the destinations could not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DestinationError {
    /// Not `NAME=URL,PUBLICKEY`.
    #[error("destination {0:?} is not written NAME=URL,PUBLICKEY or NAME=URL,PUBLICKEY,NEXTKEY")]
    Form(String),
    /// The name has letters that no name may have.
    #[error("destination name {0:?} must have 1 to 64 letters, digits, dots, hyphens or underscores")]
    Name(String),
    /// The address is none.
    #[error("destination {name}: {cause}")]
    Address {
        /// Name of the destination.
        name: String,
        /// What is wrong with it.
        cause: PeerAddressError,
    },
    /// The public key is none, or not a receiver's.
    #[error("destination {name}: {cause}")]
    Key {
        /// Name of the destination.
        name: String,
        /// What is wrong with it.
        cause: String,
    },
    /// No key, one key twice, or more keys than a change of keys needs.
    #[error("destination {name}: {problem}; pin one key, or two while the receiver changes its key")]
    Keys {
        /// Name of the destination.
        name: String,
        /// What is wrong with the list.
        problem: &'static str,
    },
    /// Two destinations have one name.
    #[error("destination {0} is configured twice")]
    Duplicate(String),
    /// The file cannot be read.
    #[error("destinations file {path}: {cause}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        cause: String,
    },
    /// There is none.
    #[error("no destination is configured: pass --destination NAME=URL,PUBLICKEY or --destinations FILE")]
    None,
}

/// Layout of the file of `--destinations`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DestinationsFile {
    #[serde(default)]
    destination: Vec<DestinationEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DestinationEntry {
    name: String,
    url: String,
    #[serde(default)]
    public_key: Option<String>,
    #[serde(default)]
    public_keys: Vec<String>,
    /// Files of TLS; where they are absent, those of the command line.
    #[serde(default)]
    ca: Option<PathBuf>,
    #[serde(default)]
    client_certificate: Option<PathBuf>,
    #[serde(default)]
    client_key: Option<PathBuf>,
}

impl Destinations {
    /// Reads what the command line says: `NAME=URL,PUBLICKEY[,NEXTKEY]` each, and a TOML file, whose entries may have TLS files
    /// of their own; `tls` are those of all others.
    ///
    /// # Errors
    /// An entry is malformed or doubled, the file cannot be read, or there is no destination at all.
    pub fn read(
        flags: &[String],
        file: Option<&Path>,
        tls: &ClientTlsArgs,
    ) -> Result<Self, DestinationError> {
        let mut destinations = Self::default();
        for flag in flags.iter().filter(|flag| !flag.is_empty()) {
            let malformed = || DestinationError::Form(flag.clone());
            let (name, rest) = flag.split_once('=').ok_or_else(malformed)?;
            let (url, keys) = rest.split_once(',').ok_or_else(malformed)?;
            destinations.add(name, url, keys.split(','), tls.clone())?;
        }
        if let Some(path) = file {
            let fail = |cause: String| DestinationError::File { path: path.display().to_string(), cause };
            let text = fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
            let entries: DestinationsFile = toml::from_str(&text).map_err(|error| fail(error.to_string()))?;
            for entry in entries.destination {
                let keys = entry.public_key.iter().chain(&entry.public_keys);
                let tls = entry.tls(tls).ok_or_else(|| {
                    fail(format!(
                        "destination {}: client_certificate and client_key belong together",
                        entry.name
                    ))
                })?;
                destinations.add(&entry.name, &entry.url, keys.map(String::as_str), tls)?;
            }
        }
        if destinations.by_name.is_empty() { Err(DestinationError::None) } else { Ok(destinations) }
    }

    /// The destination of a request: the one named, or the only one where none is.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Destination> {
        if name.is_empty() && self.by_name.len() == 1 {
            return self.by_name.values().next();
        }
        self.by_name.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Destination> {
        self.by_name.values()
    }

    fn add<'a>(
        &mut self,
        name: &str,
        url: &str,
        keys: impl Iterator<Item = &'a str>,
        tls: ClientTlsArgs,
    ) -> Result<(), DestinationError> {
        let name = checked_name(name)?;
        let address = url.parse().map_err(|cause| DestinationError::Address { name: name.clone(), cause })?;
        let mut public_keys = Vec::new();
        for key in keys {
            let key = public_key(key).map_err(|cause| DestinationError::Key { name: name.clone(), cause })?;
            if public_keys.contains(&key) {
                return Err(DestinationError::Keys { name, problem: "one key is pinned twice" });
            }
            public_keys.push(key);
        }
        if public_keys.is_empty() {
            return Err(DestinationError::Keys { name, problem: "no public key is pinned" });
        }
        if public_keys.len() > MAX_LIVE_KEYS {
            return Err(DestinationError::Keys { name, problem: "more than two public keys are pinned" });
        }
        let destination = Destination { name: name.clone(), address, public_keys, tls };
        match self.by_name.insert(name.clone(), destination) {
            None => Ok(()),
            Some(_) => Err(DestinationError::Duplicate(name)),
        }
    }
}

impl DestinationEntry {
    /// Its TLS files; `None` where half a pair is given.
    fn tls(&self, others: &ClientTlsArgs) -> Option<ClientTlsArgs> {
        let (client_certificate, client_key) = match (&self.client_certificate, &self.client_key) {
            (None, None) => (others.client_certificate.clone(), others.client_key.clone()),
            (Some(certificate), Some(key)) => (Some(certificate.clone()), Some(key.clone())),
            (Some(_), None) | (None, Some(_)) => return None,
        };
        let ca = self.ca.clone().or_else(|| others.ca.clone());
        Some(ClientTlsArgs {
            ca,
            client_certificate,
            client_key,
            client_key_source: others.client_key_source,
        })
    }
}

fn checked_name(name: &str) -> Result<String, DestinationError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if !name.is_empty() && name.len() <= MAX_NAME_CHARS && name.chars().all(allowed) {
        Ok(name.to_owned())
    } else {
        Err(DestinationError::Name(name.to_owned()))
    }
}

/// A receiver's public key: the text itself, or a file that holds it.
fn public_key(text: &str) -> Result<PublicKey, String> {
    let key = keys::load_public_key(text).map_err(|error| error.to_string())?;
    if key.role() == Role::Receiver {
        Ok(key)
    } else {
        Err("this is a sender's public key; a receiver's is needed".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use latentwire_sealing::SecretKey;

    fn key(role: Role) -> String {
        let mut rng = getrandom::rand_core::UnwrapErr(getrandom::SysRng);
        SecretKey::generate(role, &mut rng).public_key().to_string()
    }

    #[test]
    fn flags_and_file_give_one_list() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("destinations.toml");
        let text = format!(
            "[[destination]]\nname = \"b\"\nurl = \"http://b.example:50061\"\npublic_key = \"{}\"\n",
            key(Role::Receiver)
        );
        fs::write(&file, text).expect("file");
        let flag = format!("a=127.0.0.1:50061,{}", key(Role::Receiver));
        let destinations =
            Destinations::read(&[flag], Some(&file), &ClientTlsArgs::default()).expect("two destinations");
        let names: Vec<_> = destinations.iter().map(|destination| destination.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(destinations.find("").is_none(), "an empty name is ambiguous where there are two");
        assert!(destinations.find("b").is_some() && destinations.find("c").is_none());
    }

    #[test]
    fn the_only_destination_needs_no_name_and_its_key_may_stand_in_a_file() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("receiver.key.pub");
        fs::write(&file, key(Role::Receiver) + "\n").expect("file");
        let flag = format!("a=127.0.0.1:50061,{}", file.display());
        let destinations =
            Destinations::read(&[flag], None, &ClientTlsArgs::default()).expect("one destination");
        assert_eq!(destinations.find("").map(|destination| destination.name.as_str()), Some("a"));
    }

    #[test]
    fn two_keys_are_pinned_in_order_while_a_receiver_changes_its_key() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("destinations.toml");
        let keys = [key(Role::Receiver), key(Role::Receiver), key(Role::Receiver), key(Role::Receiver)];
        let text = format!(
            "[[destination]]\nname = \"b\"\nurl = \"b.example:1\"\npublic_keys = [\"{}\", \"{}\"]\n",
            keys[0], keys[1]
        );
        fs::write(&file, text).expect("file");
        let flag = format!("a=127.0.0.1:1,{},{}", keys[2], keys[3]);
        let destinations =
            Destinations::read(&[flag], Some(&file), &ClientTlsArgs::default()).expect("two destinations");
        let pinned = |name| {
            let destination = destinations.find(name).expect("configured");
            destination.public_keys.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(pinned("b"), keys[..2]);
        assert_eq!(pinned("a"), keys[2..]);
        fs::write(&file, "[[destination]]\nname = \"b\"\nurl = \"b.example:1\"\n").expect("file");
        let error =
            Destinations::read(&[], Some(&file), &ClientTlsArgs::default()).expect_err("no key").to_string();
        assert!(error.contains("no public key is pinned"), "{error}");
    }

    #[test]
    fn tls_files_are_the_entrys_own_or_those_of_the_command_line() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("destinations.toml");
        let entry = |more: &str| {
            let key = key(Role::Receiver);
            format!(
                "[[destination]]\nname = \"b\"\nurl = \"https://b.example:1\"\npublic_key = \"{key}\"\n{more}"
            )
        };
        let common = ClientTlsArgs { ca: Some("all.crt".into()), ..ClientTlsArgs::default() };
        for (more, ca, certificate) in [
            ("", "all.crt", None),
            ("ca = \"b.crt\"\n", "b.crt", None),
            ("client_certificate = \"c\"\nclient_key = \"k\"\n", "all.crt", Some("c")),
        ] {
            fs::write(&file, entry(more)).expect("file");
            let destinations = Destinations::read(&[], Some(&file), &common).expect("a destination");
            let found = destinations.find("b").expect("configured");
            assert!(found.address.is_tls());
            assert_eq!(found.tls.ca.as_deref(), Some(Path::new(ca)));
            assert_eq!(found.tls.client_certificate.as_deref(), certificate.map(Path::new));
        }
        fs::write(&file, entry("client_key = \"k\"\n")).expect("file");
        let error = Destinations::read(&[], Some(&file), &common).expect_err("half a pair").to_string();
        assert!(error.contains("belong together"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let receiver = key(Role::Receiver);
        let good = format!("a=127.0.0.1:1,{receiver}");
        for (flags, part) in [
            (vec![], "no destination"),
            (vec!["a".to_owned()], "NAME=URL,PUBLICKEY"),
            (vec![format!("a b=127.0.0.1:1,{receiver}")], "must have 1 to 64"),
            (vec![format!("a=127.0.0.1,{receiver}")], "is not an address"),
            (vec![format!("a=127.0.0.1:1,{}", key(Role::Sender))], "sender's public key"),
            (vec!["a=127.0.0.1:1,nonsense".to_owned()], "destination a"),
            (vec![good.clone(), good.clone()], "configured twice"),
            (vec![format!("{good},{receiver}")], "one key is pinned twice"),
            (vec![format!("{good},")], "destination a"),
            (vec![format!("{good},{},{}", key(Role::Receiver), key(Role::Receiver))], "more than two"),
        ] {
            let error =
                Destinations::read(&flags, None, &ClientTlsArgs::default()).expect_err(part).to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
