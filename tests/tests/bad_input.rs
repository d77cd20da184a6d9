//! Bad input through both services: a stable reason, a non-zero exit, nothing half-written, and the next image goes through.

use std::{fs, path::Path};

use latentwire_tests::{Link, Run, binaries, client, outcome, pictures};

const GOOD: &str = "brain_mri/test/sartaj_0908d1a91a.jpg";

#[test]
fn a_file_of_no_known_format_is_refused() {
    rejected(
        "notes.txt",
        b"This is no picture, whatever its name may say.",
        "INVALID_ARGUMENT",
        "UNKNOWN_FORMAT",
    );
    rejected("picture.png", b"GIF89a\x01\x00\x01\x00", "INVALID_ARGUMENT", "UNKNOWN_FORMAT");
}

#[test]
fn an_empty_file_is_refused() {
    rejected("empty.dcm", b"", "INVALID_ARGUMENT", "EMPTY_FILE");
}

#[test]
fn a_truncated_png_is_refused() {
    let whole = fs::read(binaries::sample("other/phantom_mr_head_16bit.png")).expect("the sample");
    for length in [20, whole.len() / 2, whole.len() - 30] {
        rejected("truncated.png", &whole[..length], "INVALID_ARGUMENT", "MALFORMED_FILE");
    }
}

#[test]
fn a_truncated_dicom_file_is_refused() {
    for sample in ["dicom/chest_cr_8bit.dcm", "dicom/phantom_ct_head_16bit.dcm"] {
        let whole = fs::read(binaries::sample(sample)).expect("the sample");
        for length in [140, whole.len() / 2, whole.len() - 1000] {
            rejected("truncated.dcm", &whole[..length], "INVALID_ARGUMENT", "MALFORMED_FILE");
        }
    }
}

#[test]
fn truncated_jpeg_and_tiff_files_are_refused() {
    for (sample, ending) in [(GOOD, "jpg"), ("other/fundus_half.tiff", "tiff")] {
        let whole = fs::read(binaries::sample(sample)).expect("the sample");
        rejected(
            &format!("truncated.{ending}"),
            &whole[..whole.len() / 2],
            "INVALID_ARGUMENT",
            "MALFORMED_FILE",
        );
    }
}

#[test]
fn a_picture_without_area_is_refused() {
    rejected("zero.png", &pictures::png_header(0, 0), "INVALID_ARGUMENT", "INVALID_TENSOR");
    rejected("flat.png", &pictures::png_header(640, 0), "INVALID_ARGUMENT", "INVALID_TENSOR");
}

#[test]
fn a_huge_header_without_its_pixels_is_refused_at_once() {
    let begun = std::time::Instant::now();
    rejected("huge.png", &pictures::png_header(20_000, 20_000), "OUT_OF_RANGE", "TRANSFER_TOO_LARGE");
    rejected("wide.png", &pictures::png_header(u32::MAX >> 1, 1), "OUT_OF_RANGE", "TRANSFER_TOO_LARGE");
    // Within every limit, but far more than the file can hold.
    rejected("large.png", &pictures::png_header(12_000, 12_000), "INVALID_ARGUMENT", "MALFORMED_FILE");
    assert!(begun.elapsed().as_secs() < 20, "refusing a header took {:?}", begun.elapsed());
}

#[test]
fn a_truncated_file_is_refused_in_exact_mode_too() {
    let link = Link::shared();
    let whole = fs::read(binaries::sample(GOOD)).expect("the sample");
    let path = link.workplace.write("exact-truncated.jpg", &whole[..whole.len() / 2]);
    let run = link.send(&[&path], &["--mode", "exact"]);
    assert_eq!(run.exit, 1, "{run:?}");
    assert_eq!(outcome::check_rejected(&run.object()), "MALFORMED_FILE");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let link = Link::shared();
    let run = link.send(&["no-such-file.png"], &[]);
    assert_eq!(run.exit, 1, "{run:?}");
    let object = run.object();
    assert_eq!(outcome::check_rejected(&object), "LOCAL_FILE");
    assert_eq!(object["error"]["code"], "NOT_FOUND", "{object}");
}

#[test]
fn one_bad_file_among_good_ones_stops_none_of_them() {
    let link = Link::shared();
    let bad = link.workplace.write("bad-among-good.png", b"\x89PNG\r\n\x1a\nnothing more");
    let run = link.send(&[&binaries::sample(GOOD), &bad, &binaries::sample("other/fundus_half.tiff")], &[]);
    assert_eq!(run.exit, 1, "{run:?}");
    let (rejected, delivered): (Vec<_>, Vec<_>) =
        run.objects().into_iter().partition(|object| object["status"] == "rejected");
    assert_eq!((rejected.len(), delivered.len()), (1, 2));
    assert_eq!(outcome::check_rejected(&rejected[0]), "MALFORMED_FILE");
    assert_eq!(rejected[0]["path"], bad.to_string_lossy().as_ref());
    delivered.iter().for_each(outcome::check_delivered);
}

