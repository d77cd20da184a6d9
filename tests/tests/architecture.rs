//! The shape of the house: who may depend on whom, who may name what, how long a file may be.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use latentwire_tests::binaries::repository;

/// Which of our crates each may depend on, besides for its tests. `latentwire-tests` may use all.
const ALLOWED: [(&str, &[&str]); 16] = [
    ("latentwire-proto", &[]),
    ("latentwire-imaging", &[]),
    ("latentwire-model", &[]),
    ("latentwire-inference", &["latentwire-model"]),
    ("latentwire-latent", &["latentwire-model"]),
    (
        "latentwire-codec",
        &["latentwire-imaging", "latentwire-model", "latentwire-inference", "latentwire-latent"],
    ),
    ("latentwire-sealing", &[]),
    ("latentwire-wire", &["latentwire-proto", "latentwire-sealing"]),
    ("latentwire-storage", &["latentwire-sealing"]),
    ("latentwire-audit", &[]),
    // Beside proto, the crates whose errors it maps to a status.
    (
        "latentwire-service",
        &[
            "latentwire-proto",
            "latentwire-codec",
            "latentwire-inference",
            "latentwire-latent",
            "latentwire-sealing",
            "latentwire-wire",
            "latentwire-storage",
            "latentwire-audit",
        ],
    ),
    ("sender-svc", SERVICES_USE),
    ("receiver-svc", SERVICES_USE),
    ("pacs-gateway", &["latentwire-imaging", "latentwire-proto", "latentwire-service"]),
    (
        "latentwire-cli",
        &[
            "latentwire-audit",
            "latentwire-codec",
            "latentwire-proto",
            "latentwire-service",
            "latentwire-storage",
        ],
    ),
    ("latentwire-fuzz", &["latentwire-codec", "latentwire-latent", "latentwire-proto", "latentwire-sealing"]),
];

const SERVICES_USE: &[&str] =
    &["latentwire-service", "latentwire-codec", "latentwire-wire", "latentwire-storage", "latentwire-proto"];

/// The tests' own crate.
const TESTS: &str = "latentwire-tests";

/// Crates that only the named ones may depend on, tests included; the tests' own crate plays the modality.
const RESERVED: [(&str, &[&str]); 5] = [
    ("ort", &["latentwire-inference"]),
    ("dicom-", &["latentwire-imaging", "pacs-gateway", TESTS]),
    ("snow", &["latentwire-sealing"]),
    ("rusqlite", &["latentwire-storage"]),
    // One place that sets TLS up; the tests' own crate plays its clients.
    ("rustls", &["latentwire-service", TESTS]),
];

/// What a pure crate must not reach for: a runtime, a network, a clock of its own.
const IMPURE: [&str; 5] = ["tokio", "tonic", "hyper", "tower", "ort"];
/// The crates that promise purity.
const PURE: [&str; 4] = ["latentwire-imaging", "latentwire-model", "latentwire-latent", "latentwire-sealing"];

/// Longest `main.rs` in lines.
const MAIN_LINES: usize = 150;
/// Longest file in lines.
const FILE_LINES: usize = 500;

/// Folders in which `tonic::Status` may be named, besides by tests: common/service, the services, their client, and the generated
/// traits.
const STATUS_ROOMS: [&str; 6] =
    ["common/service", "sender-svc", "receiver-svc", "pacs-gateway", "cli", "proto"];

