//! Compiles `latentwire/v1/*.proto` to Rust with protox and tonic-prost-build: no protoc needed.
//! Shared by `examples/generate.rs`, which writes the checked-in files, and `tests/generated_code.rs`,
//! which fails when they are out of date.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use prost::Message as _;

/// Files that the generator writes, relative to its output folder.
pub const FILES: [&str; 2] = ["latentwire.v1.rs", "descriptor.bin"];

/// Writes [`FILES`] into `out`.
pub fn generate(out: &Path) -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut sources: Vec<PathBuf> = fs::read_dir(root.join("latentwire/v1"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    sources.retain(|path| path.extension().is_some_and(|extension| extension == "proto"));
    sources.sort();

    let mut compiler = protox::Compiler::new([&root])?;
    compiler.include_imports(true).include_source_info(true).open_files(&sources)?;
    let documented = compiler.file_descriptor_set();

    // Reflection needs the types, not the comments.
    let mut bare = documented.clone();
    for file in &mut bare.file {
        file.source_code_info = None;
    }
    fs::write(out.join("descriptor.bin"), bare.encode_to_vec())?;

    tonic_prost_build::configure()
        .bytes(".")
        .emit_rerun_if_changed(false)
        .out_dir(out)
        .compile_fds(documented)?;
    Ok(())
}
