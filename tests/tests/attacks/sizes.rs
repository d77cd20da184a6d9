//! Lengths, counts, shapes and numbers that cannot be: N20, N21, N22, N23, N27.

use std::{fs, sync::OnceLock};

use latentwire_codec::{
    BelowFloor, Codec, CodecConfig, Floors, Header, LatentCoding, Policy, Prepared, SessionOptions,
    imaging::Limits, model::Parts,
};
use latentwire_proto::v1::{OpenVerdict, session_response::Step as Answer};
use latentwire_sealing::{CryptoError, Form, InnerLayer, OpenBody, PaddingPolicy, SegmentPlan, WireReason};
use latentwire_tests::{binaries, pictures};

use crate::{
    cases::Cases,
    noise::random,
    peer::{Image, RECEIPT},
    stand::{Stand, honest, models, peak_memory, reset_peak},
};

const UNAUTHENTIC: &str = "PAYLOAD_AUTHENTICATION_FAILED";
const TOO_LARGE: &str = "TRANSFER_TOO_LARGE";
const INVALID: &str = "INVALID_TENSOR";
/// What such messages may add to the receiver's peak.
const CAP: u64 = 64 << 20;

/// The codec of a sender, with the small nets.
fn codec() -> &'static Codec {
    static CODEC: OnceLock<Codec> = OnceLock::new();
    CODEC.get_or_init(|| {
        let folder = binaries::repository().join(".onnxruntime");
        let libraries = fs::read_dir(folder).expect("scripts/fetch-onnxruntime.sh has brought the library");
        let library = libraries.filter_map(|entry| Some(entry.ok()?.path())).find(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libonnxruntime"))
        });
        let config = CodecConfig {
            models: models().into(),
            pins: None,
            research: false,
            parts: Parts { encoder: true, decoder: true },
            sessions: SessionOptions::default(),
            dylib: library,
            limits: Limits::default(),
        };
        Codec::load(&config).expect("the small nets load")
    })
}

fn latent(coding: LatentCoding) -> Prepared {
    let policy = Policy {
        model: Some("haar-chest".to_owned()),
        floors: Floors::NONE,
        below_floor: BelowFloor::SendMarked,
        latent_coding: coding,
        ..Policy::default()
    };
    let source = pictures::grey_png(160, 130, |x, y| (x * 3 / 4 + y / 2).try_into().unwrap_or(255));
    codec().prepare(&source, &policy).expect("a latent")
}

/// A latent as a hand-driven sender sends it.
fn image_of(prepared: &Prepared) -> Image {
    let digest = Header::parse(&prepared.coded).expect("just coded").decoder_digest().expect("a latent").0;
    Image::of(1, digest, prepared.coded.clone(), prepared.source_sha256)
}

