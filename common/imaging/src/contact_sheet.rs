//! A page of pictures for the eye.

use crate::{ImagingError, PixelTensor, attributes::Attributes, png};

/// Pixels between and around the pictures.
const GAP: usize = 4;
/// Value of the page between the pictures.
const PAGE: i32 = 40;
/// Longest allowed side of a picture on the page.
const MAX_THUMBNAIL: u32 = 4096;

/// Side-by-side pictures as one PNG: original, reconstruction and difference x8, one row a pair.
///
/// Each picture is scaled down (never up) by averaging so that it fits a square of `thumbnail` pixels (16 to 4096). Of several
/// frames the first is shown. 8-bit values are shown as they are; others are windowed from the 0.5th to the 99.5th percentile
/// of the original, the same for all three pictures.
///
/// # Errors
/// [`ImagingError::ShapeMismatch`] where a pair differs in shape or there is no pair, [`ImagingError::TooLarge`] where the page
/// would have more than 2^28 pixels.
pub fn contact_sheet(rows: &[(&PixelTensor, &PixelTensor)], thumbnail: u32) -> Result<Vec<u8>, ImagingError> {
    let cell = thumbnail.clamp(16, MAX_THUMBNAIL) as usize;
    let same_shape = |(a, b): &(&PixelTensor, &PixelTensor)| {
        (a.width, a.height, a.channels) == (b.width, b.height, b.channels)
            && a.has_its_samples()
            && b.has_its_samples()
    };
    if rows.is_empty() || !rows.iter().all(same_shape) {
        return Err(ImagingError::ShapeMismatch);
    }
    let width = 3 * cell + 4 * GAP;
    let height = rows.iter().map(|(original, _)| Fit::new(original, cell).height + GAP).sum::<usize>() + GAP;
    if width * height > 1 << 28 {
        return Err(ImagingError::TooLarge {
            what: "the number of pixels of the contact sheet",
            found: (width * height) as u64,
            limit: 1 << 28,
        });
    }
    let mut page = Page { width, height, samples: vec![PAGE; 3 * width * height] };
    let mut top = GAP;
    for (original, reconstruction) in rows {
        let fit = Fit::new(original, cell);
        let window = Window::of(original);
        for channel in 0..3 {
            let source = channel.min(usize::from(original.channels) - 1) as u8;
            let before = fit.scale(original.plane(0, source));
            let after = fit.scale(reconstruction.plane(0, source));
            let shown = |values: &[f32]| values.iter().map(|&value| window.show(value)).collect::<Vec<_>>();
            let differences: Vec<_> =
                fit.scale_differences(original.plane(0, source), reconstruction.plane(0, source));
            let difference = differences.iter().map(|&value| window.amplify(value)).collect();
            for (column, values) in [shown(&before), shown(&after), difference].into_iter().enumerate() {
                let left = GAP + column * (cell + GAP) + (cell - fit.width) / 2;
                page.put(channel, left, top, fit.width, &values);
            }
        }
        top += fit.height + GAP;
    }
    let pixels = PixelTensor {
        width: width as u32,
        height: height as u32,
        channels: 3,
        frames: 1,
        bits: 8,
        signed: false,
        samples: page.samples,
    };
    png::write(&pixels, &Attributes::upright())
}

struct Page {
    width: usize,
    height: usize,
    samples: Vec<i32>,
}

impl Page {
    fn put(&mut self, channel: usize, left: usize, top: usize, width: usize, values: &[i32]) {
        let plane = channel * self.width * self.height;
        for (y, row) in values.chunks_exact(width).enumerate() {
            let start = plane + (top + y) * self.width + left;
            self.samples[start..start + width].copy_from_slice(row);
        }
    }
}

/// Size of a picture on the page.
struct Fit {
    source_width: usize,
    source_height: usize,
    width: usize,
    height: usize,
}

impl Fit {
    fn new(pixels: &PixelTensor, cell: usize) -> Self {
        let (source_width, source_height) = (pixels.width as usize, pixels.height as usize);
        let longest = source_width.max(source_height);
        let scaled = |side: usize| if longest <= cell { side } else { (side * cell / longest).max(1) };
        Self { source_width, source_height, width: scaled(source_width), height: scaled(source_height) }
    }

    fn scale(&self, plane: &[i32]) -> Vec<f32> {
        self.average(|index| f64::from(plane[index]))
    }

