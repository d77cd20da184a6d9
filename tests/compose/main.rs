//! The compose project with real containers: one sender, one receiver, a network between them.
//!
//! ```text
//! keys.rs       the key sources: file, descriptor, standard input (`mounted` is what the project uses)
//! images.rs     what the images hold: size, user, labels, bill of materials
//! project.rs    `docker compose up` under a name and ports of its own; nothing stays behind
//! service.rs    the demo, keys, hardening, health, SIGTERM
//! study.rs      a study on its way, and what must be true of it in the end
//! faults.rs     network cut, container paused, killed: in the middle of a study
//! ```
//!
//! `scripts/test.sh` builds the images latentwire/*:test and runs these where a Docker engine answers. By hand:
//!
//! ```text
//! scripts/images.sh --offline --profile dev --tag test
//! cargo test -p latentwire-tests --test compose -- --ignored --test-threads 1
//! ```
#![forbid(unsafe_code)]

mod docker;
mod faults;
mod images;
mod keys;
mod project;
mod service;
mod study;
