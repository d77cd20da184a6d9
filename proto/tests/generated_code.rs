//! The generated code is checked in; this fails when it differs from what the `.proto` files say.

#[path = "../codegen.rs"]
mod codegen;

use std::fs;
use std::path::Path;

#[test]
fn generated_code_is_up_to_date() {
    let checked_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gen");
    let fresh = tempfile::tempdir().expect("temporary folder");
    codegen::generate(fresh.path()).expect("the .proto files compile");
    for name in codegen::FILES {
        let old = fs::read(checked_in.join(name)).expect("checked-in file");
        let new = fs::read(fresh.path().join(name)).expect("generated file");
        assert!(old == new, "{name} is out of date: run `cargo run -p latentwire-proto --example generate`");
    }
    let written = fs::read_dir(fresh.path()).expect("temporary folder").count();
    assert_eq!(written, codegen::FILES.len(), "the generator wrote a file that is not checked in");
}

#[test]
fn descriptor_set_names_every_service() {
    use prost::Message as _;
    let set = prost_types::FileDescriptorSet::decode(latentwire_proto::FILE_DESCRIPTOR_SET)
        .expect("descriptor set");
    let mut services: Vec<&str> = set
        .file
        .iter()
        .flat_map(|file| &file.service)
        .map(prost_types::ServiceDescriptorProto::name)
        .collect();
    services.sort_unstable();
    assert_eq!(services, ["ImageService", "SendService", "TransferService"]);
    // Reflection answers only for self-contained sets.
    assert!(set.file.iter().any(|file| file.name() == "google/protobuf/timestamp.proto"));
}
