//! Every sample through both processes: what arrives, in which form, and whether the figures are true.

use std::{collections::BTreeMap, fs, path::Path};

use latentwire_codec::imaging::{self, Format};
use latentwire_tests::{
    Link, binaries, outcome, pictures,
    pictures::{element, has_element, read, sop_instance_uid},
};
use serde_json::Value;

/// How far a reported figure may be from one measured again on the files.
const TOLERANCE: f64 = 1e-6;

/// LossyImageCompression.
const LOSSY: (u16, u16) = (0x0028, 0x2110);
/// LossyImageCompressionRatio.
const RATIO: (u16, u16) = (0x0028, 0x2112);
/// LossyImageCompressionMethod.
const METHOD: (u16, u16) = (0x0028, 0x2114);
/// PatientName.
const PATIENT: (u16, u16) = (0x0010, 0x0010);

/// What any trained model reaches on any of the samples.
const LEAST_SSIM: f64 = 0.8;

#[test]
fn every_sample_arrives_as_a_latent_with_true_figures() {
    let link = Link::shared();
    let samples = binaries::samples();
    assert_eq!(samples.len(), 10, "{samples:?}");
    let folder = binaries::sample("");
    // Nothing escapes into the exact form, whatever its quality.
    let run = link.send(&[folder], &["--below-floor", "send-marked"]).expect_success();
    let objects = by_path(run.objects());
    assert_eq!(objects.len(), samples.len(), "{objects:?}");
    let received = link.workplace.new_folder("received-latent");
    for sample in &samples {
        let object = &objects[&path_of(sample)];
        outcome::check_delivered(object);
        assert_eq!(object["mode"], "latent", "{object}");
        check_shape(object, sample);
        assert!(object["ssim"].as_f64().is_some_and(|ssim| ssim > LEAST_SSIM), "{object}");
        assert!(object["coded_bytes"].as_u64() < object["raw_bytes"].as_u64(), "{object}");
        check_got(&link, object, sample, &received);
    }
}

#[test]
fn exact_mode_gives_back_the_very_bytes_of_every_format() {
    let link = Link::shared();
    let samples = binaries::samples();
    let run = link.send(&samples, &["--mode", "exact", "--parallel", "4"]).expect_success();
    let objects = by_path(run.objects());
    assert_eq!(objects.len(), samples.len());
    for sample in &samples {
        let object = &objects[&path_of(sample)];
        outcome::check_delivered(object);
        assert_eq!(object["mode"], "exact", "{object}");
        check_shape(object, sample);
        let target = link.workplace.path("exact");
        let got = link.get(id_of(object), &target).expect_success().object();
        assert_eq!(got["format"].as_str(), Some(read(sample).format.name()), "{got}");
        let (sent, received) =
            (fs::read(sample).expect("the sample"), fs::read(&target).expect("the received file"));
        assert!(sent == received, "{} came back with other bytes", sample.display());
    }
}

#[test]
fn the_default_policy_keeps_its_floor() {
    let link = Link::shared();
    let run = link.send(&[binaries::sample("")], &[]).expect_success();
    for object in run.objects() {
        outcome::check_delivered(&object);
        assert!(
            object["ssim"].as_f64().is_some_and(|ssim| ssim >= 0.95),
            "below the floor, and not exact: {object}"
        );
    }
}

#[test]
fn the_models_own_pictures_find_their_model() {
    let link = Link::shared();
    for (folder, modality) in [("fundus", "fundus"), ("chest_xray", "chest"), ("brain_mri", "brain")] {
        let run =
            link.send(&[binaries::sample(folder)], &["--below-floor", "send-marked", "--modality", modality]);
        for object in run.expect_success().objects() {
            assert_eq!(object["modality"], modality, "{object}");
            assert_eq!(object["model"].as_str(), Some(format!("ae224-{modality}").as_str()), "{object}");
        }
    }
}

#[test]
fn what_was_received_is_listed_with_the_senders_figures() {
    let link = Link::shared();
    let sample = binaries::sample("fundus/test/chase_2846f819cd.jpg");
    let extra = ["--below-floor", "send-marked", "--study-group", "study 7"];
    let sent = link.send(&[sample], &extra).expect_success().object();
    let listed = link.receiver.list().expect_success().objects();
    let entry =
        listed.iter().find(|entry| entry["transfer_id"] == sent["transfer_id"]).expect("the image is listed");
    for field in [
        "mode",
        "model",
        "modality",
        "width",
        "height",
        "frames",
        "original_bytes",
        "raw_bytes",
        "coded_bytes",
    ] {
        assert_eq!(entry[field], sent[field], "{field} of {entry}");
    }
    for field in ["ssim", "min_local_ssim", "psnr_db", "max_abs_error"] {
        assert_eq!(entry[field], sent[field], "{field} of {entry}");
    }
    assert_eq!(entry["peer"], latentwire_tests::workplace::PEER);
    assert_eq!(entry["study_group"], "study 7");
    let by_image_id = link.workplace.path("by-image-id");
    let image_id = entry["image_id"].as_str().expect("an image id");
    let _got = link.get(image_id, &by_image_id).expect_success();
    assert!(fs::metadata(&by_image_id).expect("the received file").len() > 0);
}

