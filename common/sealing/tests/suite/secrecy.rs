//! Secrets cannot be printed, copied, compared or serialised: checked when this file compiles.

use latentwire_sealing::at_rest::{DataKey, StorageKey};
use latentwire_sealing::key_schedule::{Prk, TransferKeys};
use latentwire_sealing::{
    Acceptance, ControlOpener, ControlSealer, CryptoError, Established, ImageSecret, Initiator, MetaOpener,
    MetaSealer, Proposal, Responder, SecretKey, SegmentOpener, SegmentSealer, SessionSecrets, TransferTags,
};

/// Fails to compile where the type implements the trait: the method would be ambiguous then.
macro_rules! never_implements {
    ($trait:path: $($type:ty),+ $(,)?) => {
        $(const _: fn() = || {
            trait Either<Marker> {
                fn pick() {}
            }
            impl<T: ?Sized> Either<()> for T {}
            struct Implements;
            impl<T: ?Sized + $trait> Either<Implements> for T {}
            <$type as Either<_>>::pick()
        };)+
    };
}

macro_rules! secrets_never_implement {
    ($($trait:path),+ $(,)?) => {
        $(never_implements!($trait:
            SecretKey, StorageKey, DataKey, Prk, TransferKeys, ImageSecret, SessionSecrets, TransferTags, Initiator,
            Responder, Established, Proposal, Acceptance, MetaSealer, MetaOpener, SegmentSealer, SegmentOpener,
            ControlSealer, ControlOpener,
        );)+
    };
}

secrets_never_implement!(std::fmt::Debug, std::fmt::Display, Clone, PartialEq, serde::Serialize);

/// What tasks share must be shareable.
const _: fn() = || {
    fn send_and_sync<T: Send + Sync>() {}
    fn send<T: Send>() {}
    send_and_sync::<SessionSecrets>();
    send_and_sync::<TransferTags>();
    send_and_sync::<SecretKey>();
    send_and_sync::<CryptoError>();
    send::<ControlSealer>();
    send::<ControlOpener>();
    send::<SegmentSealer>();
    send::<SegmentOpener>();
    send::<Established>();
    send::<Responder>();
};

/// No key text stands in an error about it.
#[test]
fn errors_do_not_quote_keys() {
    let secret = SecretKey::generate(latentwire_sealing::Role::Sender, &mut crate::support::system_rng());
    let text = secret.to_text();
    for broken in [text.replace('A', "C"), text.to_lowercase(), format!("{}x", text.as_str())] {
        if let Err(error) = SecretKey::from_text(&broken) {
            let shown = format!("{error} {error:?}").to_lowercase();
            assert!(!shown.contains(&text.to_lowercase()[30..40]), "{shown}");
        }
    }
    let pasted = format!("[[peer]]\nname = \"a\"\npublic_key = {}\n", text.as_str());
    let error = latentwire_sealing::TrustStore::parse(&pasted).expect_err("not a TOML value");
    assert!(!format!("{error} {error:?}").contains(&text[30..40]));
}
