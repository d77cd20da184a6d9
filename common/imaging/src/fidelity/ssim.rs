//! Structural similarity by running sums: a row of column sums a statistic, whatever the size of the picture.

use crate::PixelTensor;

/// Side of the window in pixels.
pub(super) const WINDOW: usize = 7;
/// Side of a tile of the local figure in pixels.
const TILE: usize = 64;

/// Mean SSIM of a frame, and the smallest mean of a tile.
pub(super) fn of_frame(
    original: &PixelTensor,
    reconstruction: &PixelTensor,
    frame: u32,
    range: f64,
) -> (f64, f64) {
    let (width, height) = (original.width as usize, original.height as usize);
    let mut tiles = Tiles::new(width + 1 - WINDOW, height + 1 - WINDOW);
    for channel in 0..original.channels {
        add_plane(
            original.plane(frame, channel),
            reconstruction.plane(frame, channel),
            width,
            range,
            &mut tiles,
        );
    }
    tiles.finish(f64::from(original.channels))
}

fn add_plane(original: &[i32], reconstruction: &[i32], width: usize, range: f64, tiles: &mut Tiles) {
    let height = original.len() / width;
    let row = |y: usize| {
        let span = y * width..(y + 1) * width;
        original[span.clone()].iter().zip(&reconstruction[span])
    };
    let constants = Constants::new(range);
    let mut columns = vec![Sums::default(); width];
    let mut map = vec![0.0; width + 1 - WINDOW];
    for y in 0..height {
        for (column, (&x, &y)) in columns.iter_mut().zip(row(y)) {
            column.add(x, y);
        }
        if y + 1 < WINDOW {
            continue;
        }
        let mut window = columns[..WINDOW - 1].iter().fold(Sums::default(), |sums, column| sums.plus(column));
        for (x, value) in map.iter_mut().enumerate() {
            window = window.plus(&columns[x + WINDOW - 1]);
            *value = constants.ssim(&window);
            window = window.minus(&columns[x]);
        }
        tiles.add_row(y + 1 - WINDOW, &map);
        for (column, (&x, &y)) in columns.iter_mut().zip(row(y + 1 - WINDOW)) {
            column.remove(x, y);
        }
    }
}

/// Sums over samples x of the original and y of the reconstruction. Exact: 49 squares of 16-bit samples need 38 bits.
#[derive(Clone, Copy, Default)]
struct Sums {
    x: i64,
    y: i64,
    squares: i64,
    products: i64,
}

impl Sums {
    fn add(&mut self, x: i32, y: i32) {
        let (x, y) = (i64::from(x), i64::from(y));
        self.x += x;
        self.y += y;
        self.squares += x * x + y * y;
        self.products += x * y;
    }

    fn remove(&mut self, x: i32, y: i32) {
        let (x, y) = (i64::from(x), i64::from(y));
        self.x -= x;
        self.y -= y;
        self.squares -= x * x + y * y;
        self.products -= x * y;
    }

    fn plus(self, other: &Self) -> Self {
        Self {
            x: self.x + other.x,
            y: self.y + other.y,
            squares: self.squares + other.squares,
            products: self.products + other.products,
        }
    }

    fn minus(self, other: &Self) -> Self {
        Self {
            x: self.x - other.x,
            y: self.y - other.y,
            squares: self.squares - other.squares,
            products: self.products - other.products,
        }
    }
}

/// `C1` and `C2` of Wang et al. 2004, times what the sums leave out.
struct Constants {
    c1: f64,
    c2: f64,
}

const SAMPLES: i64 = (WINDOW * WINDOW) as i64;

impl Constants {
    fn new(range: f64) -> Self {
        let samples = SAMPLES as f64;
        Self {
            c1: (0.01 * range).powi(2) * samples * samples,
            c2: (0.03 * range).powi(2) * samples * (samples - 1.0),
        }
    }

    /// SSIM of a window: both fractions are widened by the number of samples so that the sums stay whole numbers.
    fn ssim(&self, sums: &Sums) -> f64 {
        let products_of_means = sums.x * sums.y;
        let squares_of_means = sums.x * sums.x + sums.y * sums.y;
        let covariance = (SAMPLES * sums.products - products_of_means) as f64;
        let variances = (SAMPLES * sums.squares - squares_of_means) as f64;
        (2.0 * products_of_means as f64 + self.c1) * (2.0 * covariance + self.c2)
            / ((squares_of_means as f64 + self.c1) * (variances + self.c2))
    }
}

/// Sums of the SSIM map by tile, and of all of it.
struct Tiles {
    width: usize,
    height: usize,
    sums: Vec<f64>,
    total: f64,
    prefix: Vec<f64>,
}

impl Tiles {
    /// For a map of the given size.
    fn new(width: usize, height: usize) -> Self {
        let sums = vec![0.0; starts(width).count() * starts(height).count()];
        Self { width, height, sums, total: 0.0, prefix: vec![0.0; width + 1] }
    }

    fn add_row(&mut self, y: usize, map: &[f64]) {
        for (x, &value) in map.iter().enumerate() {
            self.prefix[x + 1] = self.prefix[x] + value;
        }
        self.total += self.prefix[self.width];
        let across = starts(self.width).count();
        for (row, start) in starts(self.height).enumerate() {
            if !(start..start + TILE).contains(&y) {
                continue;
            }
            for (sum, x) in self.sums[row * across..].iter_mut().zip(starts(self.width)) {
                *sum += self.prefix[(x + TILE).min(self.width)] - self.prefix[x];
            }
        }
    }

    fn finish(self, channels: f64) -> (f64, f64) {
        let tile_area = (TILE.min(self.width) * TILE.min(self.height)) as f64;
        let smallest = self.sums.iter().copied().fold(f64::INFINITY, f64::min);
        (self.total / channels / (self.width * self.height) as f64, smallest / channels / tile_area)
    }
}

/// Where tiles start along a side: every 64 pixels, the last one shifted inwards.
fn starts(side: usize) -> impl Iterator<Item = usize> {
    let last = side.saturating_sub(TILE);
    (0..side.div_ceil(TILE)).map(move |tile| (tile * TILE).min(last))
}
