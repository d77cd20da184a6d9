//! What the images hold and say of themselves.

use std::{collections::BTreeSet, fs};

use latentwire_tests::binaries::repository;
use serde_json::Value;

use crate::docker::{TAG, docker, inspect};

/// What an image may add to its base.
const BUDGET_BYTES: u64 = 100_000_000;

const IMAGES: [&str; 3] = ["sender", "receiver", "tools"];

fn name(image: &str) -> String {
    format!("latentwire/{image}:{TAG}")
}

#[test]
#[ignore = "needs a Docker engine and the images; scripts/test.sh runs it where there is one"]
fn each_image_adds_at_most_100_megabytes_to_its_base() {
    for image in IMAGES {
        let found = inspect(&name(image));
        let base = found["Config"]["Labels"]["org.opencontainers.image.base.name"].as_str();
        let base = inspect(base.expect("the image names its base"));
        let size = |image: &Value| image["Size"].as_u64().expect("an image has a size");
        let layers =
            |image: &Value| image["RootFS"]["Layers"].as_array().expect("an image has layers").clone();
        assert!(layers(&found).starts_with(&layers(&base)), "{image} does not stand on the base it names");
        let added = size(&found) - size(&base);
        println!("latentwire/{image}: {added} bytes on a base of {}", size(&base));
        assert!(added <= BUDGET_BYTES, "latentwire/{image} adds {added} bytes to its base");
    }
}

#[test]
#[ignore = "needs a Docker engine and the images; scripts/test.sh runs it where there is one"]
fn each_image_says_what_it_is_and_what_is_in_it() {
    let version = format!("\"{}\"", env!("CARGO_PKG_VERSION"));
    for image in IMAGES {
        let config = inspect(&name(image))["Config"].clone();
        assert_eq!(config["User"], "65532:65532", "{image} does not run as another user than root");
        assert_eq!(config["Healthcheck"].is_null(), image == "tools", "health check of {image}: {config}");
        let labels = &config["Labels"];
        let opencontainers = |key: &str| labels[format!("org.opencontainers.image.{key}")].to_string();
        assert_eq!(opencontainers("version"), version);
        assert_eq!(opencontainers("licenses"), "\"Apache-2.0 OR MIT\"");
        for key in ["title", "description", "revision", "created", "source"] {
            assert!(opencontainers(key).len() > 2, "{image} has no label {key}: {labels}");
        }
        let path = labels["latentwire.sbom.path"].as_str().expect("the bill of materials has a place");
        let run = |program: &str| {
            docker(&["run", "--rm", "--network=none", "--entrypoint", program, &name(image), path])
        };
        let digest = run("sha256sum");
        assert_eq!(labels["latentwire.sbom.sha256"].as_str(), digest.split(' ').next(), "{image}: {labels}");
        check_bill(&run("cat"));
    }
}

/// A CycloneDX bill whose references are all there, with what nobody must be able to leave out.
fn check_bill(text: &str) {
    let bill: Value = serde_json::from_str(text).expect("the bill of materials is JSON");
    assert_eq!((&bill["bomFormat"], &bill["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    let components = bill["components"].as_array().expect("components");
    let text_of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let known: BTreeSet<String> = components.iter().map(|component| text_of(&component["bom-ref"])).collect();
    assert_eq!(known.len(), components.len(), "a component stands twice");
    let root = text_of(&bill["metadata"]["component"]["bom-ref"]);
    for dependency in bill["dependencies"].as_array().expect("dependencies") {
        let needs = dependency["dependsOn"].as_array().expect("needs").iter().map(text_of);
        for reference in needs.chain([text_of(&dependency["ref"])]) {
            assert!(known.contains(&reference) || reference == root, "{reference} is no component");
        }
    }
    let lock = fs::read_to_string(repository().join("Cargo.lock")).expect("the lock file is text");
    for component in components {
        let (name, version) = (text_of(&component["name"]), text_of(&component["version"]));
        assert!(component["licenses"].is_array(), "{name} has no licence");
        let purl = text_of(&component["bom-ref"]);
        let locked = format!("name = \"{name}\"\nversion = \"{version}\"\n");
        assert!(!purl.starts_with("pkg:cargo/") || lock.contains(&locked), "{purl} is not in Cargo.lock");
    }
    let names: BTreeSet<String> = components.iter().map(|component| text_of(&component["name"])).collect();
    for name in [
        "sender-svc",
        "receiver-svc",
        "latentwire-cli",
        "aes-gcm",
        "ml-kem",
        "tonic",
        "onnxruntime",
        "ae224-chest",
    ] {
        assert!(names.contains(name), "{name} is not in the bill of materials");
    }
    assert!(!names.contains("proptest"), "what only tests need is no part of the images");
}

/// The version stands in the manifest; the files that cannot read it must say the same.
#[test]
fn the_files_agree_on_the_version() {
    let version = env!("CARGO_PKG_VERSION");
    for (file, text) in [
        ("deploy/Dockerfile", format!("ARG VERSION={version}\n")),
        ("docker-compose.yml", format!("VERSION: ${{LATENTWIRE_VERSION:-{version}}}\n")),
        ("docker-compose.yml", format!("image: latentwire/sender:${{LATENTWIRE_TAG:-{version}}}\n")),
    ] {
        let found = fs::read_to_string(repository().join(file)).expect("the file is text");
        assert!(found.contains(&text), "{file} does not say {text:?}");
    }
}
