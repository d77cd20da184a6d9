//! What an operator watches is what the services say: alerts, dashboard and docs/OPERATIONS.md against the real `/metrics`.
//!
//! ```text
//! journey, gateway ─► page (what each says after it) ─┬─► tables of metrics (common/service/src/measures.rs, docs/GATEWAY.md)
//! sources ─► expressions of alerts and dashboard ─────┴─► query: every metric, label and label value exists
//! operations: every metric, alert and reason stands in docs/OPERATIONS.md
//! prometheus (ignored; scripts/check-monitoring.sh): a real Prometheus evaluates every expression
//! ```
//!
//! `UPDATE_OPERATIONS=1 cargo test -p latentwire-tests --test monitoring` writes the page's list of metrics anew.

mod gateway;
mod journey;
mod operations;
mod page;
mod prometheus;
mod query;
mod rules;
mod sources;
