//! A fuzzer for want of a better one: mutates the corpus, blind to coverage. `make fuzz` takes it only where there is no nightly.
//!
//! `cargo run --example mutate -p latentwire-fuzz -- TARGET SECONDS`; a failing input stays in `fuzz/work/TARGET/`.

use std::{
    env, fs, panic,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [name, seconds] = arguments.as_slice() else { return usage() };
    let (Some(target), Ok(seconds)) = (latentwire_fuzz::target(name), seconds.parse()) else {
        return usage();
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut inputs = vec![Vec::new()];
    for entry in fs::read_dir(folder.join("corpus").join(name)).into_iter().flatten().flatten() {
        inputs.extend(fs::read(entry.path()));
    }
    let mut draws = Draws(0x9e37_79b9_7f4a_7c15);
    let (begun, mut runs) = (Instant::now(), 0_u64);
    while begun.elapsed() < Duration::from_secs(seconds) {
        let mut input = inputs[draws.below(inputs.len())].clone();
        for _ in 0..=draws.below(6) {
            let other = &inputs[draws.below(inputs.len())];
            mutate(&mut input, other, &mut draws);
        }
        runs += 1;
        if panic::catch_unwind(|| target(&input)).is_err() {
            let file = folder.join("work").join(name).join(hex(&Sha256::digest(&input)[..8]));
            fs::create_dir_all(file.parent().unwrap_or(folder)).expect("fuzz/work can be made");
            fs::write(&file, &input).expect("fuzz/work can be written");
            eprintln!("{name}: broken after {runs} runs; the input is {}", file.display());
            return ExitCode::FAILURE;
        }
    }
    println!("{name}: {runs} runs in {seconds} s, coverage-blind, nothing found");
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    let names: Vec<&str> = latentwire_fuzz::TARGETS.iter().map(|(name, _)| *name).collect();
    eprintln!("mutate TARGET SECONDS; targets: {}", names.join(" "));
    ExitCode::FAILURE
}

/// One change: a byte, a bit, a cut, a repetition, or a piece of another input.
fn mutate(input: &mut Vec<u8>, other: &[u8], draws: &mut Draws) {
    let place = draws.below(input.len() + 1);
    let until = place + draws.below((input.len() - place).min(32) + 1);
    match draws.below(7) {
        0 => input.insert(place, draws.below(256) as u8),
        1 => drop(input.drain(place..until)),
        2 => input.extend_from_within(place..until),
        3 if !other.is_empty() => {
            let from = draws.below(other.len());
            let piece = &other[from..other.len().min(from + 64)];
            input.splice(place..until, piece.iter().copied());
        }
        4 => input[place..until].fill([0, 0xff, 0x80, 0x7f][draws.below(4)]),
        _ => {
            if let Some(byte) = input.get_mut(place) {
                *byte ^= 1 << draws.below(8);
            }
        }
    }
}

/// SplitMix64.
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound.max(1) as u64) as usize
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
