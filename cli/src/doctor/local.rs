//! Checks of this machine alone: library, models, key, trust store, data folder.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use latentwire_codec::{InferenceError, Runtime};
use latentwire_service::args::models_folder;
use latentwire_service::keys::{self, KeyFileError, KeySource};
use latentwire_service::sealing::{PublicKey, Role, Standing, TrustEntry};
use latentwire_service::tls::ServerTls;
use latentwire_service::trust::{TrustFileError, load_trust};
use time::{Duration, OffsetDateTime};

use super::{Finding, storage_key};
use crate::{
    args::{DoctorArgs, RoleArg},
    keys::{secret_key, staged_file, with_suffix},
    models::{Found, find},
    trust::shown,
    whole_file::WholeFile,
};

/// A key that ends sooner than this is worth a word.
const ENDS_SOON: Duration = Duration::days(30);

/// ONNX Runtime's library: found, and loaded.
pub fn library(args: &DoctorArgs) -> Vec<Finding> {
    let finding = match Runtime::load(args.onnxruntime.as_deref()) {
        Ok(runtime) => {
            let path = runtime.library().display();
            Finding::ok("library", format!("ONNX Runtime {} at {path}", runtime.version()))
        }
        Err(InferenceError::LibraryMissing { searched, .. }) => {
            let places: Vec<_> = searched.iter().map(|place| place.display().to_string()).collect();
            let message = format!("ONNX Runtime's library is in none of {}", places.join(", "));
            let advice =
                "install the package, or run scripts/fetch-onnxruntime.sh, or pass --onnxruntime FILE";
            Finding::fail("library", message, advice)
        }
        Err(error) => {
            let advice =
                "bring the library of this version: scripts/fetch-onnxruntime.sh, or --onnxruntime FILE";
            Finding::fail("library", error.to_string(), advice)
        }
    };
    vec![finding]
}

/// Certificate, key and client CA of the service's own ports, and its callers' file.
pub fn access(args: &DoctorArgs) -> Vec<Finding> {
    let mut findings = Vec::new();
    match ServerTls::load(&args.tls) {
        Ok(None) => {}
        Ok(Some(tls)) => {
            let until = tls.validity().not_after;
            let file = args.tls.tls_certificate.as_deref().unwrap_or(Path::new("")).display();
            let message = format!("certificate {file} is valid until {}", shown(until));
            findings.push(if until - OffsetDateTime::now_utc() < ENDS_SOON {
                Finding::warn("tls", message, "renew it: the service reads the new file by itself")
            } else {
                Finding::ok("tls", message)
            });
        }
        Err(error) => findings.push(Finding::fail("tls", error.to_string(), "the service would not start")),
    }
    if let Some(file) = &args.callers {
        findings.push(match crate::callers::entries(file) {
            Ok(0) => Finding::warn(
                "callers",
                format!("{} lists nobody", file.display()),
                "every call is refused: let somebody in with `latentwire callers add`",
            ),
            Ok(entries) => Finding::ok("callers", format!("{} lets {entries} in", file.display())),
            Err(error) => Finding::fail("callers", error.to_string(), "the service would not start"),
        });
    }
    findings
}

/// The models where no library can load them: only whether there are some.
pub fn unloaded_models(args: &DoctorArgs) -> Vec<Finding> {
    let models = models_folder(&args.models);
    match latentwire_codec::model::find(&models) {
        Ok(found) if !found.is_empty() => {
            let message =
                format!("{} in {} are not tried: the library is missing", found.len(), models.display());
            vec![Finding::warn("models", message, "mend the library, then ask again")]
        }
        Ok(_none) => vec![no_model(&args.models, None)],
        Err(error) => vec![no_model(&args.models, Some(error.to_string()))],
    }
}

fn no_model(folder: &Path, why: Option<String>) -> Finding {
    let message = match why {
        _ if !models_folder(folder).is_dir() => format!("there is no folder {}", folder.display()),
        Some(why) => why,
        None => format!("there is no model in {}", folder.display()),
    };
    Finding::fail("models", message, "pass --models DIR, the folder that holds the model folders")
}

/// The models: read, checked against their digests, loaded.
pub fn models(args: &DoctorArgs) -> Vec<Finding> {
    let found = match find(&args.models, false, args.onnxruntime.as_deref()) {
        Ok(found) => found,
        Err(failure) => return vec![no_model(&args.models, Some(failure.message))],
    };
    if found.is_empty() {
        return vec![no_model(&args.models, None)];
    }
    let (sound, broken): (Vec<&Found>, Vec<&Found>) =
        found.iter().partition(|found| found.problem().is_none());
    let mut findings = Vec::new();
    if !sound.is_empty() {
        let ids: Vec<_> =
            sound.iter().filter_map(|found| Some(found.model.as_ref().ok()?.id.as_str())).collect();
        findings.push(Finding::ok("models", format!("{} load", ids.join(", "))));
    }
    let differing =
        found.iter().filter_map(|found| found.model.as_ref().ok().filter(|model| model.differs_here));
    findings.extend(differing.map(|model| {
        let message = format!(
            "{}: this machine differs: the decoder gives other bits than it is certified to give",
            model.id
        );
        let advice = "nothing must be done: it is not certified here, and what a certified sender sends with it travels \
                      exact; compare processor and ONNX Runtime with the list in docs/MODELS.md";
        Finding::warn("models", message, advice)
    }));
    findings.extend(broken.into_iter().map(|found| {
        let message = format!("{}: {}", found.folder.display(), found.problem().unwrap_or_default());
        Finding::fail("models", message, "restore the folder from its release, or take it away")
    }));
    findings
}

