//! Secrets in logs and metrics at the most talkative level: N31.

use std::fs;

use latentwire_sealing::SecretKey;
use latentwire_tests::{
    Proxy, Sender, admin,
    proxy::{Act, Rule, Way},
};

use crate::{
    cases::Cases,
    noise::{Lies, random},
    peer::{self, open_plaintext},
    stand::{CANARY, Stand, file, honest, models, scalar, send},
};

/// Spellings in which a program may let bytes slip out.
fn spellings(name: &str, bytes: &[u8]) -> Vec<(String, String)> {
    let decimal = format!("{bytes:?}");
    let hexadecimal = hex::encode(bytes);
    // A part gives the whole away too.
    vec![
        (format!("{name}, hexadecimal"), hexadecimal[..24].to_owned()),
        (format!("{name}, capital hexadecimal"), hexadecimal[..24].to_uppercase()),
        (format!("{name}, decimal"), decimal[1..30].to_owned()),
        (format!("{name}, spaced hexadecimal"), hex_spaced(&bytes[..12])),
    ]
}

fn hex_spaced(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n31_secrets_absent_from_logs_at_trace() {
    let mut cases = Cases::of("n31_secrets_absent_from_logs_at_trace");
    let stand = Stand::with(&["--log", "trace"]).await;
    let proxy = Proxy::before(stand.receiver.transfer);
    let sender = Sender::start(&stand.workplace, proxy.address, &["--models", &models(), "--log", "trace"]);
    let mut secrets = Vec::new();
    // Honest, and then whatever makes each end speak of what is wrong.
    send(&sender, random(), file()).await.expect("an honest image passes");
    for (way, at, act) in [
        (Way::ToReceiver, 0, Act::Flip { bit: 300 }),
        (Way::ToReceiver, 1, Act::Flip { bit: 77 }),
        (Way::ToReceiver, 2, Act::Flip { bit: 5 }),
        (Way::ToReceiver, 3, Act::Flip { bit: 9_000 }),
        (Way::ToSender, 0, Act::Flip { bit: 40 }),
        (Way::ToSender, 1, Act::Flip { bit: 40 }),
        (Way::ToReceiver, 3, Act::End),
    ] {
        proxy.play(vec![Rule { way, at, act }]);
        send(&sender, random(), file()).await.expect_err("a lie");
        cases.one();
    }
    // Sessions whose every secret is known: one that passes, one with a false commitment, one with a false segment.
    for lie in [None, Some(110), Some(0)] {
        let mut session = stand.connect().await;
        let image = honest();
        let body = image.body();
        let keys = session.keys().transfer(&body);
        let mut plaintext = open_plaintext(&keys, &body, &image.source);
        if let Some(at) = lie {
            plaintext[at] ^= 1;
        }
        let open = session.open_step(&plaintext);
        session.send(open).await;
        session.send(peer::meta(&keys, 0, &prost::Message::encode_to_vec(&image.record))).await;
        session.send(peer::segment(&keys, 0, 0, true, b"not what was announced")).await;
        assert_eq!(session.reason().await, "PAYLOAD_AUTHENTICATION_FAILED");
        cases.one();
        let known = session.keys().clone();
        for (name, bytes) in [
            ("ML-KEM secret", known.pq.to_vec()),
            ("session key", known.there.0.to_vec()),
            ("session key back", known.back.0.to_vec()),
            ("image secret", body[68..].to_vec()),
            ("row key", keys.row_key(0).to_vec()),
            ("meta key", keys.meta_key().to_vec()),
        ] {
            secrets.extend(spellings(name, &bytes));
        }
    }
    // A stranger, and somebody who shows another's key.
    for lies in
        [Lies::default(), Lies { sender: Some(*stand.sender.public_key().as_bytes()), ..Lies::default() }]
    {
        let (_, key) = peer::encapsulation_key(&random());
        let (_, message) = crate::noise::Initiator::start(&random(), stand.public.as_bytes(), &key, &lies);
        let mut session = stand.dial().await;
        session.hello(1, 1, message).await;
        assert!(["PEER_NOT_ALLOWED", "HANDSHAKE_FAILED"].contains(&session.reason().await.as_str()));
        cases.one();
    }
    for name in ["sender.key", "receiver.key"] {
        let text = fs::read_to_string(stand.workplace.path(name)).expect("a key file");
        let key = SecretKey::from_text(&text).expect("a key");
        let line = key.to_text();
        for piece in [&line[..36], &line[line.len() - 20..]] {
            secrets.push((format!("{name}, its text"), piece.to_owned()));
            secrets.push((format!("{name}, its text in small letters"), piece.to_lowercase()));
        }
        secrets.extend(spellings(name, &scalar(&key)));
    }
    let storage =
        fs::read_to_string(stand.receiver.data.with_extension("storage.key")).expect("a storage key");
    let line = storage.lines().rfind(|line| !line.starts_with('#')).expect("a key");
    secrets.push(("the storage key".to_owned(), line[line.len() - 20..].to_owned()));
    secrets.push(("the patient".to_owned(), CANARY.to_owned()));
    let mut said = Vec::new();
    for service in [&stand.receiver.service, &sender.service] {
        let log = service.log();
        assert!(log.contains("TRACE"), "this log is not at TRACE, so this test proves nothing");
        said.push(log);
        said.push(admin::get(service.admin(), "/metrics").expect("metrics").body);
    }
    for (name, secret) in &secrets {
        assert!(!said.iter().any(|text| text.contains(secret.as_str())), "{name} was told");
    }
    println!(
        "n31: {} spellings of {} bytes of log and metrics",
        secrets.len(),
        said.iter().map(String::len).sum::<usize>()
    );
}