#[test]
fn a_picture_of_one_pixel_and_one_of_one_colour_travel_exact() {
    let link = Link::shared();
    for (name, file) in [
        ("one-pixel.png", pictures::flat_png(1, 1, 200)),
        ("one-colour.png", pictures::flat_png(300, 200, 17)),
        ("one-row.png", pictures::noise_png(500, 1)),
    ] {
        let path = link.workplace.write(name, &file);
        let object = link.send(&[&path], &[]).expect_success().object();
        outcome::check_delivered(&object);
        assert_eq!(object["mode"], "exact", "{object}");
        let target = link.workplace.path("got-exact");
        let _got = link.get(object["transfer_id"].as_str().expect("an id"), &target).expect_success();
        assert!(fs::read(&target).expect("the received file") == file, "{name} came back with other bytes");
    }
}

#[test]
fn contradictory_wishes_are_refused() {
    let link = Link::shared();
    let good = [binaries::sample(GOOD)];
    for (extra, code, reason) in [
        (["--model", "no-such-model"], "FAILED_PRECONDITION", "MODEL_MISMATCH"),
        (["--destination", "nowhere"], "NOT_FOUND", "DESTINATION_UNKNOWN"),
        (["--mode", "bounded"], "FAILED_PRECONDITION", "NOT_ENABLED"),
    ] {
        let run = link.send(&good, &extra);
        assert_eq!(run.exit, 1, "{run:?}");
        let object = run.object();
        assert_eq!(
            (outcome::check_rejected(&object).as_str(), &object["error"]["code"]),
            (reason, &code.into())
        );
    }
    // A large file, so that the latent is the smaller form whatever the model is worth.
    let large = [binaries::sample("dicom/chest_cr_8bit.dcm")];
    let run = link.send(&large, &["--min-ssim", "1", "--below-floor", "reject"]);
    assert_eq!(run.exit, 1, "{run:?}");
    assert_eq!(outcome::check_rejected(&run.object()), "FIDELITY_BELOW_FLOOR");
}

#[test]
fn an_image_that_is_not_there_leaves_no_file() {
    let link = Link::shared();
    let folder = link.workplace.new_folder("get-nothing");
    let target = folder.join("image.png");
    let run = link.get(&"ee".repeat(16), &target);
    assert_eq!(run.exit, 1, "{run:?}");
    assert!(run.err.contains("IMAGE_NOT_FOUND"), "{run:?}");
    assert_eq!(entries(&folder), 0, "a failed get must leave nothing behind");
    fs::write(&target, b"what was there before").expect("a file");
    let _failed = link.get(&"ee".repeat(16), &target);
    assert_eq!(fs::read(&target).expect("the file"), b"what was there before");
}

#[test]
fn services_that_are_not_there_are_told_apart_from_refusals() {
    let nobody = format!("http://{}", latentwire_tests::process::free_address());
    let good = binaries::sample(GOOD);
    let good = good.to_str().expect("a path");
    let sent = Run::latentwire(["send", "--json", "--sender", &nobody, good]);
    assert_eq!(sent.exit, 3, "{sent:?}");
    assert_eq!(outcome::check_rejected(&sent.object()), "SERVICE_UNREACHABLE");
    let listed = Run::latentwire(["list", "--receiver", &nobody]);
    assert_eq!(listed.exit, 3, "{listed:?}");
    let nonsense = Run::latentwire(["send", "--sender", "not a url", good]);
    assert_eq!(nonsense.exit, 2, "{nonsense:?}");
}

/// Sends a bad file; checks reason, exit code, traces, and that a good image goes through afterwards.
fn rejected(name: &str, content: &[u8], code: &str, reason: &str) {
    let link = Link::shared();
    let path = link.workplace.write(name, content);
    let run = link.send(&[&path], &[]);
    assert_eq!(run.exit, 1, "{name}: {run:?}");
    let object = run.object();
    assert_eq!(outcome::check_rejected(&object), reason, "{name}: {object}");
    assert_eq!(object["error"]["code"], code, "{name}: {object}");
    let id = object["transfer_id"].as_str().expect("an id").to_owned();
    let stored = client::list_images(link.receiver.images);
    assert!(stored.iter().all(|image| hex::encode(&image.transfer_id) != id), "{name} was stored");
    let run = link.send(&[binaries::sample(GOOD)], &["--mode", "exact"]).expect_success();
    outcome::check_delivered(&run.object());
}

fn entries(folder: &Path) -> usize {
    fs::read_dir(folder).expect("a folder").count()
}
