//! What serves research through both processes: the chaos cipher below AES-256-GCM, and one segment a row of the raw latent.
//! A receiver refuses both unless its operator allows them by name.

use std::{fs, path::Path};

use latentwire_codec::imaging;
use latentwire_tests::{Link, binaries, outcome, pictures};
use serde_json::Value;

const CHAOS: [&str; 2] = ["--inner", "chaos4"];
const ROWS: [&str; 2] = ["--segment", "row"];
/// Any latent travels, however unlike its picture.
const MARKED: [&str; 2] = ["--below-floor", "send-marked"];

/// Bytes that sealing adds to each segment.
const TAG: u64 = 16;
/// Most bytes of a message around a segment, and of Open and Meta together.
const FRAMING: u64 = 16;
const OPEN_AND_META: u64 = 8_192;

fn allowing() -> Link {
    Link::open_with(&[], &["--allow-research", "chaos4,rows"])
}

#[test]
fn a_receiver_refuses_both_unless_it_is_told_to_take_them() {
    let link = Link::open();
    let sample = binaries::sample("fundus/test/chase_2846f819cd.jpg");
    for (flags, reason) in [(CHAOS, "INNER_LAYER_UNSUPPORTED"), (ROWS, "SEGMENTATION_UNSUPPORTED")] {
        let run = link.send(&[&sample], &[&flags[..], &MARKED].concat());
        assert_eq!(run.exit, 1, "{}", run.err);
        let object = run.object();
        assert_eq!(object["error"]["reason"], reason, "{object}");
        assert_eq!(object["error"]["code"], "INVALID_ARGUMENT", "{object}");
    }
    assert!(link.receiver.list().expect_success().objects().is_empty(), "nothing was stored");
    outcome::check_delivered(&link.send(&[&sample], &MARKED).expect_success().object());
    assert!(!link.receiver.service.log().contains("serves research"), "nothing was allowed");
}

#[test]
fn what_contradicts_itself_is_refused_before_it_is_coded() {
    let link = Link::open();
    let sample = binaries::sample("brain_mri/test/sartaj_0908d1a91a.jpg");
    for more in [&CHAOS[..], &["--mode", "exact"], &["--quality-step", "200"]] {
        let run = link.send(&[&sample], &[&ROWS[..], more].concat());
        assert_eq!(run.exit, 1, "{}", run.err);
        assert_eq!(outcome::check_rejected(&run.object()), "INVALID_POLICY", "{more:?}");
    }
}

#[test]
fn what_travels_below_the_chaos_cipher_is_what_would_have_travelled_without() {
    let link = allowing();
    assert!(link.receiver.service.log().contains("chaos4,rows"), "the log says what is allowed");
    for name in
        ["fundus/test/idrid_2cfe12be46.jpg", "dicom/phantom_ct_head_16bit.dcm", "other/fundus_half.tiff"]
    {
        let sample = binaries::sample(name);
        for mode in ["latent", "exact"] {
            let flags = [&["--mode", mode][..], &MARKED].concat();
            let plain = link.send(&[&sample], &flags).expect_success().object();
            let chaos = link.send(&[&sample], &[&flags[..], &CHAOS].concat()).expect_success().object();
            assert_eq!(chaos["inner_layer"], "chaos4", "{chaos}");
            assert!(plain.get("inner_layer").is_none(), "{plain}");
            for field in ["mode", "model", "coded_bytes", "ssim", "psnr_db", "max_abs_error"] {
                assert_eq!(chaos[field], plain[field], "{field} of {chaos}");
            }
            let (sealed, without) = (number(&chaos, "sealed_bytes"), number(&plain, "sealed_bytes"));
            assert!(sealed.abs_diff(without) < 64, "the cipher adds no byte: {sealed} and {without}");
            let (got, expected) = (got(&link, &chaos), got(&link, &plain));
            assert!(got == expected, "{name} came back with other bytes");
            if mode == "exact" {
                assert!(got == fs::read(&sample).expect("the sample"), "{name} is not the file");
            }
        }
    }
}

