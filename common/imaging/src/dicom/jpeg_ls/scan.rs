//! Decoding of a JPEG-LS scan (T.87 annexes A and B); names are the standard's.

use super::{Preset, bits::Bits};
use crate::{ImagingError, dicom::malformed};

/// Order of samples in a scan.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Interleave {
    None,
    Line,
    Sample,
}

/// Coding parameters (C.2.4.1.1 and A.2.1).
pub(super) struct Parameters {
    maxval: i32,
    near: i32,
    t1: i32,
    t2: i32,
    t3: i32,
    reset: i32,
    range: i32,
    qbpp: u32,
    limit: u32,
}

impl Parameters {
    /// Fills in defaults; `None` if the preset breaks the rules.
    pub(super) fn new(preset: &Preset, precision: u8, near: i32) -> Option<Self> {
        let full = (1 << precision) - 1;
        let maxval = if preset.maximum == 0 { full } else { preset.maximum };
        if maxval > full || maxval < 1 || near > 255.min(maxval / 2) {
            return None;
        }
        let defaults = default_thresholds(maxval, near);
        let pick = |index: usize| match preset.thresholds[index] {
            0 => defaults[index],
            given => given,
        };
        let (t1, t2, t3) = (pick(0), pick(1), pick(2));
        let ordered = near < t1 && t1 <= t2 && t2 <= t3 && t3 <= maxval;
        let reset = if preset.reset == 0 { 64 } else { preset.reset };
        let ordered = ordered || (maxval <= near + 1); // too few values for thresholds to matter
        // The standard lets RESET grow to MAXVAL; no encoder goes near 4096, and sums stay small below it.
        if !ordered || !(3..=4096).contains(&reset) {
            return None;
        }
        let range = (maxval + 2 * near) / (2 * near + 1) + 1;
        let bpp = ceil_log2(maxval + 1).max(2);
        let limit = 2 * (bpp + bpp.max(8));
        Some(Self { maxval, near, t1, t2, t3, reset, range, qbpp: ceil_log2(range), limit })
    }

    fn quantize(&self, gradient: i32) -> i32 {
        let magnitude = gradient.abs();
        let level = if magnitude <= self.near {
            0
        } else if magnitude < self.t1 {
            1
        } else if magnitude < self.t2 {
            2
        } else if magnitude < self.t3 {
            3
        } else {
            4
        };
        level * gradient.signum()
    }

    /// The sample from prediction and error, in the range again (A.4.5, A.7.2.2).
    fn reconstruct(&self, prediction: i32, error: i32) -> i32 {
        let step = 2 * self.near + 1;
        let mut sample = prediction + error * step;
        if sample < -self.near {
            sample += self.range * step;
        } else if sample > self.maxval + self.near {
            sample -= self.range * step;
        }
        sample.clamp(0, self.maxval)
    }
}

/// C.2.4.1.1.1.
fn default_thresholds(maxval: i32, near: i32) -> [i32; 3] {
    let clamp = |value: i32, low: i32| if value > maxval || value < low { low } else { value };
    let (t1, t2, t3) = if maxval >= 128 {
        let factor = (maxval.min(4095) + 128) / 256;
        (factor + 2 + 3 * near, factor * 4 + 3 + 5 * near, factor * 17 + 4 + 7 * near)
    } else {
        let factor = 256 / (maxval + 1);
        ((3 / factor + 3 * near).max(2), (7 / factor + 5 * near).max(3), (21 / factor + 7 * near).max(4))
    };
    let t1 = clamp(t1, near + 1);
    let t2 = clamp(t2, t1);
    [t1, t2, clamp(t3, t2)]
}

fn ceil_log2(value: i32) -> u32 {
    32 - ((value - 1) as u32).leading_zeros()
}

/// Decodes a scan of `count` planes of rows of `width` samples.
pub(super) fn decode_scan(
    bits: &mut Bits<'_>,
    parameters: &Parameters,
    interleave: Interleave,
    planes: &mut [i32],
    width: usize,
    count: usize,
) -> Result<(), ImagingError> {
    let area = planes.len() / count;
    let mut decoder = Decoder::new(bits, parameters);
    // Each row with one more sample at either end: the one before the first, the one after the last (A.2.1).
    let mut above = vec![vec![0; width + 2]; count];
    let mut current = vec![vec![0; width + 2]; count];
    let mut run_index = vec![0; count];
    for row in 0..area / width {
        for (above, current) in above.iter_mut().zip(&mut current) {
            std::mem::swap(above, current);
            above[width + 1] = above[width];
            current[0] = above[1];
        }
        if interleave == Interleave::Sample && count > 1 {
            decoder.sample_interleaved_row(&above, &mut current, &mut run_index[0])?;
        } else {
            for ((above, current), run_index) in above.iter().zip(&mut current).zip(&mut run_index) {
                decoder.row(above, current, run_index)?;
            }
        }
        for (plane, current) in planes.chunks_exact_mut(area).zip(&current) {
            plane[row * width..(row + 1) * width].copy_from_slice(&current[1..=width]);
        }
    }
    Ok(())
}

