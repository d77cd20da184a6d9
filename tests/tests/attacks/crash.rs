//! `kill -9` of the sender at every phase and a second attempt; a receiver that lies about what it holds: N26 and resumption.

use std::collections::HashSet;

use latentwire_sealing::{Established, Initiator, Responder, Role, SecretKey, TrustEntry, TrustStore};
use latentwire_tests::{
    Proxy, Sender, pictures,
    proxy::{Act, Rule, Way},
};

use crate::{
    cases::Cases,
    noise::random,
    observer::{Observer, Resume, Script, Stop},
    stand::{Stand, models, send},
};

/// Both ends of a session of the product's, in one thread.
pub fn session() -> (Established, Established) {
    let mut rng = getrandom::rand_core::UnwrapErr(getrandom::SysRng);
    let (sender, receiver) =
        (SecretKey::generate(Role::Sender, &mut rng), SecretKey::generate(Role::Receiver, &mut rng));
    let mut trust = TrustStore::default();
    trust.add(TrustEntry::new("clinic", *sender.public_key())).expect("an entry");
    let (initiator, hello) = Initiator::start(&sender, receiver.public_key(), &mut rng).expect("roles fit");
    let responder = Responder::read(&receiver, &hello, &mut rng).expect("an honest Hello");
    let responder = responder.authorise(&trust, time::OffsetDateTime::now_utc()).expect("pinned");
    let (there, reply, _) = responder.reply(&mut rng).expect("keys");
    (initiator.finish(&reply).expect("an honest reply"), there)
}

/// Several segments of 64 KiB, and more than may follow an Open before its answer.
fn large() -> Vec<u8> {
    pictures::noise_png(700, 600)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n26_no_pair_of_key_and_nonce_recurs_over_kills() {
    let mut cases = Cases::of("n26_no_pair_of_key_and_nonce_recurs_over_kills");
    let stand = Stand::start().await;
    let observer = Observer::new(stand.receiver_scalar()).await;
    let start = || Sender::start(&stand.workplace, observer.address, &["--models", &models()]);
    let file = large();
    let segments = (file.len() + 16).div_ceil(65_536);
    assert!(segments > 4, "{segments} segments");
    let mut sender = start();
    let phases = [
        Stop::AfterHello,
        Stop::AfterReply,
        Stop::AfterOpen,
        Stop::AfterMeta,
        Stop::AfterSegment(0),
        Stop::AfterSegment(3),
        Stop::BeforeReceipt,
        Stop::AfterReceipt,
    ];
    for (stops, phase) in (1..).zip(phases) {
        let id = random();
        observer.play(Script::stopping(phase));
        let sending = tokio::spawn(attempt(sender.address, id, file.clone()));
        observer.wait_stopped(stops).await;
        // As a power cut would.
        sender.service.kill();
        let _cut_off = sending.await.expect("the client does not panic");
        cases.one();
        observer.play(Script::honest());
        sender = start();
        send(&sender, id, file.clone()).await.expect("the second attempt is delivered");
    }
    drop(sender);
    let log = observer.log();
    // At least the second attempts came whole, and what was cut off is in the log too.
    assert!(
        log.whole >= phases.len() + 2 && log.segments >= phases.len() * segments + 5,
        "the log misses something"
    );
    let expected = log.attempts.len() + log.segments;
    assert!(
        log.pairs.len() >= expected && log.attempts.len() >= 2 * phases.len() - 2,
        "{} pairs",
        log.pairs.len()
    );
    let unique: HashSet<_> = log.pairs.iter().collect();
    assert_eq!(unique.len(), log.pairs.len(), "a (key, nonce) pair recurs");
    let contexts: HashSet<_> = log.attempts.iter().collect();
    assert_eq!(contexts.len(), log.attempts.len(), "two attempts under one open body");
    println!(
        "n26: {} pairs of {} attempts over {} kills, none twice",
        log.pairs.len(),
        log.attempts.len(),
        phases.len()
    );
}

async fn attempt(address: std::net::SocketAddr, id: [u8; 16], file: Vec<u8>) -> Result<(), tonic::Status> {
    crate::stand::send_to(address, id, file).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n26_a_killed_senders_image_is_stored_once() {
    let mut cases = Cases::of("n26_a_killed_senders_image_is_stored_once");
    let mut stand = Stand::start().await;
    let proxy = Proxy::before(stand.receiver.transfer);
    let start = || Sender::start(&stand.workplace, proxy.address, &["--models", &models()]);
    let file = large();
    let mut ids = HashSet::new();
    let mut sender = start();
    // Open, Meta, two segments; and the receipt, when the image has come whole.
    let places = [(Way::ToReceiver, 1), (Way::ToReceiver, 2), (Way::ToReceiver, 5), (Way::ToSender, 2)];
    for (holds, (way, at)) in (1..).zip(places) {
        let id: [u8; 16] = random();
        proxy.play(vec![Rule { way, at, act: Act::Hold }]);
        let sending = tokio::spawn(attempt(sender.address, id, file.clone()));
        proxy.wait_held(holds).await;
        sender.service.kill();
        proxy.play(Vec::new());
        let _cut_off = sending.await.expect("the client does not panic");
        cases.one();
        let whole = stand.kept().await.images.contains(id.as_slice());
        assert_eq!(whole, way == Way::ToSender, "killed at {at}");
        sender = start();
        send(&sender, id, file.clone()).await.expect("the second attempt is delivered, or done already");
        ids.insert(id.to_vec());
    }
    let images = stand.kept().await.images;
    assert_eq!(images.len(), ids.len(), "each image once");
    assert!(ids.iter().all(|id| images.contains(id)));
    drop(sender);
    stand.settle().await;
    stand.still_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n26_resumption_with_a_wrong_prefix() {
    let mut cases = Cases::of("n26_resumption_with_a_wrong_prefix");
    let stand = Stand::start().await;
    let observer = Observer::new(stand.receiver_scalar()).await;
    let sender = Sender::start(&stand.workplace, observer.address, &["--models", &models()]);
    let lies = [
        Resume { index: 1, tag: random::<32>().to_vec() },
        Resume { index: 3, tag: vec![0; 32] },
        Resume { index: 2, tag: Vec::new() },
        Resume { index: 4, tag: vec![1; 31] },
        Resume { index: u32::MAX, tag: random::<32>().to_vec() },
    ];
    for (large_file, resume) in lies.iter().flat_map(|resume| [(true, resume), (false, resume)]) {
        let file = if large_file { large() } else { crate::stand::file() };
        let before = observer.log().segments;
        observer.play(Script { resume: Some(resume.clone()), ..Script::honest() });
        let sent = send(&sender, random(), file.clone()).await;
        // A small image is never resumed: the answer is false by itself. A large one may start over, at zero, under new keys.
        match sent {
            Ok(_) => {
                assert!(large_file, "a small image was resumed");
                let segments = (file.len() + 16).div_ceil(65_536);
                assert!(observer.log().segments >= before + segments, "something was left out");
            }
            Err(status) => {
                assert_eq!(
                    crate::stand::sender_reason(&status),
                    "PAYLOAD_AUTHENTICATION_FAILED",
                    "{resume:?}"
                );
            }
        }
        cases.one();
    }
    let log = observer.log();
    let unique: HashSet<_> = log.pairs.iter().collect();
    assert_eq!(unique.len(), log.pairs.len(), "a (key, nonce) pair recurs");
}
