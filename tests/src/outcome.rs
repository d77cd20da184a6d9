//! The JSON object of `latentwire send --json` and `latentwire inspect --json`, checked field by field.

use serde_json::{Map, Value};

/// The fields of every object, in order; a rejected image's object ends with `error` too.
pub const FIELDS: [&str; 20] = [
    "path",
    "transfer_id",
    "status",
    "mode",
    "model",
    "mark",
    "modality",
    "width",
    "height",
    "frames",
    "original_bytes",
    "raw_bytes",
    "coded_bytes",
    "sealed_bytes",
    "ssim",
    "min_local_ssim",
    "psnr_db",
    "max_abs_error",
    "timings_ms",
    "error",
];

/// The steps of `timings_ms`.
pub const STEPS: [&str; 7] = ["prepare", "encode", "code", "seal", "transfer", "open", "decode"];

/// The fields of a delivered image that are whole numbers.
const COUNTS: [&str; 8] = [
    "width",
    "height",
    "frames",
    "original_bytes",
    "raw_bytes",
    "coded_bytes",
    "sealed_bytes",
    "max_abs_error",
];

/// Checks every field of a delivered, measured image.
///
/// # Panics
/// A field is missing, of another type, or one too many.
pub fn check_delivered(object: &Value) {
    let fields = fields(object);
    assert_eq!(names(fields), FIELDS[..19], "{object}");
    check_names(object);
    assert_eq!(object["status"], "delivered", "{object}");
    check_id(&object["transfer_id"]);
    for field in COUNTS {
        assert!(object[field].is_u64(), "{field} of {object}");
    }
    for field in ["ssim", "min_local_ssim"] {
        let similarity = object[field].as_f64().unwrap_or(f64::NAN);
        assert!((-1.0..=1.0).contains(&similarity), "{field} of {object}");
    }
    check_timings(object);
    let exact = object["mode"] == "exact";
    assert_eq!(object["model"].is_null(), exact, "{object}");
    if exact {
        assert!(
            object["psnr_db"].is_null() && object["ssim"] == 1.0 && object["max_abs_error"] == 0,
            "{object}"
        );
    } else {
        assert!(object["model"].is_string() && object["psnr_db"].is_f64(), "{object}");
    }
}

/// Checks the object of an image that was not taken; gives its stable reason.
///
/// # Panics
/// A field is missing, of another type, or one too many.
#[must_use]
pub fn check_rejected(object: &Value) -> String {
    assert_eq!(names(fields(object)), FIELDS, "{object}");
    assert_eq!(object["status"], "rejected", "{object}");
    check_timings(object);
    let error = fields(&object["error"]);
    assert_eq!(names(error), ["code", "reason", "message"], "{object}");
    for field in ["code", "reason"] {
        let text = error[field].as_str().unwrap_or_default();
        let constant = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        assert!(constant, "{field} of {object}");
    }
    let message = error["message"].as_str().unwrap_or_default();
    assert!(message.len() > 10 && !message.contains('\n'), "the message must be one sentence: {object}");
    error["reason"].as_str().unwrap_or_default().to_owned()
}

fn check_names(object: &Value) {
    assert!(object["path"].is_string(), "{object}");
    let one_of = |field: &str, words: &[&str]| {
        assert!(object[field].as_str().is_some_and(|word| words.contains(&word)), "{field} of {object}");
    };
    one_of("mode", &["latent", "exact", "bounded"]);
    one_of("modality", &["fundus", "chest", "brain", "other"]);
}

fn check_id(id: &Value) {
    let id = id.as_str().unwrap_or_default();
    let hexadecimal = id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    assert!(id.len() == 32 && hexadecimal, "{id:?} is not 32 hexadecimal digits");
}

fn check_timings(object: &Value) {
    let timings = fields(&object["timings_ms"]);
    assert_eq!(names(timings), STEPS, "{object}");
    for step in STEPS {
        assert!(timings[step].as_f64().is_some_and(|ms| ms.is_finite() && ms >= 0.0), "{step} of {object}");
    }
}

fn fields(object: &Value) -> &Map<String, Value> {
    object.as_object().unwrap_or_else(|| panic!("not an object: {object}"))
}

fn names(fields: &Map<String, Value>) -> Vec<&str> {
    let place = |name: &&str| {
        [&FIELDS[..], &STEPS, &["code", "reason", "message"]].concat().iter().position(|known| known == name)
    };
    let mut names: Vec<&str> = fields.keys().map(String::as_str).collect();
    names.sort_by_key(place);
    names
}
