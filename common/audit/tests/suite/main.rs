//! The log under every change that a file system allows.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod a5;
mod frozen;
mod life;
mod support;
mod tampering;
