//! The same file coded twice gives the same bytes and the same figures.

use latentwire_codec::{
    BelowFloor, Codec, CodecConfig, Policy, SessionOptions, imaging::Limits, model::Parts,
};
use latentwire_tests::{Run, binaries};
use serde_json::Value;

/// A colour photograph, a 16-bit DICOM object, a TIFF file.
const SAMPLES: [&str; 3] =
    ["fundus/test/chase_2846f819cd.jpg", "dicom/phantom_ct_head_16bit.dcm", "other/fundus_half.tiff"];

#[test]
fn two_processes_print_the_same_figures() {
    let inspect = || {
        let samples = SAMPLES.map(|sample| binaries::sample(sample).into_os_string());
        let flags = ["inspect", "--json", "--below-floor", "send-marked"].map(Into::into);
        let mut objects = Run::latentwire(flags.into_iter().chain(samples)).expect_success().objects();
        for object in &mut objects {
            assert_eq!(object["status"], "would_send", "{object}");
            assert!(object["transfer_id"].is_null() && object["sealed_bytes"].is_null(), "{object}");
            object["timings_ms"] = Value::Null;
        }
        objects
    };
    let first = inspect();
    assert_eq!(first.len(), SAMPLES.len());
    assert_eq!(first, inspect());
}

#[test]
fn two_codecs_write_the_same_bytes_and_restore_the_same_file() {
    let load = || {
        let config = CodecConfig {
            models: binaries::repository().join("models"),
            pins: None,
            research: false,
            parts: Parts { encoder: true, decoder: true },
            sessions: SessionOptions::default(),
            dylib: Some(library()),
            limits: Limits::default(),
        };
        Codec::load(&config).expect("the shipped models can be loaded")
    };
    let (first, second) = (load(), load());
    for sample in SAMPLES {
        let source = std::fs::read(binaries::sample(sample)).expect("the sample");
        let policy = Policy { below_floor: BelowFloor::SendMarked, ..Policy::default() };
        let prepared =
            [&first, &second].map(|codec| codec.prepare(&source, &policy).expect("a sample can be coded"));
        assert!(prepared[0].coded == prepared[1].coded, "{sample} was coded to other bytes");
        assert_eq!(prepared[0].derived_sop_instance_uid, prepared[1].derived_sop_instance_uid);
        let restored =
            [&first, &second].map(|codec| codec.restore(&prepared[0].coded).expect("it can be restored"));
        assert!(restored[0].file == restored[1].file, "{sample} was restored to other bytes");
        let certificate = prepared[0].certificate.as_ref().expect("a latent has a certificate");
        assert_eq!(restored[0].reconstruction_sha256, Some(certificate.reconstruction_sha256), "{sample}");
    }
}

fn library() -> std::path::PathBuf {
    let path = binaries::repository().join(".onnxruntime/libonnxruntime.so.1.31.1");
    assert!(path.is_file(), "{} is missing: run `make setup`", path.display());
    path
}
