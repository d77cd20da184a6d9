//! What the disks of both sites hold of a patient: nothing, while the services run, when they have stopped, and after a
//! deletion not even the key of what is gone.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use flate2::read::{GzDecoder, ZlibDecoder};
use latentwire_proto::v1::{DeleteImageRequest, image_service_client::ImageServiceClient};
use latentwire_sealing::at_rest::{StorageKey, WRAPPED_KEY_BYTES};
use latentwire_tests::{
    Gateway, Instance, Link, Modality, Run, binaries, client, outcome,
    pictures::{element, replaced, sop_instance_uid},
    workplace::files,
};

const STUDY: &str = "canary-study-4711";
const FILE: &str = "canary-file-of-mrs-doe";
/// What takes the place of the sample's own text, as long as it.
const TEXTS: [(&str, &str); 3] = [
    ("PHANTOM^LATENTWIRE", "CANARY^PATIENTNAME"),
    ("LW-SAMPLE-2 ", "CANARY-ID-77"),
    ("SAMPLE2 ", "CNRYACC9"),
];
/// Bytes of a run of pixels that is looked for, and how many different ones it must have.
const RUN: (usize, usize) = (24, 8);
/// Most that is inflated out of one place.
const INFLATED: u64 = 1 << 20;

/// Words and pixels that must be nowhere, in each form in which a program might have written them.
struct Canaries(Vec<(String, Vec<u8>)>);

impl Canaries {
    fn of(dicom: &[u8]) -> Self {
        let mut canaries = Self(Vec::new());
        for (_, text) in TEXTS {
            canaries.add(text);
        }
        for tag in [(0x0008, 0x0018), (0x0020, 0x000d), (0x0020, 0x000e)] {
            canaries
                .add(std::str::from_utf8(&element(dicom, tag).expect("the sample has it")).expect("a UID"));
        }
        for text in [STUDY, FILE, "CANARY"] {
            canaries.add(text);
        }
        let instance = Instance::parse(dicom);
        let varied = |run: &&[u8]| run.iter().collect::<std::collections::BTreeSet<_>>().len() >= RUN.1;
        let runs: Vec<_> = instance.pixels().chunks_exact(RUN.0).filter(varied).step_by(400).collect();
        assert!(runs.len() >= 5, "too few runs of pixels: {}", runs.len());
        for (number, run) in runs.into_iter().enumerate() {
            canaries.0.push((format!("pixels {number}"), run.to_vec()));
            canaries.0.push((format!("pixels {number} in hexadecimal"), hex::encode(run).into_bytes()));
        }
        canaries
    }

    fn add(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let wide = |order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
        let forms = [
            ("as it is", bytes.to_vec()),
            ("in small letters", text.to_lowercase().into_bytes()),
            ("in hexadecimal", hex::encode(bytes).into_bytes()),
            ("in capital hexadecimal", hex::encode_upper(bytes).into_bytes()),
            ("as UTF-16", wide(u16::to_le_bytes)),
            ("as UTF-16, the other order", wide(u16::to_be_bytes)),
            ("as a list of numbers", format!("{bytes:?}").trim_matches(['[', ']']).as_bytes().to_vec()),
            ("backwards", bytes.iter().rev().copied().collect()),
        ];
        let of = |form: &str| format!("{text} {form}");
        self.0.extend(forms.map(|(form, bytes)| (of(form), bytes)));
        self.0.extend((0..3).map(|shift| (of("in base 64"), base64_inside(bytes, shift))));
    }

    /// The canary that stands in these bytes, or in what a stream of deflate in them unpacks to.
    fn found(&self, bytes: &[u8]) -> Option<&str> {
        let holds = |bytes: &[u8]| {
            let found = self.0.iter().find(|(_, canary)| position(bytes, canary).is_some());
            found.map(|(name, _)| name.as_str())
        };
        holds(bytes).or_else(|| inflated(bytes).iter().find_map(|stream| holds(stream)))
    }
}

