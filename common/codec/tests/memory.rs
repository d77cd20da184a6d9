//! A picture of 4000x4000 pixels through encoder, coder, decoder and measuring, in a process of its own: what it holds at most.
#![allow(clippy::unwrap_used, reason = "a helper that cannot make its input has failed its test")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use latentwire_codec::{BelowFloor, Codec, Mode, Policy};
use support::{BOTH, Look, config, models, repository};

/// Most that a picture of 16 million pixels may take, in bytes.
const LIMIT: u64 = 600_000_000;
const SIDE: u32 = 4000;
/// Where the child finds its picture and its folder of models.
const PICTURE: &str = "LATENTWIRE_TEST_PICTURE";
const MODELS: &str = "LATENTWIRE_TEST_MODELS";
/// And which model it is to take: those of the repository want to be named.
const MODEL: &str = "LATENTWIRE_TEST_MODEL";

/// The small model, and those of the family that the repository holds.
fn folders() -> Vec<PathBuf> {
    let shipped = std::fs::read_dir(repository().join("models")).unwrap().flatten().map(|entry| entry.path());
    let rd =
        shipped.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("rd-")));
    std::iter::once(models("levels").join("levels-chest")).chain(rd).collect()
}

#[test]
fn a_large_picture_stays_within_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("large.png");
    std::fs::write(&picture, Look { noise: 0.004, ..Look::grey(SIDE, SIDE) }.png8()).unwrap();
    for model in folders() {
        // A folder with this model alone.
        let one = tempfile::tempdir().unwrap();
        let id = model.file_name().unwrap();
        support::copy_folder(&model, &one.path().join(id));
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_child", "--ignored", "--nocapture"])
            .env(PICTURE, &picture)
            .env(MODELS, one.path())
            .env(MODEL, id)
            .current_dir(repository())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success(), "{}: {said}{}", id.display(), String::from_utf8_lossy(&child.stderr));
        let held = said.lines().find_map(|line| line.strip_prefix("held ")).unwrap().parse::<u64>().unwrap();
        println!("{}: {} MB", id.display(), held / 1_000_000);
        assert!((100_000_000..LIMIT).contains(&held), "{}: {held} bytes", id.display());
    }
}

/// Not a test of its own: what the test above runs in a process.
#[test]
#[ignore = "run by the test above, in a process of its own"]
fn the_child() {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).unwrap();
    let codec = Codec::load(&config(Path::new(&variable(MODELS)), BOTH)).unwrap();
    let model = std::env::var(MODEL).ok();
    let policy = Policy { model, below_floor: BelowFloor::SendMarked, ..Policy::default() };
    let prepared = codec.prepare(&std::fs::read(variable(PICTURE)).unwrap(), &policy).unwrap();
    assert_eq!((prepared.report.mode, prepared.report.width), (Mode::Latent, SIDE));
    assert!(prepared.report.measured && (1..=2).contains(&prepared.report.trials));
    let (coded, hash) =
        (prepared.coded.clone(), prepared.certificate.as_ref().unwrap().reconstruction_sha256);
    drop(prepared);
    assert_eq!(codec.restore(&coded).unwrap().reconstruction_sha256, Some(hash));
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let kibibytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    println!("\nheld {}", kibibytes * 1024);
}