/// Sends an image to its end; gives what the receiver said of it.
async fn verdict(stand: &Stand, image: &Image) -> String {
    let mut peer = stand.connect().await;
    let steps = peer.messages(image);
    peer.send_all(steps).await;
    let ack = peer.open_ack().await;
    if ack.verdict() != OpenVerdict::Accepted {
        return ack.reason;
    }
    match peer.answer().await {
        Ok(answer) => match answer.step {
            Some(Answer::NeedExact(_)) => "NEED_EXACT".to_owned(),
            Some(Answer::Receipt(receipt)) => {
                let body = peer.keys().open(RECEIPT, &receipt.noise).expect("a Receipt opens");
                let body: latentwire_proto::v1::ReceiptBody =
                    prost::Message::decode(body.as_slice()).expect("a ReceiptBody");
                body.error.map_or_else(|| "STORED".to_owned(), |error| error.reason)
            }
            other => panic!("{other:?}"),
        },
        Err(status) => crate::peer::reason_of(&status),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n20_declared_lengths() {
    let mut cases = Cases::of("n20_declared_lengths");
    let mut stand = Stand::start().await;
    stand.still_sound().await;
    let process = stand.receiver.service.id();
    let before = reset_peak(process);
    let announces = |announced: u64, segment_bytes: u32, padding: u8| Image {
        announced: Some(announced),
        segment_bytes,
        padding,
        ..honest()
    };
    let giants = [(1 << 30) + 1, 1 << 31, 1 << 40, 1 << 63, u64::MAX];
    let mut wrong: Vec<(Image, &str)> = Vec::new();
    for announced in giants {
        for segment_bytes in [1_024, 65_536] {
            wrong.push((announces(announced, segment_bytes, 3), TOO_LARGE));
        }
    }
    for (announced, segment_bytes) in
        [(0, 1_024), (5_000, 0), (5_000, 1), (5_000, 1_023), (5_000, 65_537), (5_000, u32::MAX), (1 << 40, 0)]
    {
        wrong.push((announces(announced, segment_bytes, 3), UNAUTHENTIC));
    }
    for padding in [0, 4, 5, 255] {
        wrong.push((announces(5_000, 1_024, padding), UNAUTHENTIC));
    }
    for (image, expected) in wrong {
        let mut peer = stand.connect().await;
        let open = {
            let body = image.body();
            let keys = peer.keys().transfer(&body);
            peer.open_step(&crate::peer::open_plaintext(&keys, &body, &image.source))
        };
        peer.send(open).await;
        assert_eq!(peer.reason().await, expected, "{:?} by {}", image.announced, image.segment_bytes);
        cases.one();
    }
    // A gigabyte is within the protocol: announcing it costs the receiver nothing.
    let mut waiting = Vec::new();
    for _ in 0..6 {
        let mut peer = stand.connect().await;
        let steps = peer.messages(&announces(1 << 30, 65_536, 3));
        peer.send(steps[0].clone()).await;
        let ack = peer.open_ack().await;
        let refused = ["OVERLOADED", "STORAGE_FULL"].contains(&ack.reason.as_str());
        assert!(ack.verdict() == OpenVerdict::Accepted || refused, "{ack:?}");
        waiting.push(peer);
        cases.one();
    }
    drop(waiting);
    // A Meta that speaks of another length than what comes.
    for coded_bytes in [0, 1, 1_023, 1 << 30, 1 << 40, u64::MAX] {
        let mut image = honest();
        image.record.coded_bytes = coded_bytes;
        assert_eq!(verdict(&stand, &image).await, UNAUTHENTIC, "{coded_bytes}");
        cases.one();
    }
    let grown = peak_memory(process) - before;
    println!(
        "n20: declared lengths added {} KiB to the receiver's peak of {} KiB",
        grown >> 10,
        before >> 10
    );
    assert!(grown < CAP, "{grown} bytes");
    stand.still_sound().await;
}

/// Changes of a latent's head, each of which must be refused; offsets as in docs/BITSTREAM.md, section 3.
fn heads(coded: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut changed = Vec::new();
    let mut set = |name: &str, at: usize, bytes: &[u8]| {
        let mut other = coded.to_vec();
        other[at..at + bytes.len()].copy_from_slice(bytes);
        assert_ne!(other, coded, "{name} changes nothing");
        changed.push((format!("{name} {bytes:?}"), other));
    };
    set("magic", 0, b"LWBT");
    for version in [0, 2, 255] {
        set("version", 4, &[version]);
    }
    for form in [0, 2, 3, 255] {
        set("form", 5, &[form]);
    }
    for format in [0, 5, 255] {
        set("format", 6, &[format]);
    }
    set("flags", 7, &[0xfe]);
    for side in [0, 1, 20_000, 1 << 20, 1 << 31, u32::MAX] {
        set("width", 40, &u32::to_le_bytes(side));
        set("height", 44, &u32::to_le_bytes(side));
    }
    for frames in [0, 2, 1_000_000, u32::MAX] {
        set("frames", 48, &u32::to_le_bytes(frames));
    }
    for channels in [0, 2, 3, 255] {
        set("channels", 52, &[channels]);
    }
    for bits in [0, 17, 255] {
        set("bits", 53, &[bits]);
    }
    for colour in [1, 2, 255] {
        set("colour space", 54, &[colour]);
    }
    for order in [1, 2, 3, 4, 255] {
        set("tile order", 55, &[order]);
    }
    set("low above high", 56, &i32::to_le_bytes(i32::MAX));
    set("high below low", 60, &i32::to_le_bytes(i32::MIN));
    set("high beyond the bits", 60, &i32::to_le_bytes(70_000));
    set("step", 64, &[0, 0]);
    for channels in [0, 1, 17, 255] {
        set("latent channels", 66, &[channels]);
    }
    for stride in [0, 3, 32, 64, 255] {
        set("stride", 67, &[stride]);
    }
    for side in [0_u16, 15, 4_097, u16::MAX] {
        set("tile side", 68, &side.to_le_bytes());
    }
    set("tile overlap", 70, &[1, 0]);
    for length in [1, 64, 65, 255] {
        set("UID length", 72, &[length]);
    }
    for length in [1 << 31, u32::MAX] {
        set("container length", 73, &u32::to_le_bytes(length));
        set("tile length", 77, &u32::to_le_bytes(length));
    }
    changed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n21_entropy_decoder_bombs() {
    let mut cases = Cases::of("n21_entropy_decoder_bombs");
    let mut stand = Stand::start().await;
    let prepared = latent(LatentCoding::default());
    let mut honest_latent = image_of(&prepared);
    assert_eq!(verdict(&stand, &honest_latent).await, "STORED", "an honest latent passes");
    stand.settle().await;
    let process = stand.receiver.service.id();
    let before = reset_peak(process);
    let refused = [INVALID, "NEED_EXACT", "MODEL_MISMATCH"];
    // Cut anywhere: fewer symbols than the shape declares.
    let length = prepared.coded.len();
    for kept in (1..16).map(|part| length * part / 16).chain([1, 8, 40, 77, length - 1]) {
        honest_latent.set_coded(prepared.coded[..kept].to_vec());
        let said = verdict(&stand, &honest_latent.with_fresh_id()).await;
        assert!(refused.contains(&said.as_str()), "{kept} of {length} bytes: {said}");
        cases.one();
    }
    // Longer than its tiles: bytes that nothing declares.
    for more in [1, 4, 1_000, 100_000] {
        honest_latent.set_coded([&prepared.coded[..], &vec![0; more]].concat());
        let said = verdict(&stand, &honest_latent.with_fresh_id()).await;
        assert!(refused.contains(&said.as_str()), "{more} bytes more: {said}");
        cases.one();
    }
    // Symbols of the attacker's own, the cheapest and the dearest: a bounded number is decoded, and that is all.
    let tile = length - 400;
    for fill in [0x00, 0xff, 0x55, 0x80, 0x01] {
        let mut coded = prepared.coded.clone();
        coded[tile..].fill(fill);
        honest_latent.set_coded(coded);
        let said = verdict(&stand, &honest_latent.with_fresh_id()).await;
        assert!(refused.contains(&said.as_str()) || said == "STORED", "{fill:#x}: {said}");
        cases.one();
    }
    // What decodes is a picture like any other, of the declared size.
    stand.settle().await;
    let grown = peak_memory(process) - before;
    println!(
        "n21: entropy-decoder bombs added {} KiB to the receiver's peak of {} KiB",
        grown >> 10,
        before >> 10
    );
    assert!(grown < CAP, "{grown} bytes");
    stand.still_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n22_shapes_beyond_model_and_limits() {
    let mut cases = Cases::of("n22_shapes_beyond_model_and_limits");
    let mut stand = Stand::start().await;
    let prepared = latent(LatentCoding::default());
    let honest_latent = image_of(&prepared);
    let process = stand.receiver.service.id();
    let before = reset_peak(process);
    for (what, coded) in heads(&prepared.coded) {
        let mut image = honest_latent.with_fresh_id();
        image.set_coded(coded);
        let said = verdict(&stand, &image).await;
        assert!([INVALID, "NEED_EXACT", "MODEL_MISMATCH"].contains(&said.as_str()), "{what}: {said}");
        cases.one();
    }
    // The exact form that is longer or shorter than it says.
    for length in [0, 1, u64::MAX, 1 << 40] {
        let mut image = honest();
        let mut coded = image.coded.clone();
        coded[8..16].copy_from_slice(&u64::to_le_bytes(length));
        image.set_coded(coded);
        assert_eq!(verdict(&stand, &image).await, INVALID, "{length}");
        cases.one();
    }
    // A decoder that the receiver has not, and one that it has but that did not code this.
    for (decoder, expected) in [(random(), "MODEL_MISMATCH"), (other_model(&honest_latent.decoder), INVALID)]
    {
        let image = Image { decoder, ..honest_latent.with_fresh_id() };
        assert_eq!(verdict(&stand, &image).await, expected);
        cases.one();
    }
    let grown = peak_memory(process) - before;
    println!(
        "n22: impossible shapes added {} KiB to the receiver's peak of {} KiB",
        grown >> 10,
        before >> 10
    );
    assert!(grown < CAP, "{grown} bytes");
    stand.still_sound().await;
}

fn other_model(not: &[u8; 32]) -> [u8; 32] {
    codec().models().iter().find(|model| &model.digest.0 != not).expect("several nets").digest.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n23_latents_that_are_no_numbers() {
    let mut cases = Cases::of("n23_latents_that_are_no_numbers");
    let prepared = latent(LatentCoding::RawRows);
    let rows = prepared.rows.expect("rows");
    let by_rows = |coded: &[u8]| {
        let mut image = image_of(&prepared);
        image.set_coded(coded.to_vec());
        let (head, values) = coded.split_at(rows.head_bytes);
        image.record.head = head.to_vec().into();
        Image { padding: 4, segment_bytes: rows.row_bytes, coded: values.to_vec(), ..image }
    };
    let mut stand = Stand::with(&["--allow-research", "rows"]).await;
    assert_eq!(verdict(&stand, &by_rows(&prepared.coded)).await, "STORED", "honest rows pass");
    stand.settle().await;
    for value in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::from_bits(0x7f80_0001)] {
        let last = prepared.coded.len() - 4;
        for at in [rows.head_bytes, rows.head_bytes + rows.row_bytes as usize, last] {
            let mut coded = prepared.coded.clone();
            coded[at..at + 4].copy_from_slice(&value.to_le_bytes());
            let said = verdict(&stand, &by_rows(&coded)).await;
            assert!([INVALID, "NEED_EXACT"].contains(&said.as_str()), "{value} at {at}: {said}");
            cases.one();
        }
    }
    stand.still_sound().await;
    // And where research is not allowed, no rows at all.
    let mut strict = Stand::start().await;
    assert_eq!(verdict(&strict, &by_rows(&prepared.coded)).await, "SEGMENTATION_UNSUPPORTED");
    cases.one();
    strict.still_sound().await;
}

#[test]
fn n27_cap_of_the_counter() {
    let mut cases = Cases::of("n27_cap_of_the_counter");
    let body = |padded_bytes: u64, segment_bytes: u32, padding: PaddingPolicy| OpenBody {
        slot: 0,
        transfer_id: random(),
        form: Form::Latent,
        decoder_digest: [1; 32],
        segment_bytes,
        padded_bytes,
        padding,
        inner_layer: InnerLayer::None,
    };
    let cap = 1_u64 << 20;
    // Beyond the cap there is no plan, so no key and no nonce.
    for (count, segment_bytes, padding) in [
        (cap + 1, 1_024, PaddingPolicy::None),
        (cap + 1, 4, PaddingPolicy::Rows),
        (cap * 2, 4, PaddingPolicy::Rows),
        (1 << 32, 4, PaddingPolicy::Rows),
        ((1 << 32) + 1, 1_024, PaddingPolicy::Padme),
        (1 << 40, 65_536, PaddingPolicy::Fixed),
    ] {
        let error = SegmentPlan::new(&body(count * u64::from(segment_bytes), segment_bytes, padding));
        let error = error.expect_err("beyond the cap");
        assert_eq!(error.wire_reason(), WireReason::TransferTooLarge, "{error}");
        cases.one();
    }
    // At the cap the counter stops, at both ends.
    let (here, there) = crate::crash::session();
    let last = (1 << 20) - 1;
    let at_cap = body(cap * 4, 4, PaddingPolicy::Rows);
    let mut rng = getrandom::rand_core::UnwrapErr(getrandom::SysRng);
    let secret = latentwire_sealing::ImageSecret::generate(&mut rng);
    let proposal = here.secrets.propose(&at_cap, secret, &[7; 32]).expect("at the cap");
    let accepted = there.secrets.accept(&proposal.open).expect("at the cap");
    let mut sealer = proposal.segments.start_at(last).expect("the last");
    let mut buffer = vec![5; 4];
    let position = sealer.seal(&mut buffer).expect("the last");
    assert!(position.last && position.index == last);
    assert_eq!(sealer.seal(&mut vec![5; 4]), Err(CryptoError::SegmentAfterLast));
    cases.one();
    let mut opener = accepted.segments.start_at(last).expect("the last");
    opener.open(true, &mut buffer.clone()).expect("the last");
    assert_eq!(opener.open(true, &mut buffer), Err(CryptoError::SegmentAfterLast));
    cases.one();
    for index in [last + 1, u32::MAX] {
        let secret = latentwire_sealing::ImageSecret::generate(&mut rng);
        let proposal = here.secrets.propose(&at_cap, secret, &[7; 32]).expect("at the cap");
        assert!(matches!(proposal.segments.start_at(index), Err(CryptoError::ResumeIndex { .. })));
        cases.one();
    }
}