/// The letters that a run of bytes has in base 64 wherever it stands, when `shift` bytes of its group come before it.
fn base64_inside(bytes: &[u8], shift: usize) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = |at: usize| (bytes[at / 8] >> (7 - at % 8)) & 1;
    let first = (6 - shift * 8 % 6) % 6;
    (first..=(bytes.len() * 8).saturating_sub(6))
        .step_by(6)
        .map(|at| LETTERS[usize::from((at..at + 6).fold(0, |letter, at| letter << 1 | bits(at)))])
        .collect()
}

/// What unpacks from wherever the head of a zlib or gzip stream stands.
fn inflated(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut streams = Vec::new();
    for at in 0..bytes.len().saturating_sub(6) {
        let rest = &bytes[at..];
        let mut out = Vec::new();
        let zlib = rest[0] == 0x78 && (u16::from(rest[0]) << 8 | u16::from(rest[1])) % 31 == 0;
        let read = if zlib {
            ZlibDecoder::new(rest).take(INFLATED).read_to_end(&mut out)
        } else if rest.starts_with(&[0x1f, 0x8b, 8]) {
            GzDecoder::new(rest).take(INFLATED).read_to_end(&mut out)
        } else {
            continue;
        };
        // What came before the error counts too.
        let _ended = read;
        streams.push(out);
    }
    streams
}

