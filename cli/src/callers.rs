//! `latentwire callers`: who may call the PACS-facing services.

use std::path::Path;

use getrandom::rand_core::{Rng, UnwrapErr};
use latentwire_service::callers::{CallerEntry, CallerFileError, CallerList, Credential, Permission, Token};
use latentwire_service::keys::write_new_secret_file;
use latentwire_service::tls::{TlsError, certificate_sha256};
use serde_json::json;

use crate::{
    args::{AddCallerArgs, CallersCommand, CallersFileArgs, RemoveCallerArgs, TokenArgs},
    failure::{Exit, Failure},
    paths::display,
    terminal::{Paint, Terminal, paint},
    trust::{alone, replace},
};

/// Changes or lists a callers' file, or makes a token; a running service reads the new file within seconds.
///
/// # Errors
/// A file cannot be read or written, or the entry cannot be made.
pub fn callers(command: CallersCommand, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    match command {
        CallersCommand::Add(args) => add(args, terminal),
        CallersCommand::List(args) => show(&args, &CallerList::load(&args.file)?, terminal),
        CallersCommand::Remove(args) => remove(&args, terminal),
        CallersCommand::Token(args) => token(&args, terminal),
    }?;
    Ok(Exit::Done)
}

fn add(args: AddCallerArgs, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let file = &args.store.file;
    let _alone = alone(file)?;
    let mut list = if file.exists() { CallerList::load(file)? } else { CallerList::default() };
    let fresh = args.token_output.as_ref().map(|output| (new_token(), output));
    let credential = match (&fresh, &args.token_sha256, &args.certificate, args.certificate_name) {
        (Some((token, _)), ..) => Credential::Token(token.digest()),
        (None, Some(digest), ..) => Credential::Token(
            digest.parse().map_err(|error| Failure::usage(format!("--token-sha256 {error}")))?,
        ),
        (None, None, Some(certificate), _) => Credential::Certificate(certificate_sha256(certificate)?),
        (None, None, None, name) => {
            Credential::CertificateName(name.unwrap_or_default().to_ascii_lowercase())
        }
    };
    let entry = CallerEntry { name: args.name.as_str().into(), credential, permissions: args.allow };
    list.add(entry).map_err(|error| Failure::local("CALLERS_FILE", error))?;
    if let Some((token, output)) = &fresh {
        write_new_secret_file(output, token.expose())?;
    }
    replace(file, &list.to_toml())?;
    changed(&args.store, &list, terminal)
}

fn remove(args: &RemoveCallerArgs, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let file = &args.store.file;
    let _alone = alone(file)?;
    let mut list = CallerList::load(file)?;
    if list.remove(&args.name) == 0 {
        let message = format!("{} has no caller {:?}", file.display(), args.name);
        return Err(Failure::new("NOT_FOUND", "CALLER_NOT_FOUND", message, Exit::Local));
    }
    replace(file, &list.to_toml())?;
    changed(&args.store, &list, terminal)
}

fn token(args: &TokenArgs, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let token = new_token();
    let digest = token.digest().to_string();
    if let Some(output) = &args.output {
        write_new_secret_file(output, token.expose())?;
    }
    let shown = args.output.is_none().then(|| token.expose());
    if args.json {
        let file = args.output.as_deref().map(display);
        let object = json!({"token": shown, "token_file": file, "token_sha256": digest});
        return terminal.print(&format!("{object}\n"));
    }
    if terminal.quiet() {
        return shown.map_or(Ok(()), |token| terminal.print(&format!("{token}\n")));
    }
    let secret = match (&args.output, shown) {
        (Some(output), _) => {
            format!("token:        {} (mode 0600; for the caller alone)\n", output.display())
        }
        (None, Some(token)) => {
            format!("token:        {token} (for the caller alone; it is shown this once)\n")
        }
        (None, None) => String::new(),
    };
    terminal.print(&format!("{secret}callers file: token_sha256 = \"{digest}\"\n"))
}

/// The system's generator; where it fails, nothing on this machine can be trusted to be random.
fn new_token() -> Token {
    let mut bytes = [0; 32];
    UnwrapErr(getrandom::SysRng).fill_bytes(&mut bytes);
    Token::from_random(&bytes)
}

fn changed(args: &CallersFileArgs, list: &CallerList, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    if terminal.quiet() && !args.json { Ok(()) } else { show(args, list, terminal) }
}

fn show(args: &CallersFileArgs, list: &CallerList, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    if args.json {
        return list.entries().iter().try_for_each(|entry| terminal.print(&(object(entry) + "\n")));
    }
    if terminal.quiet() {
        let mut names: Vec<_> = list.entries().iter().map(|entry| &*entry.name).collect();
        names.sort_unstable();
        names.dedup();
        return names.into_iter().try_for_each(|name| terminal.print(&format!("{name}\n")));
    }
    if list.entries().is_empty() {
        return terminal.print("no caller is let in\n");
    }
    let blocks: Vec<_> = list.entries().iter().map(block).collect();
    terminal.print(&blocks.join("\n"))
}

fn proof(credential: &Credential) -> (&'static str, String) {
    match credential {
        Credential::Token(digest) => ("token_sha256", digest.to_string()),
        Credential::Certificate(digest) => ("certificate_sha256", hex::encode(digest)),
        Credential::CertificateName(name) => ("certificate_name", name.clone()),
    }
}

fn permissions(entry: &CallerEntry) -> Vec<&'static str> {
    entry.permissions.iter().copied().map(Permission::name).collect()
}

fn block(entry: &CallerEntry) -> String {
    let (kind, value) = proof(&entry.credential);
    let name = paint(Paint::Strong, &entry.name);
    format!("{name}\n  {kind:<18}  {value}\n  {:<18}  {}\n", "may", permissions(entry).join(", "))
}

fn object(entry: &CallerEntry) -> String {
    let (kind, value) = proof(&entry.credential);
    json!({"name": &*entry.name, kind: value, "permissions": permissions(entry)}).to_string()
}

impl From<CallerFileError> for Failure {
    fn from(error: CallerFileError) -> Self {
        Self::local("CALLERS_FILE", error.to_string())
    }
}

impl From<TlsError> for Failure {
    fn from(error: TlsError) -> Self {
        Self::local("TLS_FILE", error.to_string())
    }
}

/// What `latentwire doctor` says of a callers' file.
///
/// # Errors
/// As [`CallerList::load`].
pub fn entries(file: &Path) -> Result<usize, CallerFileError> {
    Ok(CallerList::load(file)?.entries().len())
}
