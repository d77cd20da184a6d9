//! Every committed input of every target, once, without a fuzzer: `fuzz/corpus/NAME/*`.

use std::{fs, panic, path::PathBuf};

use latentwire_fuzz::TARGETS;

/// Most bytes of all corpora together.
const CORPUS_BYTES: u64 = 300 * 1024;

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

#[test]
fn every_input_of_the_corpora_keeps_its_targets_promise() {
    let mut bytes = 0;
    for (name, target) in TARGETS {
        let folder = corpus().join(name);
        let mut inputs: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.expect("a folder can be read").path())
            .collect();
        inputs.sort();
        assert!(inputs.len() >= 3, "{name} has {} inputs", inputs.len());
        for input in inputs {
            let data = fs::read(&input).expect("an input can be read");
            bytes += data.len() as u64;
            if panic::catch_unwind(|| target(&data)).is_err() {
                panic!("{} breaks the promise of {name}", input.display());
            }
        }
    }
    assert!(bytes <= CORPUS_BYTES, "the corpora have {bytes} bytes: keep what adds coverage");
}

#[test]
fn every_corpus_has_a_target() {
    for entry in fs::read_dir(corpus()).expect("a folder can be read") {
        let name = entry.expect("a folder can be read").file_name();
        let name = name.to_str().expect("a name of letters");
        assert!(latentwire_fuzz::target(name).is_some(), "fuzz/corpus/{name} belongs to no target");
    }
}

#[test]
fn no_target_minds_an_empty_or_a_plain_input() {
    for (_, target) in TARGETS {
        for data in [&[][..], &[0], &[0xff], &[0; 64], &[0xff; 300]] {
            target(data);
        }
    }
}