/// Shape and sizes are those of the file.
fn check_shape(object: &Value, sample: &Path) {
    let pixels = read(sample).pixels;
    assert_eq!(object["width"], pixels.width, "{object}");
    assert_eq!(object["height"], pixels.height, "{object}");
    assert_eq!(object["frames"], pixels.frames, "{object}");
    assert_eq!(object["raw_bytes"], pixels.raw_bytes(), "{object}");
    assert_eq!(object["original_bytes"], fs::metadata(sample).expect("the sample").len(), "{object}");
    assert!(object["sealed_bytes"].as_u64() > object["coded_bytes"].as_u64(), "{object}");
}

/// Fetches a latent and compares it with what was sent: form, geometry, figures.
fn check_got(link: &Link, object: &Value, sample: &Path, folder: &Path) {
    let got = link.get(id_of(object), folder).expect_success().object();
    let target = Path::new(got["path"].as_str().expect("the path of the received file")).to_owned();
    let (sent, received) = (read(sample), read(&target));
    let expected = if sent.format == Format::Jpeg { Format::Png } else { sent.format };
    assert_eq!(received.format, expected, "{}", sample.display());
    assert_eq!(got["format"], expected.name());
    assert_eq!(got["file_bytes"], fs::metadata(&target).expect("the received file").len());
    let shape = |pixels: &imaging::PixelTensor| {
        (pixels.width, pixels.height, pixels.channels, pixels.frames, pixels.bits, pixels.signed)
    };
    assert_eq!(shape(&sent.pixels), shape(&received.pixels), "{}", sample.display());
    let measured =
        imaging::measure(&sent.pixels, &received.pixels).expect("pictures of one shape can be measured");
    let near = |field: &str, value: f64| {
        let reported = object[field].as_f64().unwrap_or(f64::NAN);
        assert!((reported - value).abs() <= TOLERANCE, "{field}: {value} measured, {object}");
    };
    near("ssim", measured.ssim);
    near("min_local_ssim", measured.min_local_ssim);
    near("psnr_db", measured.psnr_db.unwrap_or(f64::INFINITY));
    assert_eq!(object["max_abs_error"], measured.max_abs_error, "{object}");
    if sent.format == Format::Dicom {
        check_dicom(sample, &target);
    }
}

/// DICOM in, DICOM out: marked as lossy, under an identity of its own, everything else as it was.
fn check_dicom(sample: &Path, target: &Path) {
    let (sent, received) =
        (fs::read(sample).expect("the sample"), fs::read(target).expect("the received file"));
    // The one sample that was a JPEG before is marked already, the computed phantom is not.
    let was_marked = has_element(&sent, LOSSY, "01");
    assert_eq!(was_marked, sample.ends_with("chest_cr_8bit.dcm"), "{}", sample.display());
    assert!(has_element(&received, LOSSY, "01"), "LossyImageCompression is not set");
    for (tag, what) in [(RATIO, "LossyImageCompressionRatio"), (METHOD, "LossyImageCompressionMethod")] {
        let steps =
            |file: &[u8]| element(file, tag).map_or(0, |value| value.split(|byte| *byte == b'\\').count());
        assert_eq!(steps(&received), steps(&sent) + 1, "{what} does not tell of this step");
    }
    let image_type = element(&received, (0x0008, 0x0008)).unwrap_or_default();
    assert!(image_type.starts_with(b"DERIVED\\"), "ImageType is {}", String::from_utf8_lossy(&image_type));
    assert_eq!(element(&received, PATIENT), element(&sent, PATIENT), "the patient's name is lost");
    let uid = sop_instance_uid(&sent);
    assert_ne!(uid, sop_instance_uid(&received), "a derived image needs a SOP Instance UID of its own");
    assert!(pictures::holds(&received, uid.as_bytes()), "the source image is not referenced");
}

fn by_path(objects: Vec<Value>) -> BTreeMap<String, Value> {
    objects
        .into_iter()
        .map(|object| (object["path"].as_str().unwrap_or_default().to_owned(), object))
        .collect()
}

fn path_of(sample: &Path) -> String {
    sample.to_string_lossy().into_owned()
}

fn id_of(object: &Value) -> &str {
    object["transfer_id"].as_str().expect("a transfer id")
}
