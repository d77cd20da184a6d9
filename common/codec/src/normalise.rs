//! Stored values to the net's 0..1 and back (docs/BITSTREAM.md, sections 4 and 5).

use latentwire_imaging::PixelTensor;
use latentwire_inference::{Planes, Window};
use latentwire_model::OutputKind;

/// The stored values that the net sees as 0 and as 1; `low < high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ValueRange {
    pub(crate) low: i32,
    pub(crate) high: i32,
}

impl ValueRange {
    /// 0..255 for unsigned 8-bit pictures, else the object's own extremes; `None` if all samples
    /// are equal.
    pub(crate) fn of(pixels: &PixelTensor) -> Option<Self> {
        let (low, high) = pixels.value_range();
        if low == high {
            None
        } else if pixels.bits == 8 && !pixels.signed {
            Some(Self { low: 0, high: 255 })
        } else {
            Some(Self { low, high })
        }
    }

    fn span(self) -> i64 {
        i64::from(self.high) - i64::from(self.low)
    }
}

/// Writes a window of a frame as the net's planes, in 0..1; beyond the picture its edge goes on.
///
/// **Shapes** `out`: `[planes, window.height, window.width]`, `planes` being `out`'s length over
/// the window's area. A grey picture is replicated into every plane.
pub(crate) fn fill(pixels: &PixelTensor, frame: u32, range: ValueRange, window: Window, out: &mut [f32]) {
    let (width, height) = (window.width as usize, window.height as usize);
    let span = range.span() as f32;
    let distinct = usize::from(pixels.channels) * width * height;
    for (channel, plane) in (0..pixels.channels).zip(out.chunks_exact_mut(width * height)) {
        let source = pixels.plane(frame, channel);
        for (row, line) in plane.chunks_exact_mut(width).enumerate() {
            let y = (window.y + row as i64).clamp(0, i64::from(pixels.height) - 1) as usize;
            let source = &source[y * pixels.width as usize..][..pixels.width as usize];
            // Columns left of the picture, in it, and right of it.
            let left = (-window.x).clamp(0, width as i64) as usize;
            let inside = (i64::from(pixels.width) - window.x).clamp(left as i64, width as i64) as usize;
            let first = (window.x + left as i64).clamp(0, i64::from(pixels.width)) as usize;
            for (value, sample) in line[left..inside].iter_mut().zip(&source[first..]) {
                *value = (sample - range.low) as f32 / span;
            }
            let edge = |sample: i32| (sample - range.low) as f32 / span;
            line[..left].fill(edge(source[0]));
            line[inside..].fill(edge(source[source.len() - 1]));
        }
    }
    let (filled, copies) = out.split_at_mut(distinct);
    for copy in copies.chunks_exact_mut(distinct) {
        copy.copy_from_slice(filled);
    }
}

/// Why a decoded window could not be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EmitError {
    /// A value is not a number.
    NotFinite,
    /// The window or its planes do not fit the picture.
    Shape,
}

/// Writes a decoded window into a frame, as stored values in `low..=high`.
///
/// **Shapes** planes: `[planes, window.height, window.width]`; `frame`: `[channels, height,
/// width]`. Three planes are averaged where the picture is grey.
pub(crate) fn emit(
    frame: &mut [i32],
    shape: FrameShape,
    range: ValueRange,
    output: OutputKind,
    window: Window,
    planes: Planes<'_>,
) -> Result<(), EmitError> {
    let channels = usize::from(shape.channels);
    let (width, height) = (shape.width as usize, shape.height as usize);
    let (x, y) = (start(window.x, window.width, width)?, start(window.y, window.height, height)?);
    let (columns, rows) = (window.width as usize, window.height as usize);
    for channel in 0..channels {
        for row in 0..rows {
            let at = (channel * height + y + row) * width + x;
            let line = frame.get_mut(at..at + columns).ok_or(EmitError::Shape)?;
            match (planes, output) {
                (Planes::Float32(values), OutputKind::Float32) => {
                    let source = PlaneRows::new(values, channels, channel, row, columns, rows)?;
                    store_float(source, range, line)?;
                }
                (Planes::Int32(values), OutputKind::Int32 { shift }) => {
                    let source = PlaneRows::new(values, channels, channel, row, columns, rows)?;
                    store_fixed(source, range, shift, line);
                }
                (Planes::Float32(_), OutputKind::Int32 { .. }) | (Planes::Int32(_), OutputKind::Float32) => {
                    return Err(EmitError::Shape);
                }
            }
        }
    }
    Ok(())
}

/// Shape of one frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameShape {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) channels: u8,
}

fn start(origin: i64, length: u32, side: usize) -> Result<usize, EmitError> {
    let first = usize::try_from(origin).map_err(|_| EmitError::Shape)?;
    if first + length as usize > side {
        return Err(EmitError::Shape);
    }
    Ok(first)
}

