//! How near a reconstruction is to its original, on stored values.

mod ssim;

use crate::{ImagingError, PixelTensor};

/// How near a reconstruction is to its original; of several frames, the worst of each figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fidelity {
    /// Mean structural similarity, at most 1.
    pub ssim: f64,
    /// Smallest mean of the SSIM map over 64x64 tiles, at most 1.
    pub min_local_ssim: f64,
    /// Peak signal-to-noise ratio in decibels; `None` where no sample differs.
    pub psnr_db: Option<f64>,
    /// Mean squared error with the data range scaled to 0..1.
    pub mse: f64,
    /// Largest difference of a sample in stored units.
    pub max_abs_error: u32,
}

/// Measures a reconstruction against its original.
///
/// The range of all figures is [`PixelTensor::data_range`] of the original (1 for a picture of one value, which has none).
/// SSIM is that of scikit-image's `structural_similarity` with its defaults (Wang et al. 2004 with a uniform window of 7x7,
/// sample covariance, K1 0.01, K2 0.03, the border of 3 pixels left out), its mean over the channels. The local figure is the
/// smallest mean of that map over tiles of 64x64 pixels; tiles at the right and lower edge are shifted inwards, and a map
/// shorter than 64 is one tile.
///
/// # Errors
/// [`ImagingError::ShapeMismatch`] where width, height, channels or frames differ, [`ImagingError::TooSmall`] where a side
/// is shorter than 7 pixels.
pub fn measure(original: &PixelTensor, reconstruction: &PixelTensor) -> Result<Fidelity, ImagingError> {
    let shape = |pixels: &PixelTensor| (pixels.width, pixels.height, pixels.channels, pixels.frames);
    if shape(original) != shape(reconstruction)
        || !original.has_its_samples()
        || !reconstruction.has_its_samples()
    {
        return Err(ImagingError::ShapeMismatch);
    }
    let (width, height) = (original.width, original.height);
    if width.min(height) < ssim::WINDOW as u32 {
        return Err(ImagingError::TooSmall { what: "SSIM", width, height, minimum: ssim::WINDOW as u32 });
    }
    let range = original.data_range().max(1) as f64;
    let mut worst = Fidelity { ssim: 1.0, min_local_ssim: 1.0, psnr_db: None, mse: 0.0, max_abs_error: 0 };
    for frame in 0..original.frames {
        let pairs = || original.frame(frame).iter().zip(reconstruction.frame(frame));
        let differences = || pairs().map(|(&a, &b)| i64::from(a) - i64::from(b));
        let largest = differences().map(i64::unsigned_abs).max().unwrap_or(0);
        worst.max_abs_error = worst.max_abs_error.max(u32::try_from(largest).unwrap_or(u32::MAX));
        let squares: f64 = differences().map(|difference| (difference * difference) as f64).sum();
        worst.mse = worst.mse.max(squares / original.frame(frame).len() as f64 / (range * range));
        let (mean, local) = ssim::of_frame(original, reconstruction, frame, range);
        worst.ssim = worst.ssim.min(mean);
        worst.min_local_ssim = worst.min_local_ssim.min(local);
    }
    worst.psnr_db = (worst.mse > 0.0).then(|| -10.0 * worst.mse.log10());
    Ok(worst)
}