struct Decoder<'a, 'b> {
    bits: &'a mut Bits<'b>,
    parameters: &'a Parameters,
    contexts: Vec<Context>,
    run_contexts: [RunContext; 2],
}

#[derive(Clone)]
struct Context {
    a: i32,
    b: i32,
    c: i32,
    n: i32,
}

#[derive(Clone)]
struct RunContext {
    a: i32,
    n: i32,
    negative: i32,
}

/// Order of run lengths (table in A.2.1).
const J: [u32; 32] =
    [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15];

impl<'a, 'b> Decoder<'a, 'b> {
    fn new(bits: &'a mut Bits<'b>, parameters: &'a Parameters) -> Self {
        let a = ((parameters.range + 32) / 64).max(2);
        let run = RunContext { a, n: 1, negative: 0 };
        Self {
            bits,
            parameters,
            contexts: vec![Context { a, b: 0, c: 0, n: 1 }; 365],
            run_contexts: [run.clone(), run],
        }
    }

    fn row(&mut self, above: &[i32], current: &mut [i32], run_index: &mut usize) -> Result<(), ImagingError> {
        let width = current.len() - 2;
        let mut x = 1;
        while x <= width {
            match self.context(above, current, x) {
                Some((context, sign)) => {
                    current[x] = self.regular(above, current, x, context, sign)?;
                    x += 1;
                }
                None => {
                    let run_value = current[x - 1];
                    let run = self.run_length(width + 1 - x, run_index)?;
                    current[x..x + run].fill(run_value);
                    x += run;
                    if x <= width {
                        current[x] = self.interruption(run_value, above[x], *run_index)?;
                        *run_index = run_index.saturating_sub(1);
                        x += 1;
                    }
                }
            }
        }
        Ok(())
    }

    /// A row of pixels whose samples take turns (B.3): a run is one of whole pixels.
    fn sample_interleaved_row(
        &mut self,
        above: &[Vec<i32>],
        current: &mut [Vec<i32>],
        run_index: &mut usize,
    ) -> Result<(), ImagingError> {
        let width = current[0].len() - 2;
        let mut x = 1;
        while x <= width {
            let contexts: Vec<_> =
                above.iter().zip(&*current).map(|(above, current)| self.context(above, current, x)).collect();
            if contexts.iter().any(Option::is_some) {
                for ((above, current), context) in above.iter().zip(&mut *current).zip(contexts) {
                    // Flat surroundings of one component of a pixel that is no run use context 0.
                    let (context, sign) = context.unwrap_or((0, 1));
                    current[x] = self.regular(above, current, x, context, sign)?;
                }
                x += 1;
                continue;
            }
            let run = self.run_length(width + 1 - x, run_index)?;
            for current in &mut *current {
                let run_value = current[x - 1];
                current[x..x + run].fill(run_value);
            }
            x += run;
            if x <= width {
                for (above, current) in above.iter().zip(&mut *current) {
                    let (left, over) = (current[x - 1], above[x]);
                    let error = self.interruption_error(0, *run_index)?;
                    let sign = if left > over { -1 } else { 1 };
                    current[x] = self.parameters.reconstruct(over, sign * error);
                }
                *run_index = run_index.saturating_sub(1);
                x += 1;
            }
        }
        Ok(())
    }

    /// Context number and sign (A.3.1 to A.3.4); `None` for a run.
    fn context(&self, above: &[i32], current: &[i32], x: usize) -> Option<(usize, i32)> {
        let (ra, rb, rc, rd) = (current[x - 1], above[x], above[x - 1], above[x + 1]);
        let [q1, q2, q3] = [rd - rb, rb - rc, rc - ra].map(|gradient| self.parameters.quantize(gradient));
        let merged = 81 * q1 + 9 * q2 + q3;
        // The sign of the first non-zero of three digits between -4 and 4 is that of the number in base 9.
        if merged == 0 { None } else { Some((merged.unsigned_abs() as usize, merged.signum())) }
    }

