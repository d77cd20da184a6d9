//! `latentwire trust`: the list of peers whose keys are pinned.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use latentwire_service::sealing::{CryptoError, Form, PublicKey, Role, Standing, TrustEntry, TrustStore};
use latentwire_service::trust::{TrustFileError, load_trust};
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    args::{AddArgs, FingerprintArg, FormArg, RemoveArgs, RevokeArgs, TrustCommand, TrustFileArgs},
    failure::{Exit, Failure},
    keys::public_key,
    terminal::{Paint, Terminal, paint},
    whole_file::{WholeFile, folder_of},
};

/// Changes or lists a trust store; a running service reads the new one within seconds.
///
/// # Errors
/// The store cannot be read or written, the key is none, or the store does not take the change.
pub fn trust(command: TrustCommand, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    match command {
        TrustCommand::Add(args) => add(args, terminal),
        TrustCommand::List(args) => {
            let store = load_trust(&args.file)?;
            if terminal.quiet() && !args.json {
                names(&store, terminal)
            } else {
                show(&args, &store, terminal)
            }
        }
        TrustCommand::Remove(args) => remove(&args, terminal),
        TrustCommand::Revoke(args) => revoke(&args, terminal),
    }?;
    Ok(Exit::Done)
}

fn add(args: AddArgs, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let key = public_key(&args.key)?;
    if let Some(role) = args.role.map(Role::from)
        && role != key.role()
    {
        return Err(Failure::usage(format!("--role {role} does not fit: the key is a {}'s", key.role())));
    }
    let form = |form: &FormArg| match form {
        FormArg::Latent => Form::Latent,
        FormArg::Exact => Form::Exact,
    };
    let entry = TrustEntry {
        not_before: args.not_before.map(|moment| moment.0),
        not_after: args.not_after.map(|moment| moment.0),
        allowed_models: (!args.allow_model.is_empty()).then_some(args.allow_model),
        allowed_forms: (!args.allow_form.is_empty()).then(|| args.allow_form.iter().map(form).collect()),
        max_bytes: args.max_bytes,
        ..TrustEntry::new(args.name, key)
    };
    let file = &args.store.file;
    let _alone = alone(file)?;
    let mut store = if file.exists() { load_trust(file)? } else { TrustStore::default() };
    store.add(entry)?;
    write(file, &store)?;
    changed(&args.store, &store, terminal)
}

fn remove(args: &RemoveArgs, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let _alone = alone(&args.store.file)?;
    let mut store = load_trust(&args.store.file)?;
    for key in chosen(&args.store.file, &store, &args.name, args.fingerprint.as_ref())? {
        store.remove_key(&key);
    }
    write(&args.store.file, &store)?;
    changed(&args.store, &store, terminal)
}

fn revoke(args: &RevokeArgs, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let _alone = alone(&args.store.file)?;
    let mut store = load_trust(&args.store.file)?;
    let at = args.at.map_or_else(OffsetDateTime::now_utc, |moment| moment.0);
    let keys = chosen(&args.store.file, &store, &args.name, args.fingerprint.as_ref())?;
    let revoked = keys.iter().filter(|key| store.revoke_key(key, at)).count();
    if revoked == 0 {
        terminal.note("nothing changed: the revocation that is in the store already is no later");
    }
    write(&args.store.file, &store)?;
    changed(&args.store, &store, terminal)
}

/// The keys of a peer: the one with this fingerprint, or all.
fn chosen(
    file: &Path,
    store: &TrustStore,
    name: &str,
    fingerprint: Option<&FingerprintArg>,
) -> Result<Vec<PublicKey>, Failure> {
    let not_found = |what: String| {
        let message = format!("{} has no {what}", file.display());
        Failure::new("NOT_FOUND", "PEER_NOT_FOUND", message, Exit::Local)
    };
    let keys: Vec<_> = store.named(name).map(|entry| entry.key).collect();
    if keys.is_empty() {
        return Err(not_found(format!("peer {name:?}")));
    }
    let Some(fingerprint) = fingerprint else { return Ok(keys) };
    let fitting: Vec<_> = keys.into_iter().filter(|key| fingerprint.fits(&key.fingerprint())).collect();
    match fitting.len() {
        0 => Err(not_found(format!("key of peer {name:?} whose fingerprint begins so"))),
        1 => Ok(fitting),
        _ => Err(Failure::usage("several keys have fingerprints that begin so: give more digits")),
    }
}

