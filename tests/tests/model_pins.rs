//! models/PINS.toml names the shipped models, each and no other. `UPDATE_PINS=1` (`make model-pins`) writes it anew.

use std::{env, fs, path::Path};

use latentwire_codec::model::{DecoderDigest, find};
use latentwire_tests::binaries::repository;

const HEAD: &str = "\
# The models that this release was made with: SHA-256 of each decode.toml, which names decoder and tables by their digests.
# Part of sender-svc and receiver-svc, which load no other model unless they are told to (docs/MODELS.md). `make model-pins` writes it.
";

fn pins() -> String {
    let models = repository().join("models");
    let mut found = find(&models).expect("the models");
    found.extend(find(&models.join("research")).expect("the research models"));
    let entry = |path: &Path| {
        let text = fs::read(path.join("decode.toml")).expect("a decode.toml");
        let name = path.strip_prefix(&models).expect("below it").display().to_string();
        format!("\n[[model]]\nfolder = \"{name}\"\ndigest = \"{}\"\n", DecoderDigest::of(&text))
    };
    found.iter().fold(HEAD.to_owned(), |pins, path| pins + &entry(path))
}

#[test]
fn the_pins_are_those_of_the_shipped_models() {
    let path = repository().join("models/PINS.toml");
    let expected = pins();
    if env::var_os("UPDATE_PINS").is_some() {
        fs::write(&path, &expected).expect("written");
    }
    let found = fs::read_to_string(&path).expect("models/PINS.toml");
    assert!(
        found == expected,
        "models/PINS.toml is not what models/ holds: if you meant to change a model, run `make model-pins`"
    );
}
