//! `latentwire certs dev`: a small CA and certificates, for development alone.

use std::{
    fs,
    net::IpAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use latentwire_service::keys::{KeySource, read_secret_file, write_new_secret_file};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use crate::{
    args::{CertsCommand, DevArgs},
    failure::{Exit, Failure},
    paths::display,
    terminal::Terminal,
};

/// Name of the CA; with its key it is the same CA on every run.
const CA_NAME: &str = "Latentwire development CA (not for patients)";
/// Clocks of test machines differ by a little.
const BACKDATED: Duration = Duration::hours(1);

/// Makes what is asked for.
///
/// # Errors
/// A name is none, a file is there already, or cannot be written.
pub fn certs(command: CertsCommand, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let CertsCommand::Dev(args) = command;
    dev(&args, terminal)?;
    Ok(Exit::Done)
}

fn dev(args: &DevArgs, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let clients = if args.client.is_empty() { vec!["client".to_owned()] } else { args.client.clone() };
    let pairs = args.host.iter().map(|name| (name, true)).chain(clients.iter().map(|name| (name, false)));
    let pairs: Vec<_> = pairs.collect();
    for (place, (name, _)) in pairs.iter().enumerate() {
        check_name(name)?;
        if pairs[..place].iter().any(|(other, _)| other == name) {
            return Err(Failure::usage(format!("{name:?} is named twice")));
        }
    }
    let folder = &args.output;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| Failure::file(folder, &error))?;
    for (name, _) in &pairs {
        refuse_existing(&folder.join(format!("{name}.crt")))?;
        refuse_existing(&folder.join(format!("{name}.key")))?;
    }
    let mut files = Vec::new();
    let issuer = certificate_authority(folder, args.days, &mut files)?;
    for (name, serves) in pairs {
        let key = new_key()?;
        let certificate = parameters(name, serves, args.days)?.signed_by(&key, &issuer).map_err(internal)?;
        write_pair(folder, name, &certificate.pem(), &key, &mut files)?;
    }
    if args.json {
        let files: Vec<_> = files.iter().map(|file| display(file)).collect();
        return terminal.print(&format!("{}\n", json!({"files": files, "days": args.days})));
    }
    if terminal.quiet() {
        return Ok(());
    }
    let list: String = files.iter().map(|file| format!("{}\n", display(file))).collect();
    terminal.print(&list)?;
    terminal.note(
        "for development alone, no hospital's PKI: nothing is ever revoked, and whoever has ca.key can pose as anybody",
    );
    Ok(())
}

/// The CA of the folder, made where there is none.
fn certificate_authority(
    folder: &Path,
    days: u16,
    files: &mut Vec<PathBuf>,
) -> Result<Issuer<'static, KeyPair>, Failure> {
    let (certificate, secret) = (folder.join("ca.crt"), folder.join("ca.key"));
    let params = authority_parameters(days);
    if certificate.exists() && secret.exists() {
        let text = read_secret_file(&secret, KeySource::File)?;
        let key = KeyPair::from_pem(&text).map_err(|error| {
            Failure::local("TLS_FILE", format!("{} holds no key of a CA: {error}", secret.display()))
        })?;
        return Ok(Issuer::new(params, key));
    }
    refuse_existing(&certificate)?;
    refuse_existing(&secret)?;
    let key = new_key()?;
    let signed = params.self_signed(&key).map_err(internal)?;
    write_pair(folder, "ca", &signed.pem(), &key, files)?;
    Ok(Issuer::new(params, key))
}

fn authority_parameters(days: u16) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, CA_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    validity(&mut params, days);
    params
}

fn parameters(name: &str, serves: bool, days: u16) -> Result<CertificateParams, Failure> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let mut names = vec![name];
    if serves {
        names.extend(["localhost", "127.0.0.1", "::1"].into_iter().filter(|here| *here != name));
    }
    for name in names {
        params.subject_alt_names.push(match name.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.try_into().map_err(internal)?),
        });
    }
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
    if serves {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    }
    validity(&mut params, days);
    Ok(params)
}

fn validity(params: &mut CertificateParams, days: u16) {
    let now = OffsetDateTime::now_utc();
    params.not_before = now - BACKDATED;
    params.not_after = now + Duration::days(days.into());
}

/// A name becomes a file's name and a subject alternative name.
fn check_name(name: &str) -> Result<(), Failure> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    let plain = !name.is_empty() && name.len() <= 253 && name.chars().all(allowed);
    if plain && !name.starts_with('.') && name != "ca" {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{name:?} is no name of a host or client: letters, digits, dots and hyphens; not ca"
    )))
}

fn new_key() -> Result<KeyPair, Failure> {
    KeyPair::generate().map_err(internal)
}

fn refuse_existing(file: &Path) -> Result<(), Failure> {
    if file.symlink_metadata().is_err() {
        return Ok(());
    }
    let message = format!("{} exists already and is not overwritten: choose another folder", file.display());
    Err(Failure::new("ALREADY_EXISTS", "LOCAL_FILE", message, Exit::Local))
}

fn write_pair(
    folder: &Path,
    name: &str,
    certificate: &str,
    key: &KeyPair,
    files: &mut Vec<PathBuf>,
) -> Result<(), Failure> {
    let (public, secret) = (folder.join(format!("{name}.crt")), folder.join(format!("{name}.key")));
    write_new_secret_file(&secret, key.serialize_pem().trim_end())?;
    write_new_secret_file(&public, certificate.trim_end())?;
    files.extend([public, secret]);
    Ok(())
}

fn internal(error: impl std::fmt::Display) -> Failure {
    Failure::internal(error.to_string())
}
