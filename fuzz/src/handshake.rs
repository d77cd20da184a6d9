//! Noise messages 1 and 2 (docs/PROTOCOL.md, section 4).

use latentwire_sealing::{Hello, Responder};

use crate::{
    edits::edited,
    session::{self, Constant},
};

/// A Hello at the receiver: `[version, suite, 0 = the rest is message 1 | else = the rest is an edit script, rest]`.
pub(crate) fn message_1(data: &[u8]) {
    let Some(([version, suite, mode], rest)) = data.split_first_chunk::<3>() else { return };
    let (honest, _) = &*session::MESSAGES;
    let noise = if *mode == 0 { rest.to_vec() } else { edited(&honest.noise, rest) };
    // Versions 1 and 2 and the same of suites, and the largest.
    let number = |byte: u8| if byte == u8::MAX { u32::MAX } else { 1 + u32::from(byte & 1) };
    let hello = Hello { version: number(*version), suite: number(*suite), noise };
    let read = Responder::read(&session::receiver(), &hello, &mut Constant(7));
    assert_eq!(read.is_ok(), hello.noise == honest.noise && (hello.version, hello.suite) == (1, 1));
}

/// A HelloReply at the sender: `[0 = the rest is message 2 | else = the rest is an edit script, rest]`.
pub(crate) fn message_2(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else { return };
    let (initiator, _) = session::hello();
    let (_, honest) = &*session::MESSAGES;
    let reply = if *mode == 0 { rest.to_vec() } else { edited(honest, rest) };
    assert_eq!(initiator.finish(&reply).is_ok(), reply == *honest);
}
