//! Other versions, suites, models and encodings than both ends mean: N11, N32.

use latentwire_proto::v1::{SessionRequest, session_request::Step};
use latentwire_tests::proxy::{Act, Rule, Way};
use prost::Message as _;

use crate::{
    cases::Cases,
    noise::{Initiator, Lies, prologue, public, random},
    peer::{Image, encapsulation_key, open_plaintext},
    raw::{End, RawCall},
    stand::{HostileLink, Stand, honest},
};

const UNAUTHENTIC: &str = "PAYLOAD_AUTHENTICATION_FAILED";
const VERSION: &str = "VERSION_UNSUPPORTED";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n11_downgrade() {
    let mut cases = Cases::of("n11_downgrade");
    let mut link = HostileLink::start().await;
    let others = [(0, 1), (2, 1), (1, 0), (1, 2), (0, 0), (2, 2), (u32::MAX, u32::MAX), (1 << 31, 1)];
    for (version, suite) in others {
        let rule = Rule { way: Way::ToReceiver, at: 0, act: Act::Version(version, suite) };
        assert_eq!(link.rejected("another version", vec![rule]).await, VERSION, "{version} {suite}");
        cases.one();
    }
    link.still_sound().await;

    let mut stand = link.stand;
    let own = *stand.public.as_bytes();
    let hello = |bound: Vec<u8>| {
        let (_, key) = encapsulation_key(&random());
        let lies = Lies { prologue: Some(bound), ..Lies::default() };
        Initiator::start(&stand.sender_scalar(), &own, &key, &lies).1
    };
    // What stands in clear is bound: said and meant must be one.
    for (version, suite) in others {
        let mut peer = stand.dial().await;
        peer.hello(1, 1, hello(prologue(version, suite, &own))).await;
        assert_eq!(peer.reason().await, "HANDSHAKE_FAILED", "meant {version} {suite}");
        cases.one();
        let mut peer = stand.dial().await;
        peer.hello(version, suite, hello(prologue(version, suite, &own))).await;
        assert_eq!(peer.reason().await, VERSION, "said and meant {version} {suite}");
        cases.one();
    }
    let elsewhere = prologue(1, 1, &public(&random()));
    for bound in [Vec::new(), b"latentwire/1".to_vec(), b"latentwire/2".to_vec(), elsewhere] {
        let mut peer = stand.dial().await;
        peer.hello(1, 1, hello(bound)).await;
        assert_eq!(peer.reason().await, "HANDSHAKE_FAILED");
        cases.one();
    }
    // Every byte of the open body: version, form, padding, layer, slot, id, model, segment size, length, secret.
    let image = honest();
    for byte in 0..100 {
        let mut peer = stand.connect().await;
        let body = image.with_fresh_id().body();
        let keys = peer.keys().transfer(&body);
        let mut plaintext = open_plaintext(&keys, &body, &image.source);
        plaintext[byte] ^= 4;
        let open = peer.open_step(&plaintext);
        peer.send(open).await;
        let reason = peer.reason().await;
        let giant = (60..68).contains(&byte) && reason == "TRANSFER_TOO_LARGE";
        assert!(reason == UNAUTHENTIC || giant, "byte {byte}: {reason}");
        cases.one();
    }
    // A layer or a segmentation for research, truly committed to, and a model for a form that has none.
    let research = Image { inner_layer: 2, ..honest() };
    let mut peer = stand.connect().await;
    let steps = peer.messages(&research);
    peer.send(steps[0].clone()).await;
    assert_eq!(peer.open_ack().await.reason, "INNER_LAYER_UNSUPPORTED");
    cases.one();
    for image in [
        Image { decoder: random(), ..honest() },
        Image { form: 1, ..honest() },
        Image { form: 9, ..honest() },
        Image { inner_layer: 0, ..honest() },
        Image { inner_layer: 3, ..honest() },
    ] {
        let mut peer = stand.connect().await;
        let steps = peer.messages(&image);
        peer.send(steps[0].clone()).await;
        assert_eq!(peer.reason().await, UNAUTHENTIC);
        cases.one();
    }
    stand.still_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n32_grpc_compression_header() {
    let mut cases = Cases::of("n32_grpc_compression_header");
    let mut stand = Stand::start().await;
    let address = stand.receiver.transfer;
    let hello = |stand: &Stand| {
        let (_, key) = encapsulation_key(&random());
        let (_, noise) =
            Initiator::start(&stand.sender_scalar(), stand.public.as_bytes(), &key, &Lies::default());
        let step = Step::Hello(latentwire_proto::v1::Hello { version: 1, suite: 1, noise: noise.into() });
        SessionRequest { step: Some(step) }.encode_to_vec()
    };
    let long = "gzip,".repeat(200);
    for encoding in
        ["gzip", "deflate", "zstd", "br", "snappy", "Identity", "gzip, identity", "x", long.as_str()]
    {
        // The stream alone, and one that goes on as if nothing were.
        for goes_on in [false, true] {
            let mut call = RawCall::begin(address, &[("grpc-encoding", encoding)]).await;
            if goes_on {
                call.send(RawCall::message(&hello(&stand))).await;
            }
            let End::Status(code, reason) = call.end().await else { panic!("{encoding}: reset") };
            assert_eq!((code, reason.as_str()), (12, "COMPRESSION_REFUSED"), "{encoding}");
            cases.one();
        }
    }
    // A message that says it is compressed, in a stream that says nothing of it.
    for flag in [1, 2, 3, 127, 128, 255] {
        let bytes = hello(&stand);
        let mut call = RawCall::begin(address, &[]).await;
        let length = u32::try_from(bytes.len()).expect("a short message");
        call.send(RawCall::prefixed(flag, length, &bytes)).await;
        let End::Status(code, reason) = call.end().await else { panic!("{flag}: reset") };
        assert_eq!((code, reason.as_str()), (15, UNAUTHENTIC), "{flag}");
        cases.one();
    }
    // Whoever asks for compressed answers gets plain ones.
    for encodings in ["gzip", "gzip,deflate,zstd,identity"] {
        let mut call = RawCall::begin(address, &[("grpc-accept-encoding", encodings)]).await;
        call.send(RawCall::message(&hello(&stand))).await;
        call.answer().await.expect("a plain answer");
        cases.one();
    }
    stand.still_sound().await;
}
