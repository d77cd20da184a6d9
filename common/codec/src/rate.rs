//! Which rate knob meets the floors with the fewest bytes: predicted by the model's curves, corrected by a trial.
//!
//! ```text
//! badness    ln(1 - SSIM), ln(1 - SSIM of the worst tile), -PSNR, ln(largest error): rises with the knob
//! curve      what the model's pictures measured on the mean (manifest.toml, `[encoder.rate]`), as badness over knob
//! trial 1    at the coarsest knob whose curve meets every floor
//! trial 2    a picture's badness is taken for the curve's, moved by what trial 1 found it to differ
//! ```
//!
//! The coarsest trial that meets every floor is sent.

use latentwire_imaging::Fidelity;
use latentwire_latent::Knob;
use latentwire_model::RateSpec;

use crate::policy::Floors;

/// Most trials that a picture gets: each decodes and measures all of it.
pub(crate) const MAX_TRIALS: u32 = 2;

/// Where the trials of a model's pictures begin, and how a first one corrects the second.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RateCurves {
    ssim: Curve,
    psnr: Curve,
}

impl RateCurves {
    /// The model's own curves; without them, what quantisers do at high rate, from knob 0.
    pub(crate) fn new(rate: Option<&RateSpec>) -> Self {
        match rate {
            Some(rate) => Self {
                ssim: Curve::new(&rate.ssim, |ssim| share(1.0 - ssim)),
                psnr: Curve::new(&rate.psnr_db, |psnr_db| -psnr_db),
            },
            None => Self {
                ssim: Curve(vec![(-16.0, (0.02_f64).ln()), (16.0, (0.12_f64).ln())]),
                psnr: Curve(vec![(-16.0, -43.0), (16.0, -34.0)]),
            },
        }
    }

    /// The knob of the first trial.
    pub(crate) fn first(&self, floors: &Floors) -> Knob {
        let by_ssim = floors.min_ssim.map(|floor| self.ssim.reaches(share(1.0 - floor)));
        let by_psnr = floors.min_psnr_db.map(|floor| self.psnr.reaches(-floor));
        let knobs = [by_ssim, by_psnr].into_iter().flatten();
        // Floors that no curve is for begin at the model's own steps.
        knob(knobs.reduce(f64::min).unwrap_or(0.0))
    }

    /// The knob of the second trial, if one is worth its time after the first has `found` this.
    pub(crate) fn second(&self, first: Knob, floors: &Floors, found: &Fidelity) -> Option<Knob> {
        let at = f64::from(first.value());
        let moved = |curve: &Curve, badness: f64, wanted: f64| {
            let moved = curve.reaches(wanted - badness + curve.at(at));
            if moved.is_finite() { moved } else { at }
        };
        let error = |error: u32| f64::from(error.max(1)).ln();
        let knobs = [
            floors.min_ssim.map(|floor| moved(&self.ssim, share(1.0 - found.ssim), share(1.0 - floor))),
            floors
                .min_local_ssim
                .map(|floor| moved(&self.ssim, share(1.0 - found.min_local_ssim), share(1.0 - floor))),
            floors.min_psnr_db.zip(found.psnr_db).map(|(floor, psnr_db)| moved(&self.psnr, -psnr_db, -floor)),
            // The largest error goes with the step: an octave more doubles it.
            floors.max_abs_error.map(|ceiling| {
                at + (error(ceiling) - error(found.max_abs_error)) * KNOBS_AN_OCTAVE / std::f64::consts::LN_2
            }),
        ];
        let best = knobs.into_iter().flatten().reduce(f64::min).unwrap_or(at);
        let distance = (best - at).abs();
        if floors.hold(found) {
            // There is a picture to send already: a step that misses its mark costs a trial, no more.
            let coarser = knob(best - distance / 12.0);
            return (coarser > first).then_some(coarser);
        }
        // The last chance: what misses its mark now travels exact.
        let finer = knob((best - 0.5 - distance / 6.0).min(at - 1.0));
        (finer < first).then_some(finer)
    }
}

const KNOBS_AN_OCTAVE: f64 = 16.0;

/// ln of a share of the whole that may be 0.
fn share(value: f64) -> f64 {
    value.max(1e-9).ln()
}

/// The coarsest knob that is no coarser than this.
fn knob(value: f64) -> Knob {
    let (finest, coarsest) = (Knob::FINEST.value(), Knob::COARSEST.value());
    let whole = value.floor().clamp(f64::from(finest), f64::from(coarsest)) as i32;
    Knob::new(whole).unwrap_or(Knob::NEUTRAL)
}

/// Badness over knob: points of ascending knobs and badness that does not fall, two at least; straight between and
/// beyond them.
#[derive(Clone, Debug, PartialEq)]
struct Curve(Vec<(f64, f64)>);

impl Curve {
    fn new(points: &[(i32, f64)], badness: impl Fn(f64) -> f64) -> Self {
        Self(points.iter().map(|(knob, value)| (f64::from(*knob), badness(*value))).collect())
    }

    /// Badness at a knob.
    fn at(&self, knob: f64) -> f64 {
        let after = self.0.partition_point(|(known, _)| *known <= knob);
        let ((k0, b0), (k1, b1)) = self.piece(after);
        b0 + (knob - k0) * (b1 - b0) / (k1 - k0)
    }

    /// The largest knob whose badness is no more than this; infinite where a level end never reaches it.
    fn reaches(&self, badness: f64) -> f64 {
        let after = self.0.partition_point(|(_, known)| *known <= badness);
        let ((k0, b0), (k1, b1)) = self.piece(after);
        k0 + (badness - b0) * (k1 - k0) / (b1 - b0)
    }

    /// The piece that ends at the point of this index, or the first, or the last.
    fn piece(&self, end: usize) -> ((f64, f64), (f64, f64)) {
        let end = end.clamp(1, self.0.len() - 1);
        (self.0[end - 1], self.0[end])
    }
}