/// Waits until no other command changes a store of this folder: between reading and writing, its change would be lost.
///
/// # Errors
/// The folder cannot be opened.
pub fn alone(file: &Path) -> Result<File, Failure> {
    let fail = |error: io::Error| Failure::file(file, &error);
    let folder = File::open(folder_of(file)).map_err(fail)?;
    folder.lock().map_err(fail)?;
    Ok(folder)
}

fn write(file: &Path, store: &TrustStore) -> Result<(), Failure> {
    replace(file, &store.to_toml())
}

/// Replaces a store whole; only its owner may change it, since the services refuse it otherwise.
///
/// # Errors
/// It cannot be written.
pub fn replace(file: &Path, text: &str) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    let mut whole = WholeFile::create(file)?;
    whole.write(text.as_bytes())?;
    let old = fs::metadata(file).ok();
    let mode = old.as_ref().map_or(0o644, |old| old.permissions().mode() & 0o755);
    whole.permissions(fs::Permissions::from_mode(mode))?;
    // root may change what the service's user reads.
    old.map_or(Ok(()), |old| whole.owner_of(&old))?;
    whole.keep()
}

fn changed(args: &TrustFileArgs, store: &TrustStore, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    if terminal.quiet() && !args.json { Ok(()) } else { show(args, store, terminal) }
}

fn names(store: &TrustStore, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let mut names: Vec<_> = store.entries().iter().map(|entry| entry.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().try_for_each(|name| terminal.print(&format!("{name}\n")))
}

fn show(args: &TrustFileArgs, store: &TrustStore, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let now = OffsetDateTime::now_utc();
    if args.json {
        return store.entries().iter().try_for_each(|entry| terminal.print(&(object(entry, now) + "\n")));
    }
    if store.entries().is_empty() {
        return terminal.print("no peer is pinned\n");
    }
    let text: Vec<_> = store.entries().iter().map(|entry| block(entry, now)).collect();
    terminal.print(&text.join("\n"))
}

/// What people read, and read out: the fingerprint on a line of its own.
fn block(entry: &TrustEntry, now: OffsetDateTime) -> String {
    let standing = entry.standing(now);
    let colour = match standing {
        Standing::Live => Paint::Good,
        Standing::NotYetValid => Paint::Notice,
        Standing::Expired | Standing::Revoked => Paint::Bad,
    };
    let state = paint(colour, state(standing));
    let mut text = format!("{}  {}  {state}\n", paint(Paint::Strong, &entry.name), entry.key.role());
    text.push_str(&format!("  fingerprint  {}\n", entry.key.fingerprint()));
    let mut line = |title: &str, value: Option<String>| {
        if let Some(value) = value {
            text.push_str(&format!("  {title:<11}  {value}\n"));
        }
    };
    line("not before", entry.not_before.map(shown));
    line("not after", entry.not_after.map(shown));
    line("revoked at", entry.revoked_at.map(shown));
    line("models", entry.allowed_models.as_ref().map(|models| models.join(", ")));
    line("forms", forms(entry).map(|forms| forms.join(", ")));
    line("quota", entry.max_bytes.map(|bytes| format!("{bytes} B")));
    text
}

fn object(entry: &TrustEntry, now: OffsetDateTime) -> String {
    json!({
        "name": entry.name,
        "role": entry.key.role().name(),
        "state": state(entry.standing(now)).replace(' ', "_"),
        "fingerprint": entry.key.fingerprint().to_string(),
        "public_key": entry.key.to_string(),
        "not_before": entry.not_before.map(shown),
        "not_after": entry.not_after.map(shown),
        "revoked_at": entry.revoked_at.map(shown),
        "allowed_models": entry.allowed_models,
        "allowed_forms": forms(entry),
        "max_bytes": entry.max_bytes,
    })
    .to_string()
}

fn forms(entry: &TrustEntry) -> Option<Vec<&'static str>> {
    entry.allowed_forms.as_ref().map(|forms| forms.iter().map(|form| form.name()).collect())
}

/// The word for where a key stands.
#[must_use]
pub fn state(standing: Standing) -> &'static str {
    match standing {
        Standing::Live => "live",
        Standing::NotYetValid => "not yet valid",
        Standing::Expired => "expired",
        Standing::Revoked => "revoked",
    }
}

/// A moment as the store has it.
#[must_use]
pub fn shown(moment: OffsetDateTime) -> String {
    moment.format(&Rfc3339).unwrap_or_else(|_| moment.to_string())
}

impl From<TrustFileError> for Failure {
    fn from(error: TrustFileError) -> Self {
        Self::local("TRUST_STORE", error.to_string())
    }
}

impl From<CryptoError> for Failure {
    fn from(error: CryptoError) -> Self {
        Self::local("TRUST_STORE", error.to_string())
    }
}
