//! Everything that is promised of the sealing crate: public vectors, our own frozen vectors, and hostile input.
#![allow(clippy::wildcard_enum_match_arm, reason = "a test names the one variant that it expects")]

mod aws_lc;
mod cavp_vectors;
mod chaos_layer;
mod errors;
mod frozen_vectors;
mod hostile_handshake;
mod hostile_transfer;
mod keys;
mod kit;
mod noise_vectors;
mod objects;
mod paper_b;
mod properties;
mod rfc_vectors;
mod rows;
mod secrecy;
mod support;
mod trust_store;
mod wycheproof_vectors;
