//! Why a model folder was refused.

use std::path::PathBuf;

use crate::digest::FileDigest;

/// Why a model folder, or one of its files, was refused.
///
/// Model folders are the operator's own files, so the texts name them; they hold nothing of any patient.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A digest was not 64 hexadecimal digits.
    #[error("a SHA-256 digest must be 64 hexadecimal digits, found {found:?}")]
    BadDigest {
        /// What stood there instead, at most 80 characters of it.
        found: String,
    },
    /// A file's bytes are not those its manifest names.
    #[error(
        "{file} is not the file its manifest names: expected SHA-256 {expected}, found {found}; \
         restore the model folder from its release"
    )]
    DigestMismatch {
        /// File name inside the model folder.
        file: String,
        /// What the manifest says.
        expected: FileDigest,
        /// What the file's bytes give.
        found: FileDigest,
    },
    /// A field of a manifest is out of its range.
    #[error("{file}: `{field}` {problem}")]
    Field {
        /// `manifest.toml` or `decode.toml`.
        file: &'static str,
        /// The field's dotted name.
        field: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file that was asked for is not in the model folder.
    #[error(
        "{path} is missing; put the whole model folder in place, or do not ask for this part of the model"
    )]
    Missing {
        /// The file that was looked for.
        path: PathBuf,
    },
    /// An ONNX file is not a readable protobuf.
    #[error("not a readable ONNX file: {problem} (at byte {offset})")]
    OnnxMalformed {
        /// What is wrong.
        problem: &'static str,
        /// Where, from the file's start.
        offset: usize,
    },
    /// An ONNX file asks for something that a pinned model must not ask for.
    #[error("the ONNX file {problem}; only self-contained models of standard operators are loaded")]
    OnnxRefused {
        /// What it asks for.
        problem: String,
    },
    /// A manifest is not the TOML that is expected.
    #[error("{file} is not a valid manifest: {problem}")]
    Toml {
        /// `manifest.toml` or `decode.toml`.
        file: &'static str,
        /// What the parser said.
        problem: String,
    },
    /// A file of a model folder is larger than any sound model's.
    #[error("{path} has {bytes} bytes, more than the {limit} allowed for this kind of file")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A modality's name is unknown.
    #[error("unknown modality {found:?}: expected fundus, chest, brain or other")]
    UnknownModality {
        /// What stood there instead, at most 80 characters of it.
        found: String,
    },
}

/// At most 80 characters of `text`, for an error message.
pub(crate) fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}
