//! `decode.toml`: each unsound field is refused by name.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use latentwire_model::{DecodeSpec, ModelError, OutputKind, Purpose, Quantiser};

const GOOD: &str = r#"
bitstream = 1
family = "ae224"
[decoder]
file = "decoder.onnx"
sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
output = "float32"
output_shift = 0
certified = false
[tables]
file = "tables.bin"
sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
[latent]
channels = 3
stride = 2
steps = [0.01, 0.012, 0.02]
[pixels]
channels = 3
[tiles]
size = 512
encoder_halo = 16
decoder_halo = 32
"#;

#[test]
fn a_sound_decode_toml_parses() {
    let spec = DecodeSpec::parse(GOOD.as_bytes()).unwrap();
    assert_eq!(spec.decoder.output, OutputKind::Float32);
    assert_eq!(spec.latent.quantiser, Quantiser::Uniform { steps: vec![0.01, 0.012, 0.02] });
    assert_eq!(spec.decoder.check, None);
    assert_eq!((spec.tiles.size, spec.tiles.encoder_halo, spec.tiles.decoder_halo), (512, 16, 32));
    assert_eq!((spec.purpose, spec.tiles.whole), (Purpose::Product, false), "what older files mean");
}

#[test]
fn a_purpose_is_read_by_its_name_and_no_other() {
    let with = |purpose: &str| GOOD.replacen("family", &format!("purpose = {purpose}\nfamily"), 1);
    for purpose in Purpose::ALL {
        let spec = DecodeSpec::parse(with(&format!("\"{purpose}\"")).as_bytes()).unwrap();
        assert_eq!((spec.purpose, spec.purpose.is_by_request_only()), (purpose, purpose != Purpose::Product));
    }
    for unknown in ["\"Research\"", "\"\"", "\"demo\"", "1", "[]"] {
        let result = DecodeSpec::parse(with(unknown).as_bytes());
        assert!(matches!(result, Err(ModelError::Toml { file: "decode.toml", .. })), "{unknown}: {result:?}");
    }
}

#[test]
fn whole_tiles_have_no_halo_and_are_large_enough_to_be_coded_alone() {
    let whole = |size: u32, stride: u32, halos: (u32, u32)| {
        let text = GOOD.replacen("stride = 2", &format!("stride = {stride}"), 1);
        let (encoder, decoder) = halos;
        let tiles =
            format!("size = {size}\nencoder_halo = {encoder}\ndecoder_halo = {decoder}\nwhole = true\n");
        DecodeSpec::parse([text.split("size = 512").next().unwrap(), &tiles].concat().as_bytes())
    };
    assert!(whole(512, 32, (0, 0)).unwrap().tiles.whole);
    assert!(whole(32, 2, (0, 0)).unwrap().tiles.whole);
    for (size, stride, halos) in [(512, 32, (32, 0)), (512, 32, (0, 32)), (480, 32, (0, 0)), (32, 4, (0, 0))]
    {
        let error = whole(size, stride, halos).unwrap_err();
        assert!(matches!(&error, ModelError::Field { field, .. } if field == "tiles.whole"), "{error}");
    }
}

#[test]
fn the_int32_form_carries_its_shift() {
    let text = GOOD.replace("\"float32\"", "\"int32\"").replace("output_shift = 0", "output_shift = 30");
    let text = text.replace("certified = false", "certified = true");
    let spec = DecodeSpec::parse(text.as_bytes()).unwrap();
    assert_eq!((spec.decoder.output, spec.decoder.certified), (OutputKind::Int32 { shift: 30 }, true));
}

/// A model whose blocks have levels.
fn levels() -> String {
    let text = GOOD.replace("\"float32\"", "\"int32\"").replace("output_shift = 0", "output_shift = 25");
    let text = text.replace("certified = false", &format!("certified = true\n{CHECK}"));
    text.replace("[0.01, 0.012, 0.02]", "[1, 81920, 268435456]\nquantiser = \"levels\"")
}

const CHECK: &str = r#"[decoder.check]
seed = 1
height = 8
width = 64
sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855""#;

#[test]
fn levels_have_integer_steps_and_up_to_255_channels() {
    let spec = DecodeSpec::parse(levels().as_bytes()).unwrap();
    assert_eq!(spec.latent.quantiser, Quantiser::Levels { steps: vec![1, 81_920, 1 << 28] });
    let check = spec.decoder.check.unwrap();
    assert_eq!((check.seed, check.height, check.width), (1, 8, 64));
    let text = levels().replace(CHECK, "");
    assert_eq!(DecodeSpec::parse(text.as_bytes()).unwrap().decoder.check, None);
    let steps = std::iter::repeat_n("77", 254).collect::<Vec<_>>().join(", ");
    let most = levels()
        .replace("81920, 268435456", &steps)
        .replace("channels = 3\nstride", "channels = 255\nstride");
    assert_eq!(DecodeSpec::parse(most.as_bytes()).unwrap().latent.channels, 255);
    // The integers that older files may hold are floats as they were.
    let whole = GOOD.replacen("0.012", "1", 1);
    let spec = DecodeSpec::parse(whole.as_bytes()).unwrap();
    assert_eq!(spec.latent.quantiser, Quantiser::Uniform { steps: vec![0.01, 1.0, 0.02] });
}