/// The service's secret key: as the service reads it; its public half; a rotation under way.
pub fn key(args: &DoctorArgs) -> Vec<Finding> {
    let Some(file) = &args.key else { return Vec::new() };
    let read = match args.role {
        Some(role) => keys::load_secret_key(file, args.key_source, role.into()),
        None => secret_key(file, args.key_source),
    };
    let key = match read {
        Ok(key) => *key.public_key(),
        Err(error) => return vec![Finding::fail("key", error.to_string(), key_advice(&error))],
    };
    let fingerprint = key.fingerprint();
    let mut findings = vec![Finding::ok(
        "key",
        format!("{}: a {}'s, fingerprint {fingerprint}", file.display(), key.role()),
    )];
    if args.key_source == KeySource::File {
        findings.extend(public_half(file, &key));
        findings.extend(staged(file));
    }
    findings
}

pub(super) fn key_advice(error: &KeyFileError) -> String {
    match error {
        KeyFileError::Permissions { path, .. } => {
            format!("chmod 600 '{}', and rotate the key if anyone could have read it", path.display())
        }
        KeyFileError::Owner { path, user, .. } => {
            format!("chown {user} '{}', or run this as the service's user", path.display())
        }
        KeyFileError::SymbolicLink { .. } => {
            "name the file itself, or pass --key-source mounted where an orchestrator makes the link".to_owned()
        }
        KeyFileError::Role { expected, .. } => {
            format!("name the {expected}'s key, or make one: latentwire keys generate --role {expected} -o FILE")
        }
        KeyFileError::Text { .. } | KeyFileError::NotAKeyFile { .. } => {
            "restore the file that `latentwire keys generate` wrote; where it is lost, make a new key and pin it".to_owned()
        }
        KeyFileError::Io { cause, .. } if cause.kind() == ErrorKind::NotFound => {
            "name the right file, or make a key: latentwire keys generate --role ROLE -o FILE".to_owned()
        }
        KeyFileError::Io { .. } | KeyFileError::Exists { .. } | _ => "see docs/CLI.md, keys".to_owned(),
    }
}

fn public_half(file: &Path, key: &PublicKey) -> Option<Finding> {
    let public = with_suffix(file, ".pub");
    let found = keys::load_public_key(&public.to_string_lossy());
    let wrong = !matches!(&found, Ok(found) if found == key);
    let missing =
        matches!(&found, Err(KeyFileError::Io { cause, .. }) if cause.kind() == ErrorKind::NotFound);
    (wrong && !missing).then(|| {
        let message = format!("{} is not the public half of {}", public.display(), file.display());
        let advice = if staged_file(file).exists() || with_suffix(&staged_file(file), ".pub").exists() {
            format!("complete the rotation: latentwire keys rotate --finish '{}'", file.display())
        } else {
            format!(
                "write it anew: latentwire keys show --quiet '{}' > '{}'",
                file.display(),
                public.display()
            )
        };
        Finding::warn("key", message, advice)
    })
}

fn staged(file: &Path) -> Option<Finding> {
    let staged = staged_file(file);
    staged.symlink_metadata().is_ok().then(|| {
        let message = format!("a rotation is under way: {} waits", staged.display());
        let advice = format!(
            "when the peers have pinned it: latentwire keys rotate --finish '{}', then restart the service",
            file.display()
        );
        Finding::warn("key", message, advice)
    })
}

/// The trust store: as the service reads it; where each peer's keys stand.
pub fn trust(args: &DoctorArgs) -> Vec<Finding> {
    let Some(file) = &args.trust else { return Vec::new() };
    let store = match load_trust(file) {
        Ok(store) => store,
        Err(error) => {
            let advice = match &error {
                TrustFileError::Permissions { path, .. } => format!("chmod go-w '{}'", path.display()),
                TrustFileError::Io { cause, .. } if cause.kind() == ErrorKind::NotFound => {
                    format!("make it: latentwire trust add '{}' --name PEER --key PEER.pub", file.display())
                }
                TrustFileError::Io { .. }
                | TrustFileError::Text { .. }
                | TrustFileError::TooLarge { .. }
                | _ => {
                    "mend the line, or restore the file; a running service keeps the store that it has read"
                        .to_owned()
                }
            };
            return vec![Finding::fail("trust", error.to_string(), advice)];
        }
    };
    let now = OffsetDateTime::now_utc();
    let mut names: Vec<_> = store.entries().iter().map(|entry| entry.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        let advice = format!("latentwire trust add '{}' --name PEER --key PEER.pub", file.display());
        return vec![Finding::fail("trust", format!("{} pins no peer", file.display()), advice)];
    }
    let role = if args.role == Some(RoleArg::Sender) { Role::Receiver } else { Role::Sender };
    names.into_iter().map(|name| peer(name, store.named(name), role, file, now)).collect()
}

