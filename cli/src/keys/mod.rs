//! `latentwire keys`: make, show and change identity keys.

mod pair;
mod rotate;

use std::{
    io::{Read, stdin},
    path::{Path, PathBuf},
};

use latentwire_service::keys::{self, KeyFileError, KeySource};
use latentwire_service::sealing::{PublicKey, Role, SecretKey};
use serde_json::{Value, json};

use crate::{
    args::{GenerateArgs, KeysCommand, RoleArg, STANDARD_STREAM, ShowArgs, is_standard_stream},
    failure::{Exit, Failure},
    paths::display,
    terminal::{Paint, Terminal, paint},
};

pub use rotate::staged_file;

/// Most of standard input that is read as a public key.
const MOST_KEY_BYTES: u64 = 4096;

/// Makes, shows or changes a key.
///
/// # Errors
/// The file exists already, cannot be written or read, or holds no key.
pub fn keys(command: KeysCommand, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    match command {
        KeysCommand::Generate(args) => generate(&args, terminal),
        KeysCommand::Show(args) => show(&args, terminal),
        KeysCommand::Rotate(args) if args.finish => rotate::finish(&args, terminal),
        KeysCommand::Rotate(args) => rotate::stage(&args, terminal),
    }?;
    Ok(Exit::Done)
}

fn generate(args: &GenerateArgs, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let key = new_key(args.role.into());
    let public_file = pair::write_new(&args.output, &key)?;
    let public = key.public_key();
    if args.json {
        let mut object = object(public);
        object["secret_file"] = display(&args.output).into();
        object["public_file"] = display(&public_file).into();
        return terminal.print(&format!("{object}\n"));
    }
    if terminal.quiet() {
        return Ok(());
    }
    let text = describe(public)
        + &format!("secret key:  {} (mode 0600; keep it on this machine)\n", args.output.display())
        + &format!("public file: {} (give it to the other side)\n", public_file.display());
    terminal.print(&text)
}

fn show(args: &ShowArgs, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let key =
        if is_standard_stream(&args.file) { public_key(STANDARD_STREAM)? } else { public_half(&args.file)? };
    if args.json {
        terminal.print(&format!("{}\n", object(&key)))
    } else if terminal.quiet() {
        terminal.print(&format!("{key}\n"))
    } else {
        terminal.print(&describe(&key))
    }
}

/// The system's generator; where it fails, nothing on this machine can be trusted to be random.
fn new_key(role: Role) -> SecretKey {
    SecretKey::generate(role, &mut getrandom::rand_core::UnwrapErr(getrandom::SysRng))
}

/// A public key as the command line names it: the text itself, a file, or `-` for standard input.
///
/// # Errors
/// It is none.
pub fn public_key(text_or_path: &str) -> Result<PublicKey, Failure> {
    if text_or_path != STANDARD_STREAM {
        return Ok(keys::load_public_key(text_or_path)?);
    }
    let mut text = String::new();
    let read = stdin().lock().take(MOST_KEY_BYTES).read_to_string(&mut text);
    read.map_err(|error| Failure::file(Path::new("standard input"), &error))?;
    PublicKey::from_text(&text)
        .map_err(|error| Failure::local("KEY_FILE", format!("standard input: {error}")))
}

/// The public half of a key file of either kind. A secret key is read with the checks of the services.
fn public_half(file: &Path) -> Result<PublicKey, Failure> {
    match keys::load_public_key(&file.to_string_lossy()) {
        Ok(key) => Ok(key),
        Err(_) => Ok(*secret_key(file, KeySource::File)?.public_key()),
    }
}

/// A secret key of either role, read with the checks of the services.
///
/// # Errors
/// As [`keys::load_secret_key`].
pub fn secret_key(file: &Path, source: KeySource) -> Result<SecretKey, KeyFileError> {
    match keys::load_secret_key(file, source, Role::Sender) {
        Err(KeyFileError::Role { found, .. }) => keys::load_secret_key(file, source, found),
        other => other,
    }
}

/// A file's name with something after it.
#[must_use]
pub fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// What two administrators compare before they pin a key.
fn describe(key: &PublicKey) -> String {
    let fingerprint = paint(Paint::Strong, &key.fingerprint().to_string());
    format!("role:        {}\npublic key:  {key}\nfingerprint: {fingerprint}\n", key.role())
}

fn object(key: &PublicKey) -> Value {
    json!({
        "role": key.role().name(),
        "public_key": key.to_string(),
        "fingerprint": key.fingerprint().to_string(),
    })
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Sender => Self::Sender,
            RoleArg::Receiver => Self::Receiver,
        }
    }
}

impl From<KeyFileError> for Failure {
    fn from(error: KeyFileError) -> Self {
        Self::local("KEY_FILE", error.to_string())
    }
}