    /// Scaled after the difference is taken, so that errors of either sign do not cancel out.
    fn scale_differences(&self, a: &[i32], b: &[i32]) -> Vec<f32> {
        self.average(|index| (f64::from(a[index]) - f64::from(b[index])).abs())
    }

    /// Mean over the source pixels that a pixel of the page covers.
    fn average(&self, value: impl Fn(usize) -> f64) -> Vec<f32> {
        let span = |index: usize, target: usize, source: usize| {
            let start = index * source / target;
            start..((index + 1) * source / target).max(start + 1)
        };
        let mut scaled = Vec::with_capacity(self.width * self.height);
        for y in 0..self.height {
            let rows = span(y, self.height, self.source_height);
            for x in 0..self.width {
                let columns = span(x, self.width, self.source_width);
                let count = rows.len() * columns.len();
                let sum: f64 = rows
                    .clone()
                    .flat_map(|row| columns.clone().map(move |column| row * self.source_width + column))
                    .map(&value)
                    .sum();
                scaled.push((sum / count as f64) as f32);
            }
        }
        scaled
    }
}

/// Values shown as black and white.
struct Window {
    black: f32,
    white: f32,
}

impl Window {
    fn of(pixels: &PixelTensor) -> Self {
        if pixels.bits == 8 && !pixels.signed {
            return Self { black: 0.0, white: 255.0 };
        }
        let mut values: Vec<i32> = pixels.frame(0).to_vec();
        let last = values.len() - 1;
        let (low, high) = (last * 5 / 1000, last - last * 5 / 1000);
        let black = *values.select_nth_unstable(low).1;
        let white = *values.select_nth_unstable(high).1;
        Self { black: black as f32, white: (white as f32).max(black as f32 + 1.0) }
    }

    fn show(&self, value: f32) -> i32 {
        ((value - self.black) * 255.0 / (self.white - self.black)).round().clamp(0.0, 255.0) as i32
    }

    fn amplify(&self, difference: f32) -> i32 {
        (difference * 8.0 * 255.0 / (self.white - self.black)).round().clamp(0.0, 255.0) as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, read};

    fn flat(width: u32, height: u32, channels: u8, bits: u8, value: i32) -> PixelTensor {
        let samples = vec![value; (width * height * u32::from(channels)) as usize];
        PixelTensor { width, height, channels, frames: 1, bits, signed: false, samples }
    }

    #[test]
    fn three_pictures_a_row() {
        let (a, b) = (flat(64, 32, 1, 8, 100), flat(64, 32, 1, 8, 110));
        let (c, d) = (flat(20, 40, 3, 8, 255), flat(20, 40, 3, 8, 255));
        let sheet = contact_sheet(&[(&a, &b), (&c, &d)], 32).unwrap();
        let sheet = read(&sheet, &Limits::default()).unwrap().pixels;
        assert_eq!((sheet.width, sheet.height, sheet.channels), (112, 4 + 16 + 4 + 32 + 4, 3));
        let at = |x: usize, y: usize| sheet.plane(0, 1)[y * 112 + x];
        assert_eq!([at(0, 0), at(4, 4), at(40, 4), at(76, 4)], [PAGE, 100, 110, 80]);
        // The upright picture stands in the middle of its cell.
        assert_eq!([at(4, 30), at(4 + 16, 30), at(76 + 16, 30)], [PAGE, 255, 0]);
    }

    #[test]
    fn deep_pictures_are_windowed_on_the_original() {
        let mut a = flat(40, 40, 1, 12, 1000);
        a.samples[800..].fill(3000);
        let sheet = contact_sheet(&[(&a, &a)], 40).unwrap();
        let sheet = read(&sheet, &Limits::default()).unwrap().pixels;
        let at = |x: usize, y: usize| sheet.plane(0, 0)[y * sheet.width as usize + x];
        assert_eq!([at(4, 4), at(4, 43)], [0, 255]);
    }

    #[test]
    fn pairs_must_agree() {
        let (a, b) = (flat(8, 8, 1, 8, 1), flat(8, 9, 1, 8, 1));
        assert_eq!(contact_sheet(&[(&a, &b)], 32), Err(ImagingError::ShapeMismatch));
        assert_eq!(contact_sheet(&[], 32), Err(ImagingError::ShapeMismatch));
    }
}
