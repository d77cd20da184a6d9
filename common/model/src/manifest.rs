//! `manifest.toml`: who the model is, what it is for, and its encoder.

use serde::Deserialize;

use crate::digest::{DecoderDigest, FileDigest};
use crate::encoder_spec::EncoderSpec;
use crate::error::{ModelError, excerpt};
use crate::modality::Modality;

/// What `manifest.toml` says: everything that encoding needs beyond [`crate::DecodeSpec`].
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The model's name, `[a-z0-9][a-z0-9._-]{0,63}`; by custom the folder's name.
    pub id: String,
    /// The architecture, such as `ae224`; must equal `decode.toml`'s.
    pub family: String,
    /// What kind of picture the model was trained for.
    pub modality: Modality,
    /// The trainer's own word for that kind, such as `ultrasound`, where `modality` is `other`; same alphabet as `id`.
    pub label: Option<String>,
    /// For which pictures the model comes into question.
    #[serde(default)]
    pub choose: Choose,
    /// DICOM Modality codes (0008,0060), such as `US`, whose pictures ask for this model by their header.
    #[serde(default)]
    pub dicom_modalities: Vec<String>,
    /// SPDX expression of the weights' licence.
    pub licence: String,
    /// The `decode.toml` that belongs to this encoder.
    pub decode_sha256: DecoderDigest,
    /// The encoder; absent in folders that only decode.
    pub encoder: Option<EncoderSpec>,
}

/// For which pictures a model comes into question.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choose {
    /// For those of its modality, and for any in the trial among all models (the default).
    #[default]
    ByTrial,
    /// Only for those whose request names the model, or whose DICOM header names one of its `dicom_modalities`: what a
    /// model for one narrow purpose asks for, so that it is never tried on anybody else's pictures.
    ByName,
}

/// A file of the model folder, by name and digest.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRef {
    /// Plain file name inside the model folder: no path separator, no leading dot.
    pub file: String,
    /// SHA-256 of the file's bytes.
    pub sha256: FileDigest,
}

const FILE: &str = "manifest.toml";
/// Most DICOM Modality codes of one model.
const MAX_DICOM_MODALITIES: usize = 16;

impl Manifest {
    /// Reads and validates a `manifest.toml`.
    ///
    /// # Errors
    /// [`ModelError::Toml`] when the text is not the expected TOML (unknown fields included), [`ModelError::Field`]
    /// when a field is out of its range.
    pub fn parse(text: &[u8]) -> Result<Self, ModelError> {
        let manifest: Self = parse_toml(FILE, text)?;
        check_name(FILE, "id", &manifest.id)?;
        check_name(FILE, "family", &manifest.family)?;
        if let Some(label) = &manifest.label {
            check_name(FILE, "label", label)?;
        }
        check_dicom_modalities(&manifest.dicom_modalities)?;
        let licence = &manifest.licence;
        if licence.is_empty()
            || licence.len() > 200
            || !licence.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
        {
            return Err(field(FILE, "licence", "must be an SPDX expression of at most 200 characters"));
        }
        if let Some(encoder) = &manifest.encoder {
            encoder.check()?;
        }
        Ok(manifest)
    }
}

/// DICOM Modality is a code string: upper-case letters and digits, at most 16 (PS3.5 6.2, less the space and underscore
/// that no defined term of it has).
fn check_dicom_modalities(codes: &[String]) -> Result<(), ModelError> {
    let sound = |code: &String| {
        (1..=16).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    };
    if codes.len() <= MAX_DICOM_MODALITIES && codes.iter().all(sound) {
        return Ok(());
    }
    let problem =
        "must hold at most 16 DICOM Modality codes such as \"US\" (A-Z, 0-9, at most 16 characters)";
    Err(field(FILE, "dicom_modalities", problem))
}

/// Deserialises TOML that must be UTF-8.
pub(crate) fn parse_toml<T: serde::de::DeserializeOwned>(
    file: &'static str,
    text: &[u8],
) -> Result<T, ModelError> {
    let text = std::str::from_utf8(text)
        .map_err(|_| ModelError::Toml { file, problem: "it is not UTF-8 text".to_owned() })?;
    toml::from_str(text).map_err(|e| ModelError::Toml { file, problem: e.message().to_owned() })
}