fn peer<'a>(
    name: &str,
    entries: impl Iterator<Item = &'a TrustEntry>,
    role: Role,
    file: &Path,
    now: OffsetDateTime,
) -> Finding {
    let entries: Vec<_> = entries.collect();
    let live: Vec<_> = entries.iter().filter(|entry| entry.standing(now) == Standing::Live).collect();
    let ends = |entry: &&&TrustEntry| [entry.not_after, entry.revoked_at].into_iter().flatten().min();
    let renew = format!("latentwire trust add '{}' --name {name} --key NEW.pub", file.display());
    if let Some(entry) = entries.iter().find(|entry| entry.key.role() != role) {
        let advice =
            "a receiver's trust store pins senders, a sender's pins receivers: say whose it is with --role";
        let message = format!("{name}: its key is a {}'s and admits nobody", entry.key.role());
        return Finding::warn("trust", message, advice);
    }
    if live.is_empty() {
        let coming = entries.iter().filter(|entry| entry.standing(now) == Standing::NotYetValid);
        if let Some(from) = coming.filter_map(|entry| entry.not_before).min() {
            let advice = "nothing, if that is meant; else check this machine's clock, and the entry";
            return Finding::warn("trust", format!("{name}: not valid before {}", shown(from)), advice);
        }
        let revoked = entries.iter().all(|entry| entry.standing(now) == Standing::Revoked);
        let (state, advice) = if revoked {
            ("revoked", format!("nothing, if that is meant; else pin its new key: {renew}"))
        } else {
            ("expired", format!("get its next key and pin it: {renew}"))
        };
        return Finding::warn("trust", format!("{name}: every key is {state}, so no image passes"), advice);
    }
    match live
        .iter()
        .map(ends)
        .max_by_key(|end| end.unwrap_or(OffsetDateTime::UNIX_EPOCH + Duration::days(365 * 1000)))
    {
        Some(Some(end)) if end - now < ENDS_SOON => {
            let message = format!("{name}: its last key ends on {}", shown(end));
            Finding::warn("trust", message, format!("get its next key and pin it: {renew}"))
        }
        _ if live.len() > 1 => {
            Finding::ok("trust", format!("{name}: live, two keys (a rotation is under way)"))
        }
        _ => Finding::ok("trust", format!("{name}: live")),
    }
}

/// The data folder: writable, with room, its storage key well kept.
pub fn data(args: &DoctorArgs) -> Vec<Finding> {
    let Some(folder) = &args.data else { return Vec::new() };
    if !folder.exists() {
        let parent = existing_parent(folder);
        return vec![match try_to_write(&parent) {
            Ok(()) => Finding::warn(
                "data",
                format!("{} is not there yet", folder.display()),
                "nothing: receiver-svc makes it when it starts",
            ),
            Err(why) => Finding::fail(
                "data",
                format!("{} is not there and cannot be made: {why}", folder.display()),
                "make it, and give it to the service's user",
            ),
        }];
    }
    if let Err(why) = try_to_write(folder) {
        let advice =
            "give it to the service's user (chown), and check that its disk is not mounted read-only";
        return vec![Finding::fail("data", why, advice)];
    }
    let mut findings = vec![room(folder, args.min_free_bytes)];
    findings.extend(storage_key::check(args, folder));
    findings
}

fn existing_parent(folder: &Path) -> PathBuf {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    absolute.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/")).to_owned()
}

/// Writes a file into the folder and takes it away again.
fn try_to_write(folder: &Path) -> Result<(), String> {
    if !folder.is_dir() {
        return Err(format!("{} is no folder", folder.display()));
    }
    let mut probe = WholeFile::create(&folder.join("doctor")).map_err(|failure| failure.message)?;
    probe.write(b"latentwire doctor").map_err(|failure| failure.message)
}

fn room(folder: &Path, min_free_bytes: u64) -> Finding {
    let free = match rustix::fs::statvfs(folder) {
        Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
        Err(error) => {
            let message = format!("{}: the free room cannot be found out: {error}", folder.display());
            return Finding::warn("data", message, "look at the disk by hand: df");
        }
    };
    let message = format!("{} is writable, {} free", folder.display(), indicatif::DecimalBytes(free));
    if free < min_free_bytes {
        let advice = "free some, or move the folder: images are refused with STORAGE_FULL";
        return Finding::fail("data", message, advice);
    }
    if free < min_free_bytes.saturating_mul(4) {
        let advice = format!("soon images will be refused: below {min_free_bytes} B free (--min-free-bytes)");
        return Finding::warn("data", message, advice);
    }
    Finding::ok("data", message)
}
