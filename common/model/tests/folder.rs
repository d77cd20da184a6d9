//! Model folders on disk: what is read, and every way in which a folder is refused.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;
use std::path::Path;

use latentwire_model::{
    DecoderDigest, FileDigest, ModelError, ModelFolder, OutputKind, Parts, Quantiser, find,
};
use tempfile::TempDir;

const BOTH: Parts = Parts { encoder: true, decoder: true };
const DECODING: Parts = Parts { encoder: false, decoder: true };
const NEITHER: Parts = Parts { encoder: false, decoder: false };

fn onnx() -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nets/good.onnx")).unwrap()
}

fn decode_toml(decoder: &[u8], tables: &[u8]) -> String {
    let (decoder, tables) = (FileDigest::of(decoder), FileDigest::of(tables));
    format!(
        "bitstream = 1\nfamily = \"ae224\"\n\
         [decoder]\nfile = \"decoder.onnx\"\nsha256 = \"{decoder}\"\noutput = \"int32\"\noutput_shift = 12\ncertified = true\n\
         [tables]\nfile = \"tables.bin\"\nsha256 = \"{tables}\"\n\
         [latent]\nchannels = 3\nstride = 2\nsteps = [0.01, 0.012, 2]\n\
         [pixels]\nchannels = 3\n\
         [tiles]\nsize = 512\nencoder_halo = 16\ndecoder_halo = 16\n"
    )
}

fn manifest_toml(decode: &str, encoder: &[u8]) -> String {
    format!(
        "id = \"ae224-fundus\"\nfamily = \"ae224\"\nmodality = \"fundus\"\nlicence = \"CC-BY-4.0\"\n\
         decode_sha256 = \"{}\"\n[encoder]\nfile = \"encoder.onnx\"\nsha256 = \"{}\"\n",
        DecoderDigest::of(decode.as_bytes()),
        FileDigest::of(encoder)
    )
}

/// A sound model folder `ae224-fundus`, in a folder of its own.
fn models() -> TempDir {
    let models = tempfile::tempdir().unwrap();
    let folder = models.path().join("ae224-fundus");
    fs::create_dir(&folder).unwrap();
    let (net, tables) = (onnx(), b"any tables");
    let decode = decode_toml(&net, tables);
    fs::write(folder.join("manifest.toml"), manifest_toml(&decode, &net)).unwrap();
    fs::write(folder.join("decode.toml"), decode).unwrap();
    fs::write(folder.join("encoder.onnx"), &net).unwrap();
    fs::write(folder.join("decoder.onnx"), &net).unwrap();
    fs::write(folder.join("tables.bin"), tables).unwrap();
    models
}

fn read(models: &TempDir, parts: Parts) -> Result<ModelFolder, ModelError> {
    ModelFolder::read(&models.path().join("ae224-fundus"), parts)
}

#[test]
fn a_whole_folder_is_read() {
    let models = models();
    let model = read(&models, BOTH).unwrap();
    assert_eq!(model.id, "ae224-fundus");
    let decode = fs::read(models.path().join("ae224-fundus/decode.toml")).unwrap();
    assert_eq!(model.digest, DecoderDigest::of(&decode));
    assert_eq!((model.encoder.unwrap(), model.decoder.unwrap()), (onnx(), onnx()));
    assert_eq!(model.tables, b"any tables");
    assert_eq!(model.decode.decoder.output, OutputKind::Int32 { shift: 12 });
    assert_eq!(model.decode.latent.quantiser, Quantiser::Uniform { steps: vec![0.01, 0.012, 2.0] });
}

#[test]
fn a_withheld_half_is_missed_only_by_those_who_ask_for_it() {
    let models = models();
    let folder = models.path().join("ae224-fundus");
    fs::remove_file(folder.join("decoder.onnx")).unwrap();
    assert!(read(&models, Parts { encoder: true, decoder: false }).unwrap().decoder.is_none());
    assert!(
        matches!(read(&models, BOTH), Err(ModelError::Missing { path }) if path.ends_with("decoder.onnx"))
    );

    fs::write(folder.join("decoder.onnx"), onnx()).unwrap();
    fs::remove_file(folder.join("manifest.toml")).unwrap();
    fs::remove_file(folder.join("encoder.onnx")).unwrap();
    let decoding = read(&models, DECODING).unwrap();
    assert_eq!((decoding.id.as_str(), decoding.manifest.is_none()), ("ae224-fundus", true));
    assert!(
        matches!(read(&models, BOTH), Err(ModelError::Missing { path }) if path.ends_with("manifest.toml"))
    );

    fs::remove_file(folder.join("tables.bin")).unwrap();
    assert!(
        matches!(read(&models, NEITHER), Err(ModelError::Missing { path }) if path.ends_with("tables.bin"))
    );
}