    /// Regular mode (A.4 to A.6).
    fn regular(
        &mut self,
        above: &[i32],
        current: &[i32],
        x: usize,
        context: usize,
        sign: i32,
    ) -> Result<i32, ImagingError> {
        let parameters = self.parameters;
        let (ra, rb, rc) = (current[x - 1], above[x], above[x - 1]);
        let median = if rc >= ra.max(rb) {
            ra.min(rb)
        } else if rc <= ra.min(rb) {
            ra.max(rb)
        } else {
            ra + rb - rc
        };
        let (a, b, c, n) = {
            let context = &self.contexts[context];
            (context.a, context.b, context.c, context.n)
        };
        let prediction = (median + sign * c).clamp(0, parameters.maxval);
        let k = golomb_parameter(a, n)?;
        let mapped = self.golomb(k, parameters.limit)?;
        let error = if parameters.near == 0 && k == 0 && 2 * b <= -n {
            if mapped & 1 == 1 { (mapped - 1) / 2 } else { -(mapped / 2) - 1 }
        } else if mapped & 1 == 0 {
            mapped / 2
        } else {
            -((mapped + 1) / 2)
        };
        if error.abs() > parameters.range {
            return Err(malformed("a JPEG-LS error is out of range"));
        }
        self.contexts[context].update(error, parameters);
        Ok(parameters.reconstruct(prediction, sign * error))
    }

    /// Length of a run, at most to the end of the row (A.7.1).
    fn run_length(&mut self, remaining: usize, run_index: &mut usize) -> Result<usize, ImagingError> {
        let mut run = 0;
        while self.bits.take(1)? == 1 {
            let block = 1 << J[*run_index];
            if run + block <= remaining {
                *run_index = (*run_index + 1).min(31);
            }
            run = (run + block).min(remaining);
            if run == remaining {
                return Ok(run);
            }
        }
        run += self.bits.take(J[*run_index])? as usize;
        if run >= remaining { Err(malformed("a JPEG-LS run reaches beyond its row")) } else { Ok(run) }
    }

    /// The sample that ends a run (A.7.2).
    fn interruption(&mut self, ra: i32, rb: i32, run_index: usize) -> Result<i32, ImagingError> {
        let kind = usize::from((ra - rb).abs() <= self.parameters.near);
        let error = self.interruption_error(kind, run_index)?;
        let (prediction, sign) = if kind == 1 { (ra, 1) } else { (rb, if ra > rb { -1 } else { 1 }) };
        Ok(self.parameters.reconstruct(prediction, sign * error))
    }

    fn interruption_error(&mut self, kind: usize, run_index: usize) -> Result<i32, ImagingError> {
        let parameters = self.parameters;
        let (a, n, negative) = {
            let context = &self.run_contexts[kind];
            (context.a, context.n, context.negative)
        };
        let kind_number = kind as i32;
        let k = golomb_parameter(if kind == 1 { a + (n >> 1) } else { a }, n)?;
        let mapped = self.golomb(k, parameters.limit - J[run_index] - 1)?;
        let doubled = mapped + kind_number;
        let (magnitude, map) = ((doubled + 1) / 2, doubled & 1 == 1);
        let positive_if_mapped = k == 0 && 2 * negative < n;
        let error = if map == positive_if_mapped { magnitude } else { -magnitude };
        if magnitude > parameters.range {
            return Err(malformed("a JPEG-LS error is out of range"));
        }
        let context = &mut self.run_contexts[kind];
        context.negative += i32::from(error < 0);
        context.a += (mapped + 1 - kind_number) >> 1;
        if context.n == parameters.reset {
            context.a >>= 1;
            context.n >>= 1;
            context.negative >>= 1;
        }
        context.n += 1;
        Ok(error)
    }

    /// A limited-length Golomb code (A.5.3).
    fn golomb(&mut self, k: u32, limit: u32) -> Result<i32, ImagingError> {
        let escape = limit - self.parameters.qbpp - 1;
        let zeros = self.bits.zeros(escape)?;
        if zeros < escape {
            Ok((zeros << k | self.bits.take(k)?) as i32)
        } else {
            Ok(self.bits.take(self.parameters.qbpp)? as i32 + 1)
        }
    }
}

impl Context {
    /// A.6.
    fn update(&mut self, error: i32, parameters: &Parameters) {
        self.b += error * (2 * parameters.near + 1);
        self.a += error.abs();
        if self.n == parameters.reset {
            self.a >>= 1;
            self.b >>= 1;
            self.n >>= 1;
        }
        self.n += 1;
        if self.b <= -self.n {
            self.b = (self.b + self.n).max(-self.n + 1);
            self.c = (self.c - 1).max(-128);
        } else if self.b > 0 {
            self.b = (self.b - self.n).min(0);
            self.c = (self.c + 1).min(127);
        }
    }
}

/// Smallest k with `n << k >= a` (A.5.1).
fn golomb_parameter(a: i32, n: i32) -> Result<u32, ImagingError> {
    (0..17)
        .find(|&k| i64::from(n) << k >= i64::from(a))
        .ok_or(malformed("a JPEG-LS context has grown out of range"))
}
