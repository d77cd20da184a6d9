//! `latentwire inspect` and `models` with models that serve research, and pictures that a model does not suit.

mod support;

use serde_json::Value;
use support::{Folder, models, onnxruntime, png, run};

/// Runs `inspect --json` on one picture with the codec's tiny models.
#[track_caller]
fn inspect(picture: &str, more: &[&str], exit: i32) -> Value {
    let (models, library) = (models().display().to_string(), onnxruntime());
    let arguments = ["inspect", "--json", "--models", &models, "--onnxruntime", &library, picture];
    run(&[&arguments[..], more].concat(), exit).object()
}

/// The reason and the message of a rejected picture.
fn error(outcome: &Value) -> (&str, &str) {
    let text = |field: &str| outcome["error"][field].as_str().unwrap_or_default();
    (text("reason"), text("message"))
}

const RESEARCH: [&str; 3] = ["--research-models", "--below-floor", "send-marked"];

#[test]
fn a_research_model_is_named_by_its_id_and_every_picture_says_so() {
    let folder = Folder::new();
    let picture = folder.write("a.png", png(96, 64));
    for (id, mark) in [("whole-dense", "research"), ("soften-chest", "denoised")] {
        let outcome = inspect(&picture, &[&RESEARCH[..], &["--model", id]].concat(), 0);
        assert_eq!((&outcome["mode"], &outcome["model"]), (&"latent".into(), &id.into()));
        assert_eq!(outcome["mark"], mark);
    }
    let below = ["--below-floor", "send-marked", "--model", "blur-other", "--min-ssim", "1"];
    assert_eq!(inspect(&picture, &below, 0)["mark"], "below_floor");
    let product = inspect(&picture, &["--below-floor", "send-marked", "--model", "haar-chest"], 0);
    assert!(product["mark"].is_null() && product["mode"] == "latent", "{product}");

    let (models, library) = (models().display().to_string(), onnxruntime());
    let arguments = ["inspect", "--models", &models, "--onnxruntime", &library, &picture];
    let table = run(&[&arguments[..], &RESEARCH, &["--model", "soften-chest"]].concat(), 0).out;
    assert!(table.contains("latent, denoised") && table.contains("on purpose"), "{table}");
}

#[test]
fn a_research_model_is_refused_unmarked_and_missed_where_it_is_not_loaded() {
    let folder = Folder::new();
    let picture = folder.write("a.png", png(96, 64));
    let unmarked = inspect(&picture, &["--research-models", "--model", "whole-dense"], 1);
    let (reason, message) = error(&unmarked);
    assert_eq!(reason, "INVALID_POLICY");
    assert!(message.contains("whole-dense") && message.contains("send-marked"), "{message}");
    let missed = inspect(&picture, &["--below-floor", "send-marked", "--model", "whole-dense"], 1);
    let (reason, message) = error(&missed);
    assert_eq!(reason, "MODEL_MISMATCH");
    assert!(message.contains("--research-models"), "{message}");
}

#[test]
fn research_models_are_listed_on_demand_with_their_purpose() {
    let (models, library) = (models().display().to_string(), onnxruntime());
    let list = |more: &[&str]| {
        let arguments = ["models", "--json", "--models", &models, "--onnxruntime", &library];
        let found = run(&[&arguments[..], more].concat(), 0).objects();
        let word = |model: &Value, field: &str| model[field].as_str().map(str::to_owned).expect("a word");
        found.iter().map(|model| (word(model, "id"), word(model, "purpose"))).collect::<Vec<_>>()
    };
    let product = list(&[]);
    assert!(product.len() == 4 && product.iter().all(|(_, purpose)| purpose == "product"), "{product:?}");
    let all = list(&["--research-models"]);
    assert_eq!(all[..4], product);
    let owned = |id: &str, purpose: &str| (id.to_owned(), purpose.to_owned());
    assert_eq!(all[4..], [owned("soften-chest", "denoising"), owned("whole-dense", "research")]);
}

/// A PNG of one colour, 8 bits.
fn plain(width: u32, height: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let pixels = vec![90; width as usize * height as usize * 3];
    encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels)).expect("a picture");
    file
}

#[test]
fn pictures_that_no_latent_suits_travel_exact_and_say_why() {
    let folder = Folder::new();
    let (models, library) = (models().display().to_string(), onnxruntime());
    for (name, file, why) in [
        ("smaller-than-a-stride.png", png(13, 9), "shorter than 16 pixels"),
        ("one-row.png", png(300, 1), "shorter than 16 pixels"),
        ("one-column.png", png(1, 300), "shorter than 16 pixels"),
        ("one-pixel.png", png(1, 1), "shorter than 16 pixels"),
        ("one-colour.png", plain(64, 64), "same value"),
    ] {
        let picture = folder.write(name, file);
        for more in [&[][..], &[&RESEARCH[..], &["--model", "whole-dense"]].concat()] {
            let outcome = inspect(&picture, more, 0);
            assert!(outcome["mode"] == "exact" && outcome["mark"].is_null(), "{name}: {outcome}");
            let arguments = ["inspect", "--models", &models, "--onnxruntime", &library, &picture];
            let table = run(&[&arguments[..], more].concat(), 0).out;
            assert!(table.contains("travels exact") && table.contains(why), "{name}: {table}");
        }
    }
}

/// A PNG of grey waves with grain, 16 bits, which no PNG codes in fewer bytes than a latent.
fn grain(width: u32, height: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Sixteen);
    let pixel = |at: u32| {
        let (x, y) = (f64::from(at % width), f64::from(at / width));
        let grain = at.wrapping_mul(0x9e37_79b1).rotate_left(13).wrapping_mul(0x85eb_ca77) >> 22;
        (32_000.0 + 10_000.0 * ((x / 19.0).sin() + (y / 23.0).cos()) + f64::from(grain)) as u16
    };
    let pixels: Vec<u8> = (0..width * height).flat_map(|at| pixel(at).to_be_bytes()).collect();
    encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels)).expect("a picture");
    file
}

#[test]
fn a_model_for_other_pictures_is_named_as_the_likely_cause() {
    let folder = Folder::new();
    let picture = folder.write("grey.png", grain(120, 90));
    let reject = ["--below-floor", "reject", "--max-abs-error", "0"];
    let outcome = inspect(&picture, &[&["--model", "haar-fundus"], &reject[..]].concat(), 1);
    let (reason, message) = error(&outcome);
    assert_eq!(reason, "FIDELITY_BELOW_FLOOR");
    assert!(message.contains("made for fundus pictures, and this one is grey"), "{message}");

    let coloured = folder.write("colour.png", {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, 64, 64);
        encoder.set_color(png::ColorType::Rgb);
        let pixels: Vec<u8> = (0..64_u32 * 64 * 3).map(|at| (at % 249) as u8).collect();
        encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels)).expect("a picture");
        file
    });
    let outcome = inspect(&coloured, &["--model", "mono-brain"], 1);
    let (reason, message) = error(&outcome);
    assert_eq!(reason, "MODEL_MISMATCH");
    assert!(message.contains("grey pictures only"), "{message}");
}