fn position(bytes: &[u8], part: &[u8]) -> Option<usize> {
    // The rarest byte of text in sealed bytes is as likely as any: the first one will do.
    let first = *part.first()?;
    let mut at = 0;
    while let Some(next) = bytes[at..].iter().position(|&byte| byte == first) {
        at += next;
        if bytes[at..].starts_with(part) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// Looks through every file of the workplace, and through the files' names.
#[track_caller]
fn check_absent(link: &Link, canaries: &Canaries, when: &str) {
    for file in files(&link.workplace.path("")) {
        let bytes = fs::read(&file).unwrap_or_default();
        assert_eq!(canaries.found(&bytes), None, "in {} {when}", file.display());
        let name = file.to_string_lossy();
        assert_eq!(canaries.found(name.as_bytes()), None, "names {} {when}", file.display());
    }
}

/// The files in which bytes stand that open as this image's wrapped key.
fn key_holders(folder: &Path, storage: &StorageKey, image_id: &[u8; 16]) -> Vec<PathBuf> {
    let opens = |bytes: &[u8]| {
        let mut at = 0;
        while let Some(next) = position(&bytes[at..], &storage.id().0) {
            at += next;
            let wrapped = bytes.get(at..at + WRAPPED_KEY_BYTES);
            if wrapped.is_some_and(|wrapped| storage.unwrap(image_id, wrapped).is_ok()) {
                return true;
            }
            at += 1;
        }
        false
    };
    files(folder).into_iter().filter(|file| opens(&fs::read(file).unwrap_or_default())).collect()
}

#[test]
fn no_disk_holds_anything_of_a_patient_and_a_deleted_image_has_no_key_left() {
    let mut link = Link::open_with(&["--log", "trace"], &["--log", "trace"]);
    // What goes in and comes out lies elsewhere.
    let outside = tempfile::tempdir().expect("a folder");
    let sample = fs::read(binaries::sample("dicom/chest_cr_8bit.dcm")).expect("the sample");
    let dicom = TEXTS.iter().fold(sample, |file, (from, to)| replaced(&file, from.as_bytes(), to.as_bytes()));
    let canaries = Canaries::of(&dicom);
    assert!(canaries.found(&dicom).is_some(), "the scan finds what is there");

    let path = outside.path().join(format!("{FILE}.dcm"));
    fs::write(&path, &dicom).expect("written");
    for mode in [&["--below-floor", "send-marked"][..], &["--mode", "exact"]] {
        let object =
            link.send(&[&path], &[mode, &["--study-group", STUDY]].concat()).expect_success().object();
        outcome::check_delivered(&object);
    }
    let gateway = Gateway::start(&link.workplace, link.sender.address, &["--log", "trace"]);
    let stored = Instance::parse(&dicom).renamed(7);
    let mut modality =
        Modality::call(gateway.dicom, "CANARY_CALLING", "LATENTWIRE", &[&stored]).expect("accepted");
    assert_eq!(modality.store(&stored).status, 0x0000);
    modality.release();
    // Being read must leave nothing either.
    let images = client::list_images(link.receiver.images);
    assert_eq!(images.len(), 3);
    for (number, image) in images.iter().enumerate() {
        let back = outside.path().join(format!("{number}.dcm"));
        let _got = link.get(&hex::encode(&image.transfer_id), &back).expect_success();
        let received = fs::read(&back).expect("the received file");
        assert!(position(&received, TEXTS[0].1.as_bytes()).is_some(), "the name must arrive");
        let mut derived = Canaries(Vec::new());
        derived.add(&sop_instance_uid(&received));
        check_absent(&link, &derived, "while the services run");
    }
    let data = files(&link.receiver.data);
    assert!(data.iter().any(|file| file.ends_with("catalogue.sqlite-wal")), "{data:?}");
    check_absent(&link, &canaries, "while the services run");

    let storage =
        fs::read_to_string(link.receiver.data.with_extension("storage.key")).expect("a storage key");
    let storage = StorageKey::from_text(&storage).expect("a storage key");
    let ids: Vec<[u8; 16]> =
        images.iter().map(|image| image.image_id.as_ref().try_into().expect("16 bytes")).collect();
    for id in &ids {
        assert!(!key_holders(&link.receiver.data, &storage, id).is_empty(), "the search finds keys");
    }
    let deleted = DeleteImageRequest { image_id: images[1].image_id.clone() };
    client::block_on(async {
        let mut images = ImageServiceClient::new(client::channel(link.receiver.images).await);
        images.delete_image(deleted).await.expect("deleted");
    });
    assert_eq!(key_holders(&link.receiver.data, &storage, &ids[1]), Vec::<PathBuf>::new());
    check_absent(&link, &canaries, "after a deletion");
    drop(gateway);
    assert!(link.receiver.service.terminate().status.success(), "{}", link.receiver.service.log());
    check_absent(&link, &canaries, "when the services have stopped");
    assert_eq!(key_holders(&link.receiver.data, &storage, &ids[1]), Vec::<PathBuf>::new());
    assert!(!key_holders(&link.receiver.data, &storage, &ids[0]).is_empty());

    // Under a new key nothing of the old one's is left, and every image that was not deleted comes back.
    let data_folder = link.receiver.data.to_str().expect("a path of ASCII letters");
    let rotated =
        Run::latentwire(["storage", "rotate", "--json", "--data", data_folder]).expect_success().object();
    assert_eq!((rotated["images"].as_u64(), rotated["tombstones"].as_u64()), (Some(2), Some(1)), "{rotated}");
    for id in &ids {
        assert_eq!(key_holders(&link.receiver.data, &storage, id), Vec::<PathBuf>::new());
    }
    check_absent(&link, &canaries, "after a rotation");
    link.receiver =
        latentwire_tests::Receiver::start_at(&link.workplace, link.receiver.transfer, link.receiver.images);
    let back = outside.path().join("again.dcm");
    let _got = link.get(&hex::encode(&images[0].transfer_id), &back).expect_success();
    let gone = link.get(&hex::encode(&images[1].transfer_id), &back);
    assert_eq!(gone.exit, 1, "{gone:?}");
}

#[test]
fn the_scan_sees_every_form() {
    let mut canaries = Canaries(Vec::new());
    canaries.add("CANARY^PATIENTNAME");
    for prefix in 0..7 {
        let clear = [vec![b'x'; prefix], b"CANARY^PATIENTNAME".to_vec(), b"more".to_vec()].concat();
        assert!(canaries.found(&clear).is_some());
        let mut zlib = flate2::write::ZlibEncoder::new(vec![7; prefix], flate2::Compression::best());
        std::io::Write::write_all(&mut zlib, &clear).expect("packed");
        assert!(canaries.found(&zlib.finish().expect("packed")).is_some());
        // Base 64 by another road: through the standard's own vectors below, and shifted here.
        let encoded = base64_inside(&clear, 0);
        assert!(canaries.found(&encoded).is_some(), "{prefix}: {}", String::from_utf8_lossy(&encoded));
    }
    assert_eq!(base64_inside(b"foobar", 0), b"Zm9vYmFy");
    assert_eq!(canaries.found(b"CANARY^PATIENTNAM"), None);
}