/// 640 rows of pixels are 320 of the latent: the 256 keys are taken in turn more than once.
#[test]
fn a_raw_latent_travels_row_by_row_and_comes_back_as_measured() {
    let link = allowing();
    let tall = pictures::grey_png(160, 640, |x, y| {
        (128.0 + 60.0 * (f64::from(x) / 23.0).sin() + 50.0 * (f64::from(y) / 41.0).cos()) as u8
    });
    let tall = link.workplace.write("tall.png", &tall);
    let rows = |flags: &[&str], sample: &Path| {
        link.send(&[sample], &[&ROWS[..], &MARKED, flags].concat()).expect_success().object()
    };
    let object = rows(&["--model", "ae224-chest"], &tall);
    check_rows(&link, &object, &tall, 320);
    // 80 positions of 3 channels of 4 bytes.
    assert!(number(&object, "coded_bytes").abs_diff(320 * 80 * 3 * 4) < 1_024, "{object}");

    let colour = binaries::sample("fundus/test/chase_2846f819cd.jpg");
    check_rows(&link, &rows(&[], &colour), &colour, 256);
    let dicom = binaries::sample("dicom/chest_cr_8bit.dcm");
    let height = u64::from(pictures::read(&dicom).pixels.height);
    check_rows(&link, &rows(&[], &dicom), &dicom, height.div_ceil(2));
}

#[test]
fn what_falls_to_the_exact_form_travels_in_ordinary_segments() {
    let link = allowing();
    let noise = pictures::noise_png(300, 300);
    let file = link.workplace.write("noise.png", &noise);
    let object = link.send(&[&file], &[&ROWS[..], &["--model", "ae224-chest"]].concat());
    let object = object.expect_success().object();
    outcome::check_delivered(&object);
    assert_eq!(object["mode"], "exact", "{object}");
    assert!(got(&link, &object) == noise, "the very file");
    assert!(number(&object, "sealed_bytes") < number(&object, "coded_bytes") * 12 / 10, "{object}");
}

/// The object, the bytes on the wire and the picture of a transfer in rows.
fn check_rows(link: &Link, object: &Value, sample: &Path, rows: u64) {
    assert_eq!(object["status"], "delivered", "{object}");
    assert_eq!((&object["mode"], &object["segmentation"]), (&"latent".into(), &"row".into()), "{object}");
    let (coded, sealed) = (number(object, "coded_bytes"), number(object, "sealed_bytes"));
    assert!(sealed >= coded + rows * TAG, "a tag a row: {object}");
    assert!(sealed <= coded + rows * (TAG + FRAMING) + OPEN_AND_META, "{object}");
    let id = object["transfer_id"].as_str().expect("a transfer id");
    let listed = link.receiver.list().expect_success().objects();
    let entry = listed.iter().find(|entry| entry["transfer_id"] == id).expect("it is listed");
    assert_eq!(entry["verdict"], "equal", "both ends decode to the same pixels: {entry}");

    let target = link.workplace.path("rows");
    let _got = link.get(id, &target).expect_success();
    let (sent, received) = (pictures::read(sample).pixels, pictures::read(&target).pixels);
    let measured = imaging::measure(&sent, &received).expect("pictures of one shape");
    let ssim = object["ssim"].as_f64().expect("measured");
    assert!((measured.ssim - ssim).abs() < 1e-6, "{} measured, {object}", measured.ssim);
    assert_eq!(object["max_abs_error"], measured.max_abs_error, "{object}");
}

fn got(link: &Link, object: &Value) -> Vec<u8> {
    let target = link.workplace.path("got");
    let _got = link.get(object["transfer_id"].as_str().expect("a transfer id"), &target).expect_success();
    fs::read(&target).expect("the received file")
}

fn number(object: &Value, field: &str) -> u64 {
    object[field].as_u64().unwrap_or_else(|| panic!("{field} of {object}"))
}
