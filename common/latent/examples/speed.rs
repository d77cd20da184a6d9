//! How fast the entropy coder is: `cargo run --release -p latentwire-latent --example speed`.

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use latentwire_latent::{QuantisedLatent, Tables, decode, encode};

#[path = "../tests/support/mod.rs"]
mod support;

fn main() -> Result<(), Box<dyn Error>> {
    let tables = Tables::parse(&support::write(&support::plausible(3)))?;
    let (height, width) = (1024, 1024);
    let latent = QuantisedLatent { channels: 3, height, width, values: support::smooth(3, height, width) };
    let millions = latent.values.len() as f64 / 1e6;
    let bytes = encode(&tables, &latent)?;
    println!("{:.2} bits a symbol", bytes.len() as f64 * 8.0 / latent.values.len() as f64);
    for _ in 0..5 {
        let start = Instant::now();
        black_box(encode(&tables, black_box(&latent))?);
        let encoding = start.elapsed().as_secs_f64();
        let start = Instant::now();
        black_box(decode(&tables, 3, height, width, black_box(&bytes))?);
        let decoding = start.elapsed().as_secs_f64();
        println!(
            "encode {:.1}, decode {:.1} million symbols a second",
            millions / encoding,
            millions / decoding
        );
    }
    Ok(())
}
