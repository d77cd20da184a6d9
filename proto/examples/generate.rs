//! Writes `src/gen` anew: `cargo run -p latentwire-proto --example generate`.

#[path = "../codegen.rs"]
mod codegen;

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gen");
    codegen::generate(&out)?;
    println!("wrote {} into src/gen", codegen::FILES.join(" and "));
    Ok(())
}