#[test]
fn a_manifest_without_encoder_only_decodes() {
    let models = models();
    let manifest = models.path().join("ae224-fundus/manifest.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.split("[encoder]").next().unwrap()).unwrap();
    assert!(read(&models, DECODING).is_ok());
    assert!(matches!(read(&models, BOTH), Err(ModelError::Field { field, .. }) if field == "encoder"));
}

#[test]
fn a_changed_file_is_found_out_by_its_digest() {
    for file in ["encoder.onnx", "decoder.onnx", "tables.bin"] {
        let models = models();
        let path = models.path().join("ae224-fundus").join(file);
        let mut bytes = fs::read(&path).unwrap();
        bytes[3] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let error = read(&models, BOTH).unwrap_err();
        let ModelError::DigestMismatch { file: named, found, .. } = error else { panic!("{file}: {error}") };
        assert_eq!((named.as_str(), found), (file, FileDigest::of(&bytes)));
    }
    let models = models();
    let path = models.path().join("ae224-fundus/decode.toml");
    fs::write(&path, fs::read_to_string(&path).unwrap() + "# a comment\n").unwrap();
    assert!(
        matches!(read(&models, DECODING), Err(ModelError::DigestMismatch { file, .. }) if file == "decode.toml")
    );
}

#[test]
fn a_net_that_reaches_outside_is_refused_even_with_the_right_digest() {
    let models = models();
    let folder = models.path().join("ae224-fundus");
    let net =
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nets/bad_initializer.onnx")).unwrap();
    fs::write(folder.join("decoder.onnx"), &net).unwrap();
    let decode = decode_toml(&net, b"any tables");
    fs::write(folder.join("manifest.toml"), manifest_toml(&decode, &onnx())).unwrap();
    fs::write(folder.join("decode.toml"), decode).unwrap();
    assert!(matches!(read(&models, BOTH), Err(ModelError::OnnxRefused { .. })));
    assert!(read(&models, Parts { encoder: true, decoder: false }).is_ok());
}

#[test]
fn manifests_that_disagree_are_refused() {
    let models = models();
    let path = models.path().join("ae224-fundus/manifest.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("family = \"ae224\"", "family = \"hd512\"")).unwrap();
    assert!(matches!(read(&models, DECODING), Err(ModelError::Field { field, .. }) if field == "family"));
}

#[test]
fn a_file_that_is_too_large_is_refused_before_it_is_read() {
    let models = models();
    for (file, bytes) in
        [("tables.bin", (16 << 20) + 1), ("decode.toml", (64 << 10) + 1), ("decoder.onnx", 1 << 40)]
    {
        let path = models.path().join("ae224-fundus").join(file);
        let kept = fs::read(&path).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_len(bytes).unwrap(); // sparse: takes no space
        let error = read(&models, BOTH).unwrap_err();
        assert!(
            matches!(&error, ModelError::TooLarge { bytes: found, .. } if *found == bytes),
            "{file}: {error}"
        );
        fs::write(&path, kept).unwrap();
    }
}

#[test]
fn a_folder_in_place_of_a_file_is_an_error() {
    let models = models();
    let path = models.path().join("ae224-fundus/tables.bin");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(read(&models, BOTH), Err(ModelError::Io { .. })));
}

#[test]
fn the_folders_with_a_decode_toml_are_found_in_order() {
    let models = models();
    for name in ["zz", "aa"] {
        fs::create_dir(models.path().join(name)).unwrap();
    }
    fs::write(models.path().join("zz/decode.toml"), "").unwrap();
    fs::write(models.path().join("README.md"), "").unwrap();
    let found: Vec<_> = find(models.path()).unwrap();
    assert_eq!(found, [models.path().join("ae224-fundus"), models.path().join("zz")]);
    assert!(matches!(find(&models.path().join("nothing")), Err(ModelError::Missing { .. })));
}

#[test]
fn words_on_levels_belong_to_models_with_levels() {
    for (more, named) in [
        ("dead_zone = 0.1\n", "encoder.dead_zone"),
        ("error_weight = 6.0\n", "encoder.error_weight"),
        ("[encoder.rate]\nssim = [[0, 0.9], [8, 0.8]]\npsnr_db = [[0, 40], [8, 38]]\n", "encoder.rate"),
    ] {
        let models = models();
        let manifest = models.path().join("ae224-fundus/manifest.toml");
        let text = [fs::read_to_string(&manifest).unwrap(), more.to_owned()].concat();
        fs::write(&manifest, text).unwrap();
        let result = read(&models, BOTH);
        assert!(matches!(&result, Err(ModelError::Field { field, .. }) if field == named), "{result:?}");
    }
}
