//! The attack kit: N1 to N32 of the design's threat model, each a test of that name, against the real processes where a process can
//! show it.
//!
//! ```text
//! peer, noise   a sender by hand: every key, point, field and message in the test's power
//! observer      a receiver by hand, which writes down every (key, nonce) pair
//! proxy         a hostile link between a real sender and a real receiver (in the harness)
//! stand         the receiver process, and what must be true of it afterwards
//! cases         one altered transcript is one adversarial case; `make attacks` adds them up
//! ```
//!
//! Every test asserts the typed reason of each refusal, that nothing came out (no image listed, no file written, nothing in clear on
//! disk or in the log), and that an honest image passes afterwards.
#![forbid(unsafe_code)]

mod bits;
mod cases;
mod crash;
mod downgrade;
mod flood;
mod handshake;
mod identity;
mod keys;
mod logs;
mod noise;
mod observer;
mod peer;
mod raw;
mod recorder;
mod replay;
mod sizes;
mod slow;
mod stand;
mod stream;
mod trust;