/// The row of a window that makes one row of one channel: of its own plane, or of three to be averaged.
enum PlaneRows<'a, T> {
    One(&'a [T]),
    Mean([&'a [T]; 3]),
}

impl<'a, T> PlaneRows<'a, T> {
    fn new(
        values: &'a [T],
        channels: usize,
        channel: usize,
        row: usize,
        columns: usize,
        rows: usize,
    ) -> Result<Self, EmitError> {
        let line = |plane: usize| {
            let at = (plane * rows + row) * columns;
            values.get(at..at + columns).ok_or(EmitError::Shape)
        };
        let area = rows * columns;
        if values.len() == channels * area {
            Ok(Self::One(line(channel)?))
        } else if values.len() == 3 * area && channels == 1 {
            Ok(Self::Mean([line(0)?, line(1)?, line(2)?]))
        } else {
            Err(EmitError::Shape)
        }
    }
}

fn store_float(rows: PlaneRows<'_, f32>, range: ValueRange, line: &mut [i32]) -> Result<(), EmitError> {
    let span = range.span() as f64;
    // Clamped before the cast: an overshoot must not wrap. NaN passes the clamp and would be cast to 0.
    let store = |x: f64| range.low + (x.clamp(0.0, 1.0) * span + 0.5) as i32;
    let mut sound = true;
    match rows {
        PlaneRows::One(values) => {
            for (sample, value) in line.iter_mut().zip(values) {
                sound &= !value.is_nan();
                *sample = store(f64::from(*value));
            }
        }
        PlaneRows::Mean([a, b, c]) => {
            for (((sample, a), b), c) in line.iter_mut().zip(a).zip(b).zip(c) {
                let mean = (f64::from(*a) + f64::from(*b) + f64::from(*c)) / 3.0;
                sound &= !mean.is_nan();
                *sample = store(mean);
            }
        }
    }
    if sound { Ok(()) } else { Err(EmitError::NotFinite) }
}

fn store_fixed(rows: PlaneRows<'_, i32>, range: ValueRange, shift: u8, line: &mut [i32]) {
    let (span, one) = (range.span(), 1_i64 << shift.min(30));
    // Nothing here is negative, so the division rounds down. At most 2 * 3 * 2^30 * 2^17 < 2^50.
    let store = |x: i64, d: i64| range.low + ((2 * x.clamp(0, d) * span + d) / (2 * d)) as i32;
    match rows {
        PlaneRows::One(values) => {
            // d is a power of two: the same quotient by a shift.
            let (half, shift) = (one, u32::from(shift.min(30)) + 1);
            for (sample, value) in line.iter_mut().zip(values) {
                let x = i64::from(*value).clamp(0, one);
                *sample = range.low + ((2 * x * span + half) >> shift) as i32;
            }
        }
        PlaneRows::Mean([a, b, c]) => {
            for (((sample, a), b), c) in line.iter_mut().zip(a).zip(b).zip(c) {
                *sample = store(i64::from(*a) + i64::from(*b) + i64::from(*c), 3 * one);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTE: ValueRange = ValueRange { low: 0, high: 255 };

    fn pixels(width: u32, height: u32, channels: u8, samples: Vec<i32>) -> PixelTensor {
        PixelTensor { width, height, channels, frames: 1, bits: 8, signed: false, samples }
    }

    fn window(x: i64, y: i64, width: u32, height: u32) -> Window {
        Window { x, y, width, height }
    }

    fn stored(
        range: ValueRange,
        output: OutputKind,
        channels: u8,
        planes: Planes<'_>,
    ) -> Result<Vec<i32>, EmitError> {
        let length = match planes {
            Planes::Float32(values) => values.len(),
            Planes::Int32(values) => values.len(),
        };
        let width = if channels == 1 && length.is_multiple_of(3) {
            length / 3
        } else {
            length / usize::from(channels)
        };
        let shape = FrameShape { width: width as u32, height: 1, channels };
        let mut frame = vec![i32::MIN; width * usize::from(channels)];
        emit(&mut frame, shape, range, output, window(0, 0, width as u32, 1), planes)?;
        Ok(frame)
    }

    #[test]
    fn the_edge_goes_on_beyond_the_picture() {
        let picture = pixels(2, 2, 1, vec![0, 51, 102, 255]);
        let mut out = vec![f32::NAN; 3 * 16];
        fill(&picture, 0, BYTE, window(-1, -1, 4, 4), &mut out);
        let row = |a: f32, b: f32| [a, a, b, b];
        let expected = [row(0.0, 0.2), row(0.0, 0.2), row(0.4, 1.0), row(0.4, 1.0)].concat();
        assert_eq!(out, [expected.clone(), expected.clone(), expected].concat());
    }

    #[test]
    fn windows_wholly_outside_see_the_nearest_edge() {
        let picture = pixels(2, 1, 1, vec![0, 255]);
        for (x, y, expected) in [(-9, 0, 0.0), (9, 0, 1.0), (9, 9, 1.0), (-9, -9, 0.0)] {
            let mut out = vec![f32::NAN; 4];
            fill(&picture, 0, BYTE, window(x, y, 2, 2), &mut out);
            assert_eq!(out, [expected; 4]);
        }
    }

    #[test]
    fn colour_planes_keep_their_order() {
        let picture = pixels(1, 1, 3, vec![0, 51, 255]);
        let mut out = vec![f32::NAN; 3];
        fill(&picture, 0, BYTE, window(0, 0, 1, 1), &mut out);
        assert_eq!(out, [0.0, 0.2, 1.0]);
    }

    #[test]
    fn overshoot_saturates_in_both_number_formats() {
        let floats = [-1e30, -0.01, 0.0, 0.5, 1.0, 1.01, 3e38, f32::INFINITY, f32::NEG_INFINITY];
        let expected = [0, 0, 0, 128, 255, 255, 255, 255, 0];
        let float = stored(BYTE, OutputKind::Float32, 3, Planes::Float32(&floats.repeat(3)));
        assert_eq!(float.unwrap(), expected.repeat(3));
        let fixed = [i32::MIN, -1, 0, 1 << 15, 1 << 16, (1 << 16) + 1, i32::MAX];
        let output = OutputKind::Int32 { shift: 16 };
        let fixed = stored(BYTE, output, 3, Planes::Int32(&fixed.repeat(3)));
        assert_eq!(fixed.unwrap(), [0, 0, 0, 128, 255, 255, 255].repeat(3));
        let mean = stored(BYTE, OutputKind::Int32 { shift: 30 }, 1, Planes::Int32(&[i32::MAX; 3]));
        assert_eq!(mean.unwrap(), [255]);
    }

    #[test]
    fn signed_ranges_keep_their_offset_and_extremes() {
        let range = ValueRange { low: -32768, high: 32767 };
        let float = stored(range, OutputKind::Float32, 3, Planes::Float32(&[0.0, 1.0, 0.5]));
        assert_eq!(float.unwrap(), [-32768, 32767, 0]);
        let fixed = stored(range, OutputKind::Int32 { shift: 1 }, 3, Planes::Int32(&[0, 2, 1]));
        assert_eq!(fixed.unwrap(), [-32768, 32767, 0]);
    }

    #[test]
    fn grey_is_the_mean_of_three_planes() {
        let float = stored(BYTE, OutputKind::Float32, 1, Planes::Float32(&[0.0, 0.2, 0.4]));
        assert_eq!(float.unwrap(), [51]);
        let fixed = stored(BYTE, OutputKind::Int32 { shift: 8 }, 1, Planes::Int32(&[0, 256, 512]));
        assert_eq!(fixed.unwrap(), [255]);
    }

    #[test]
    fn a_shift_and_a_division_agree() {
        let range = ValueRange { low: -7, high: 4091 };
        for value in -3..(1 << 12) + 3 {
            let output = OutputKind::Int32 { shift: 12 };
            let one = stored(range, output, 3, Planes::Int32(&[value; 3])).unwrap()[0];
            let mean = stored(range, output, 1, Planes::Int32(&[value; 3])).unwrap()[0];
            assert_eq!(one, mean);
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let one = stored(BYTE, OutputKind::Float32, 3, Planes::Float32(&[0.0, f32::NAN, 0.0]));
        assert_eq!(one, Err(EmitError::NotFinite));
        let infinities = [f32::INFINITY, f32::NEG_INFINITY, 0.0];
        let mean = stored(BYTE, OutputKind::Float32, 1, Planes::Float32(&infinities));
        assert_eq!(mean, Err(EmitError::NotFinite));
    }

    #[test]
    fn windows_and_planes_that_do_not_fit_are_refused() {
        let shape = FrameShape { width: 4, height: 4, channels: 1 };
        let mut frame = vec![0; 16];
        for (at, values) in [
            (window(3, 0, 2, 1), 2),
            (window(-1, 0, 1, 1), 1),
            (window(0, 4, 1, 1), 1),
            (window(0, 0, 2, 2), 5),
            (window(0, 0, 2, 2), 8),
        ] {
            let planes = vec![0.5; values];
            let result = emit(&mut frame, shape, BYTE, OutputKind::Float32, at, Planes::Float32(&planes));
            assert_eq!(result, Err(EmitError::Shape), "{at:?}");
        }
    }

    #[test]
    fn eight_bit_pictures_use_the_full_range_and_others_their_own() {
        let eight = pixels(2, 1, 1, vec![10, 20]);
        assert_eq!(ValueRange::of(&eight), Some(BYTE));
        let sixteen = PixelTensor { bits: 16, ..eight.clone() };
        assert_eq!(ValueRange::of(&sixteen), Some(ValueRange { low: 10, high: 20 }));
        assert_eq!(ValueRange::of(&pixels(2, 1, 1, vec![9, 9])), None);
    }
}
