//! How fast tiles with block levels are coded:
//! `cargo run --release -p latentwire-latent --example levels_speed -- tables.bin latent.txt`.
//!
//! The latent's file has three lines: knob, rows and columns; the base steps; the values, channel by channel.

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use latentwire_latent::{Knob, LevelQuantiser, QuantisedLatent, Tables, decode_levels, encode_levels};

const RUNS: usize = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(tables), Some(latent)) = (arguments.next(), arguments.next()) else {
        return Err("two files are needed: tables.bin and a latent".into());
    };
    let tables = Tables::parse(&std::fs::read(tables)?)?;
    let text = std::fs::read_to_string(latent)?;
    let mut lines = text.lines().map(|line| line.split(' ').map(str::parse::<i32>));
    let mut line = || {
        lines
            .next()
            .ok_or("the latent's file has three lines")?
            .collect::<Result<Vec<_>, _>>()
            .map_err(Box::<dyn Error>::from)
    };
    let [head, steps, values] = [line()?, line()?, line()?];
    let [knob, height, width] = head[..] else { return Err("knob, rows and columns expected".into()) };
    let knob = Knob::new(knob).ok_or("the knob is out of range")?;
    let steps = steps.into_iter().map(u32::try_from).collect::<Result<Vec<_>, _>>()?;
    let quantiser = LevelQuantiser::new(&steps, knob)?;
    let (height, width) = (u32::try_from(height)?, u32::try_from(width)?);
    let latent = QuantisedLatent { channels: quantiser.channels(), height, width, values };
    let bytes = encode_levels(&tables, &latent, &quantiser)?;
    let pixels = f64::from(height * width) * 256.0;
    println!("{} bytes, {:.3} bits a pixel", bytes.len(), bytes.len() as f64 * 8.0 / pixels);
    let encode = fastest(|| encode_levels(&tables, black_box(&latent), &quantiser).map(drop))?;
    let decode = fastest(|| decode_levels(&tables, height, width, black_box(&bytes), &quantiser).map(drop))?;
    println!("encode {encode:.2} ms, decode {decode:.2} ms (fastest of {RUNS})");
    Ok(())
}

/// Milliseconds of the fastest of many runs.
fn fastest<E>(mut run: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(best)
}
