//! Why inference failed.

use std::path::PathBuf;

/// Why a net could not be loaded or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InferenceError {
    /// The geometry itself is unsound.
    #[error("the model's geometry is unsound: {problem}")]
    Geometry {
        /// What is wrong.
        problem: String,
    },
    /// ONNX Runtime's library was not found.
    #[error(
        "ONNX Runtime's library ({name}) was not found: run scripts/fetch-onnxruntime.sh, \
         or set ORT_DYLIB_PATH to the library file"
    )]
    LibraryMissing {
        /// File name that was looked for.
        name: &'static str,
        /// Where it was looked for.
        searched: Vec<PathBuf>,
    },
    /// ONNX Runtime's library was found and cannot be used.
    #[error(
        "ONNX Runtime's library {path} cannot be used: {problem}; run scripts/fetch-onnxruntime.sh for the right one"
    )]
    LibraryUnusable {
        /// The library file.
        path: PathBuf,
        /// What the loader said.
        problem: String,
    },
    /// ONNX Runtime refused the model's bytes.
    #[error("ONNX Runtime cannot load the {net}: {problem}")]
    Load {
        /// `encoder` or `decoder`.
        net: &'static str,
        /// What it said.
        problem: String,
    },
    /// A net gave NaN or infinity.
    #[error("the {net} gave a value that is not a finite number")]
    NotFinite {
        /// `encoder` or `decoder`.
        net: &'static str,
    },
    /// ONNX Runtime failed while running a net.
    #[error("the {net} failed: {problem}")]
    Run {
        /// `encoder` or `decoder`.
        net: &'static str,
        /// What it said.
        problem: String,
    },
    /// A tensor's shape or type is not what the manifest promises.
    #[error("the {net}'s {tensor} is not what its manifest promises: expected {expected}, found {found}")]
    Shape {
        /// `encoder` or `decoder`.
        net: &'static str,
        /// Which tensor.
        tensor: String,
        /// What the geometry asks for.
        expected: String,
        /// What was found.
        found: String,
    },
    /// A side of the picture is longer than the bitstream allows.
    #[error("a picture of {width} x {height} pixels is too large: a side may have {limit}")]
    TooLarge {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// Longest side.
        limit: u32,
    },
    /// A side of the picture is zero.
    #[error("a picture with a side of zero pixels cannot be encoded or decoded")]
    ZeroSize,
}