/// A [`ModelError::Field`].
pub(crate) fn field(file: &'static str, field: &str, problem: impl Into<String>) -> ModelError {
    ModelError::Field { file, field: field.to_owned(), problem: problem.into() }
}

/// Model ids and families appear in logs, metrics and file names: a small alphabet only.
pub(crate) fn check_name(file: &'static str, name: &str, value: &str) -> Result<(), ModelError> {
    let bytes = value.as_bytes();
    let sound = (1..=64).contains(&bytes.len())
        && (bytes[0].is_ascii_lowercase() || bytes[0].is_ascii_digit())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(b));
    if sound {
        return Ok(());
    }
    Err(field(
        file,
        name,
        format!(
            "must be 1 to 64 of a-z, 0-9, '.', '_', '-', beginning with a letter or digit, found {:?}",
            excerpt(value)
        ),
    ))
}

/// File names stay inside the model folder.
pub(crate) fn check_file_name(file: &'static str, name: &str, value: &str) -> Result<(), ModelError> {
    let bytes = value.as_bytes();
    let sound = (1..=100).contains(&bytes.len())
        && bytes[0] != b'.'
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(b))
        && !value.contains("..");
    if sound {
        return Ok(());
    }
    Err(field(
        file,
        name,
        format!(
            "must be a plain file name inside the model folder (letters, digits, '.', '_', '-', no leading dot), found {:?}",
            excerpt(value)
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
id = "ae224-fundus"
family = "ae224"
modality = "fundus"
licence = "CC-BY-4.0"
decode_sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
[encoder]
file = "encoder.onnx"
sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"#;

    #[test]
    fn a_sound_manifest_parses() {
        let manifest = Manifest::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(manifest.id, "ae224-fundus");
        assert_eq!(manifest.modality, Modality::Fundus);
        assert_eq!((manifest.label, manifest.choose), (None, Choose::ByTrial));
        assert!(manifest.dicom_modalities.is_empty());
        assert_eq!(manifest.encoder.unwrap().sha256, FileDigest::of(b""));
    }

    #[test]
    fn a_model_of_a_kind_of_its_own_has_a_label_and_waits_to_be_named() {
        let own = "modality = \"other\"\nlabel = \"ultrasound\"\nchoose = \"by-name\"\ndicom_modalities = [\"US\", \"IVUS\"]";
        let text = GOOD.replacen(r#"modality = "fundus""#, own, 1);
        let manifest = Manifest::parse(text.as_bytes()).unwrap();
        assert_eq!((manifest.modality, manifest.choose), (Modality::Other, Choose::ByName));
        assert_eq!(manifest.label.as_deref(), Some("ultrasound"));
        assert_eq!(manifest.dicom_modalities, ["US", "IVUS"]);
    }

    #[test]
    fn each_unsound_field_is_named() {
        for (from, to, wanted) in [
            (r#"id = "ae224-fundus""#, r#"id = "../x""#, "`id`"),
            (r#"id = "ae224-fundus""#, r#"id = """#, "`id`"),
            (r#"family = "ae224""#, r#"family = "AE 224""#, "`family`"),
            (r#"licence = "CC-BY-4.0""#, r#"licence = """#, "`licence`"),
            (r#"licence = "CC-BY-4.0""#, "licence = \"a\\nb\"", "`licence`"),
            (r#"file = "encoder.onnx""#, r#"file = "../encoder.onnx""#, "`encoder.file`"),
            (r#"file = "encoder.onnx""#, r#"file = "/etc/passwd""#, "`encoder.file`"),
            (r#"file = "encoder.onnx""#, r#"file = "a\\b""#, "`encoder.file`"),
            (r#"file = "encoder.onnx""#, r#"file = ".hidden""#, "`encoder.file`"),
            (r#"modality = "fundus""#, r#"modality = "eye""#, "unknown modality"),
            (r#"family = "ae224""#, "family = \"ae224\"\nlabel = \"Ultra sound\"", "`label`"),
            (r#"family = "ae224""#, "family = \"ae224\"\nchoose = \"never\"", "by-name"),
            (r#"family = "ae224""#, "family = \"ae224\"\ndicom_modalities = [\"us\"]", "`dicom_modalities`"),
            (r#"family = "ae224""#, "family = \"ae224\"\ndicom_modalities = [\"\"]", "`dicom_modalities`"),
            (r#"family = "ae224""#, "family = \"ae224\"\nextra = 1", "unknown field"),
            ("decode_sha256 = \"e3", "decode_sha256 = \"zz", "64 hexadecimal digits"),
        ] {
            let text = GOOD.replacen(from, to, 1);
            assert_ne!(text, GOOD);
            let error = Manifest::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(wanted), "{to}: {error}");
        }
    }

    const CURVES: &str = "dead_zone = 0.125\n[encoder.rate]\nssim = [[-48, 0.99], [64, 0.9]]\n\
                          psnr_db = [[-16, 44.0], [0, 44.0], [16, 38]]\nspread = 3\n";

    #[test]
    fn an_encoder_may_say_how_its_latents_are_quantised() {
        let encoder = Manifest::parse([GOOD, CURVES].concat().as_bytes()).unwrap().encoder.unwrap();
        assert_eq!(encoder.dead_zone, Some(0.125));
        let rate = encoder.rate.unwrap();
        assert_eq!(rate.ssim, [(-48, 0.99), (64, 0.9)]);
        assert_eq!(rate.psnr_db, [(-16, 44.0), (0, 44.0), (16, 38.0)]);
        assert_eq!(rate.spread, 3.0);
        let encoder = Manifest::parse(GOOD.as_bytes()).unwrap().encoder.unwrap();
        assert_eq!((encoder.dead_zone, encoder.error_weight, encoder.rate), (None, None, None));
        let weighing = [GOOD, "error_weight = 6.5\n"].concat();
        let encoder = Manifest::parse(weighing.as_bytes()).unwrap().encoder.unwrap();
        assert_eq!(encoder.error_weight, Some(6.5));
    }

    #[test]
    fn each_unsound_word_on_quantisation_is_named() {
        for (from, to, wanted) in [
            ("0.125", "-0.01", "`encoder.dead_zone`"),
            ("0.125", "0.51", "`encoder.dead_zone`"),
            ("0.125", "nan", "`encoder.dead_zone`"),
            ("dead_zone = 0.125", "error_weight = 0.0", "`encoder.error_weight`"),
            ("dead_zone = 0.125", "error_weight = nan", "`encoder.error_weight`"),
            ("dead_zone = 0.125", "error_weight = 2e6", "`encoder.error_weight`"),
            ("dead_zone = 0.125", "dead_zone = 0.1\nerror_weight = 6", "`encoder.error_weight`"),
            ("[64, 0.9]", "[65, 0.9]", "`encoder.rate.ssim`"),
            ("[-48, 0.99]", "[-49, 0.99]", "`encoder.rate.ssim`"),
            ("[-48, 0.99]", "[64, 0.99]", "`encoder.rate.ssim`"),
            ("0.99]", "1.01]", "`encoder.rate.ssim`"),
            ("0.99]", "nan]", "`encoder.rate.ssim`"),
            ("0.99]", "0.89]", "`encoder.rate.ssim`"),
            (", [64, 0.9]", "", "`encoder.rate.ssim`"),
            ("38]", "201.0]", "`encoder.rate.psnr_db`"),
            ("[16, 38]", "[-20, 38]", "`encoder.rate.psnr_db`"),
            ("[16, 38]", "[16]", "not a valid manifest"),
            ("psnr_db", "psnr", "not a valid manifest"),
            ("spread = 3", "spread = 32.5", "`encoder.rate.spread`"),
            ("spread = 3", "spread = -1", "`encoder.rate.spread`"),
        ] {
            let text = [GOOD, &CURVES.replacen(from, to, 1)].concat();
            assert_ne!(text, [GOOD, CURVES].concat(), "{from}");
            let error = Manifest::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(wanted), "{to}: {error}");
        }
    }

    #[test]
    fn text_that_is_not_utf8_is_refused() {
        assert!(matches!(Manifest::parse(b"id = \"\xFF\""), Err(ModelError::Toml { .. })));
    }
}