#[test]
fn each_lie_about_levels_is_named() {
    for (from, to, named) in [
        ("[1, 81920", "[2, 81920", "latent.steps"),
        ("81920", "0", "latent.steps"),
        ("81920", "-5", "latent.steps"),
        ("81920", "81920.0", "latent.steps"),
        ("268435456", "268435457", "latent.steps"),
        (", 268435456", "", "latent.steps"),
        ("\"levels\"", "\"uniform\"", "latent.steps"),
        ("channels = 3\nstride", "channels = 1\nstride", "latent.channels"),
        (
            "\"int32\"\noutput_shift = 25\ncertified = true",
            "\"float32\"\ncertified = false",
            "decoder.output",
        ),
        ("certified = true", "certified = false", "decoder.check"),
        ("height = 8", "height = 0", "decoder.check"),
        ("width = 64", "width = 65", "decoder.check"),
    ] {
        let text = levels().replacen(from, to, 1);
        assert_ne!(text, levels(), "{from}");
        let error = DecodeSpec::parse(text.as_bytes()).unwrap_err();
        let ModelError::Field { field, .. } = &error else { panic!("{to}: {error}") };
        assert_eq!(field, named, "{to}: {error}");
    }
    let uniform = levels().replace("81920, 268435456]\nquantiser = \"levels\"", "2, 3]");
    let error = DecodeSpec::parse(uniform.as_bytes()).unwrap_err();
    assert!(matches!(&error, ModelError::Field { field, .. } if field == "decoder.check"), "{error}");
    for (from, to) in
        [("\"levels\"", "\"Levels\""), ("seed = 1", "seed = -1"), ("seed = 1", "seed = 1\nmore = 2")]
    {
        let text = levels().replacen(from, to, 1);
        let result = DecodeSpec::parse(text.as_bytes());
        assert!(matches!(result, Err(ModelError::Toml { file: "decode.toml", .. })), "{to}: {result:?}");
    }
}

#[test]
fn each_unsound_field_is_named() {
    for (from, to, named) in [
        ("bitstream = 1", "bitstream = 2", "bitstream"),
        ("family = \"ae224\"", "family = \"\"", "family"),
        ("\"decoder.onnx\"", "\"sub/decoder.onnx\"", "decoder.file"),
        ("\"tables.bin\"", "\"..\"", "tables.file"),
        ("output_shift = 0", "output_shift = 3", "decoder.output_shift"),
        ("\"float32\"\noutput_shift = 0", "\"int32\"\noutput_shift = 31", "decoder.output_shift"),
        ("certified = false", "certified = true", "decoder.certified"),
        ("channels = 3\nstride", "channels = 0\nstride", "latent.channels"),
        ("channels = 3\nstride", "channels = 17\nstride", "latent.channels"),
        ("stride = 2", "stride = 0", "latent.stride"),
        ("stride = 2", "stride = 3", "latent.stride"),
        ("stride = 2", "stride = 64", "latent.stride"),
        ("[0.01, 0.012, 0.02]", "[0.01, 0.012]", "latent.steps"),
        ("0.012", "0.0", "latent.steps"),
        ("0.012", "-0.012", "latent.steps"),
        ("0.012", "nan", "latent.steps"),
        ("0.012", "inf", "latent.steps"),
        ("0.012", "1e-40", "latent.steps"),
        ("[pixels]\nchannels = 3", "[pixels]\nchannels = 2", "pixels.channels"),
        ("size = 512", "size = 16", "tiles.size"),
        ("size = 512", "size = 4294967295", "tiles.size"),
        ("size = 512", "size = 513", "tiles.size"),
        ("encoder_halo = 16", "encoder_halo = 17", "tiles.encoder_halo"),
        ("decoder_halo = 32", "decoder_halo = 1026", "tiles.decoder_halo"),
    ] {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{from}");
        let error = DecodeSpec::parse(text.as_bytes()).unwrap_err();
        let ModelError::Field { field, .. } = &error else { panic!("{to}: {error}") };
        assert_eq!(field, named, "{to}: {error}");
    }
}

#[test]
fn text_that_is_not_the_expected_toml_is_refused() {
    for (from, to) in [
        ("size = 512", "size = -1"),
        ("size = 512", "size = 1e3"),
        ("\"float32\"", "\"float16\""),
        ("[pixels]", "[pixel]"),
        ("stride = 2", "stride = 2\nmore = 1"),
        ("stride = 2", ""),
        ("sha256 = \"e3", "sha256 = \"e"),
        ("bitstream = 1", "bitstream = 1 1"),
    ] {
        let text = GOOD.replacen(from, to, 1);
        let result = DecodeSpec::parse(text.as_bytes());
        assert!(matches!(result, Err(ModelError::Toml { file: "decode.toml", .. })), "{to}: {result:?}");
    }
    assert!(DecodeSpec::parse(b"").is_err());
    assert!(DecodeSpec::parse(&[0xFF; 10]).is_err());
    assert!(DecodeSpec::parse("[".repeat(50_000).as_bytes()).is_err());
}