#[test]
fn dependencies_follow_the_arrows_of_the_design() {
    let ours: BTreeSet<&str> = members().map(name).collect();
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.into_iter().collect();
    let mut wrong = Vec::new();
    for member in members().filter(|member| name(member) != TESTS) {
        let Some(may) = allowed.get(name(member)) else {
            wrong.push(format!(
                "{} is new: give it its arrows in this test and in docs/ARCHITECTURE.md",
                member.name
            ));
            continue;
        };
        for dependency in &member.dependencies {
            let target = dependency.name.as_str();
            let for_tests_alone = dependency.kind == DependencyKind::Development;
            if ours.contains(target) && !for_tests_alone && !may.contains(&target) {
                wrong.push(format!("{} must not depend on {target}", member.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(allowed.keys().filter(|room| !ours.contains(*room)).count(), 0, "a room of the list is gone");
}

#[test]
fn a_service_is_nobodys_library() {
    let services = ["sender-svc", "receiver-svc", "pacs-gateway", "latentwire-cli"];
    for member in members().filter(|member| name(member) != TESTS) {
        for dependency in &member.dependencies {
            assert!(
                !services.contains(&dependency.name.as_str()),
                "{} uses {}",
                member.name,
                dependency.name
            );
        }
    }
}

#[test]
fn each_outer_world_has_one_room_that_speaks_to_it() {
    for member in members() {
        for dependency in &member.dependencies {
            for (reserved, rooms) in RESERVED {
                let family = reserved.ends_with('-') && dependency.name.starts_with(reserved);
                if family || dependency.name == reserved {
                    assert!(
                        rooms.contains(&name(member)),
                        "{} must not name {}",
                        member.name,
                        dependency.name
                    );
                }
            }
        }
    }
    for (reserved, rooms) in RESERVED {
        for room in rooms {
            let used =
                member(room).dependencies.iter().any(|dependency| dependency.name.starts_with(reserved));
            assert!(used, "{room} does not use {reserved} any more: this test guards nothing");
        }
    }
}

#[test]
fn the_pure_crates_stay_pure() {
    for room in PURE {
        let normal =
            member(room).dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
        for dependency in normal {
            assert!(!IMPURE.contains(&dependency.name.as_str()), "{room} must not use {}", dependency.name);
        }
    }
}

#[test]
fn only_the_services_name_a_grpc_status() {
    let mut named = 0;
    for file in rust_files() {
        let text = fs::read_to_string(&file).expect("a source file is text");
        let inside = relative(&file);
        let in_a_test = inside.components().any(|part| part.as_os_str() == "tests");
        if in_a_test || !names_status(&text) {
            continue;
        }
        named += 1;
        assert!(
            STATUS_ROOMS.iter().any(|room| inside.starts_with(room)),
            "{} names tonic::Status",
            inside.display()
        );
    }
    assert!(named > 5, "this test no longer finds what it guards");
}

/// Whether code, not a comment, says `tonic::Status` or imports `Status` from tonic.
fn names_status(text: &str) -> bool {
    let code: String =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let imports = code.split("use tonic::").skip(1).filter_map(|rest| rest.split(';').next());
    let words =
        |import: &str| import.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "Status");
    code.contains("tonic::Status") || imports.into_iter().any(words)
}

#[test]
fn a_status_is_found_in_every_spelling() {
    for text in ["fn f() -> tonic::Status", "use tonic::{Code,\n    Status};", "use tonic::Status;"] {
        assert!(names_status(text), "{text}");
    }
    for text in ["/// [`tonic::Status`]", "use tonic::Code;\nuse other::Status;", "use tonic::{StatusExt};"] {
        assert!(!names_status(text), "{text}");
    }
}

#[test]
fn a_main_is_short() {
    let mains: Vec<_> = rust_files().into_iter().filter(|file| file.ends_with("src/main.rs")).collect();
    assert_eq!(mains.len(), 4, "one for each binary: {mains:?}");
    for file in mains {
        let lines = lines(&file);
        assert!(lines < MAIN_LINES, "{} has {lines} lines", relative(&file).display());
    }
}

#[test]
fn a_file_can_be_read_in_one_sitting() {
    let generated = Path::new("proto/src/gen");
    let long: Vec<_> = rust_files()
        .into_iter()
        .filter(|file| !relative(file).starts_with(generated) && lines(file) > FILE_LINES)
        .map(|file| format!("{} has {} lines", relative(&file).display(), lines(&file)))
        .collect();
    assert!(long.is_empty(), "split at {FILE_LINES} lines:\n{}", long.join("\n"));
}

#[test]
fn every_crate_takes_the_workspaces_lints_and_forbids_unsafe_code() {
    for member in members() {
        let manifest = fs::read_to_string(&member.manifest_path).expect("a manifest is text");
        assert!(manifest.contains("[lints]\nworkspace = true"), "{} has lints of its own", member.name);
    }
    let workspace = fs::read_to_string(repository().join("Cargo.toml")).expect("a manifest is text");
    assert!(workspace.contains("unsafe_code = \"forbid\""));
    assert!(workspace.contains("missing_docs = "));
}

#[test]
fn one_version_of_every_cryptographic_crate_is_built() {
    let lock = fs::read_to_string(repository().join("Cargo.lock")).expect("the lock file is text");
    for name in [
        "aes-gcm",
        "aes",
        "ghash",
        "sha2",
        "hkdf",
        "hmac",
        "x25519-dalek",
        "curve25519-dalek",
        "ml-kem",
        "snow",
    ] {
        let versions = lock.matches(&format!("name = \"{name}\"\n")).count();
        assert_eq!(
            versions, 1,
            "{name} stands {versions} times in Cargo.lock: one digest generation, one of each"
        );
    }
}

fn metadata() -> &'static Metadata {
    static METADATA: OnceLock<Metadata> = OnceLock::new();
    METADATA.get_or_init(|| {
        let manifest = repository().join("Cargo.toml");
        let offline = ["--offline".to_owned(), "--locked".to_owned()];
        let mut command = MetadataCommand::new();
        command.manifest_path(manifest).no_deps().other_options(offline).exec().expect("cargo metadata runs")
    })
}

fn members() -> impl Iterator<Item = &'static Package> {
    metadata().packages.iter()
}

fn member(name: &str) -> &'static Package {
    members().find(|member| member.name == name).unwrap_or_else(|| panic!("there is no crate {name}"))
}

fn name(package: &Package) -> &str {
    package.name.as_str()
}

/// Every Rust file of the workspace's crates.
fn rust_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let manifests = members().map(|member| member.manifest_path.clone().into_std_path_buf());
    let mut folders: Vec<PathBuf> =
        manifests.filter_map(|manifest| manifest.parent().map(Path::to_owned)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a source folder can be read") {
            let path = entry.expect("a source folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                files.push(path);
            }
        }
    }
    assert!(files.len() > 100, "only {} files were found", files.len());
    files
}

fn relative(file: &Path) -> PathBuf {
    file.strip_prefix(repository()).expect("sources lie in the checkout").to_owned()
}

fn lines(file: &Path) -> usize {
    fs::read_to_string(file).expect("a source file is text").lines().count()
}
