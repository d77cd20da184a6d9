//! ONNX files that stand alone are accepted; those that reach outside, and those that cannot be read, are not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::path::{Path, PathBuf};

use latentwire_model::{ModelError, refuse_external_data};
use proptest::prelude::*;

fn nets(prefix: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nets");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix));
    files.filter(named).collect()
}

fn good() -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nets/good.onnx")).unwrap()
}

#[test]
fn models_that_stand_alone_are_accepted() {
    let files = nets("good");
    assert_eq!(files.len(), 3);
    for file in files {
        refuse_external_data(&std::fs::read(&file).unwrap())
            .unwrap_or_else(|error| panic!("{file:?}: {error}"));
    }
}

#[test]
fn models_that_reach_outside_are_refused_wherever_they_do() {
    let files = nets("bad_");
    assert_eq!(files.len(), 15);
    for file in files {
        let result = refuse_external_data(&std::fs::read(&file).unwrap());
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let Err(ModelError::OnnxRefused { problem }) = result else { panic!("{name}: {result:?}") };
        let wanted = match name.as_str() {
            "bad_domain.onnx" | "bad_domain_not_imported.onnx" | "bad_import.onnx" => {
                "\"com.example.custom\""
            }
            "bad_microsoft_operator.onnx" => "\"com.microsoft\"",
            "bad_function.onnx" => "functions",
            "bad_training.onnx" => "training",
            "bad_location_only.onnx" => "data_location",
            _ => "other files",
        };
        assert!(problem.contains(wanted), "{name}: {problem}");
    }
}

#[test]
fn every_truncation_is_refused_or_still_a_model() {
    let whole = good();
    for length in 0..whole.len() {
        // A cut between two fields leaves a shorter message; one without its graph is no model.
        let result = refuse_external_data(&whole[..length]);
        if length < 100 {
            assert!(matches!(result, Err(ModelError::OnnxMalformed { .. })), "{length}: {result:?}");
        }
    }
}

/// Field numbers and wire types as bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend(content);
    out
}

#[test]
fn malformed_wire_format_is_refused() {
    let overlong = [&[0x38][..], &[0xFF; 10], &[0x01]].concat();
    let too_wide = [&[0x38][..], &[0xFF; 9], &[0x7F]].concat();
    for bytes in [
        &b""[..],
        &[0x3A],                                     // graph without a length
        &[0x3A, 0x05, 0x00],                         // graph longer than the file
        &[0x3A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F], // graph of terabytes
        &[0x00, 0x00],                               // field number 0
        &[0x3B],                                     // a group
        &[0x3E],                                     // wire type 6
        &[0x38, 0x01],                               // graph as a number
        &[0x39, 1, 2, 3],                            // half a 64-bit number
        &overlong,
        &too_wide,
        &[field(7, &[]), field(7, &[])].concat(), // two graphs
        &field(7, &field(1, &field(7, &[0xFF]))), // a domain that is not UTF-8
    ] {
        let result = refuse_external_data(bytes);
        assert!(matches!(result, Err(ModelError::OnnxMalformed { .. })), "{bytes:02X?}: {result:?}");
    }
    assert!(refuse_external_data(&field(7, &[])).is_ok());
}

#[test]
fn deep_nesting_is_refused_without_deep_recursion() {
    let mut graph = Vec::new();
    for _ in 0..10_000 {
        // A graph's node's attribute's graph.
        graph = field(1, &field(5, &field(6, &graph)));
    }
    let result = refuse_external_data(&field(7, &graph));
    assert!(matches!(result, Err(ModelError::OnnxMalformed { problem, .. }) if problem.contains("deeply")));
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = refuse_external_data(&bytes);
        let _ = refuse_external_data(&field(7, &bytes));
        let _ = refuse_external_data(&field(7, &field(1, &field(5, &bytes))));
    }

    #[test]
    fn any_change_to_a_model_is_answered(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = good();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = refuse_external_data(&bytes);
    }
}
