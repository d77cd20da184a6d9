//! What a missing or unusable ONNX Runtime library gives. A process of its own: the library is loaded once a process.

use latentwire_inference::{InferenceError, Runtime};

#[test]
fn a_missing_library_is_one_clear_sentence_and_a_wrong_file_another() {
    let missing = Runtime::load(Some("/nowhere/libonnxruntime.so.1.31.1".as_ref())).unwrap_err();
    assert!(matches!(missing, InferenceError::LibraryMissing { .. }));
    let text = missing.to_string();
    assert!(text.contains("scripts/fetch-onnxruntime.sh") && !text.contains('\n'), "{text}");

    let no_library = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let unusable = Runtime::load(Some(no_library.as_ref())).unwrap_err();
    assert!(matches!(unusable, InferenceError::LibraryUnusable { .. }));
    let text = unusable.to_string();
    assert!(text.contains("Cargo.toml") && text.contains("scripts/fetch-onnxruntime.sh"), "{text}");

    // A library that is no ONNX Runtime: the C library, which is certainly loadable.
    let other =
        ["/lib/x86_64-linux-gnu/libm.so.6", "/lib/aarch64-linux-gnu/libm.so.6", "/usr/lib64/libm.so.6"];
    if let Some(other) = other.iter().find(|path| std::path::Path::new(path).is_file()) {
        let unusable = Runtime::load(Some(other.as_ref())).unwrap_err();
        assert!(matches!(unusable, InferenceError::LibraryUnusable { .. }), "{unusable:?}");
    }
}
