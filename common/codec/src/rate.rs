//! Which rate knob meets the floors with the fewest bytes: predicted by the model's curves, corrected by a trial.
//!
//! ```text
//! badness    ln(1 - SSIM), ln(1 - SSIM of the worst tile), ln(mean square error), ln(largest error): rises with the knob
//! curve      what the model's pictures measured on the mean (manifest.toml, `[encoder.rate]`), as badness over knob
//! trial 1    at the coarsest knob whose curve meets every floor, less the model's spread: finer, as half of the pictures
//!            are worse than the mean, and a first trial that meets the floors can be sent whatever the second shows
//! trial 2    a picture's badness is taken for the curve's, moved by what trial 1 found it to differ: by a factor, as
//!            where pictures differ in contrast, or by a summand, as where a part of the error is there at any knob;
//!            the finer of the two knobs, within bounds
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
    /// How many knobs finer the first trial is than the curves say.
    spread: f64,
}

impl RateCurves {
    /// The model's own curves; without them, what quantisers do at high rate, from knob 0.
    pub(crate) fn new(rate: Option<&RateSpec>) -> Self {
        match rate {
            Some(rate) => Self {
                ssim: Curve::new(&rate.ssim, |ssim| share(1.0 - ssim)),
                psnr: Curve::new(&rate.psnr_db, square_error),
                spread: rate.spread,
            },
            None => Self {
                ssim: Curve(vec![(-16.0, (0.02_f64).ln()), (16.0, (0.12_f64).ln())]),
                psnr: Curve(vec![(-16.0, square_error(43.0)), (16.0, square_error(34.0))]),
                spread: 0.0,
            },
        }
    }

    /// The knob of the first trial.
    pub(crate) fn first(&self, floors: &Floors) -> Knob {
        let by_ssim = floors.min_ssim.map(|floor| self.ssim.reaches(share(1.0 - floor)));
        let by_psnr = floors.min_psnr_db.map(|floor| self.psnr.reaches(square_error(floor)));
        let knobs = [by_ssim, by_psnr].into_iter().flatten();
        // Floors that no curve is for begin at the model's own steps.
        knob(knobs.reduce(f64::min).map_or(0.0, |knob| knob - self.spread))
    }

    /// The knob of the second trial, if one is worth its time after the first has `found` this.
    pub(crate) fn second(&self, first: Knob, floors: &Floors, found: &Fidelity) -> Option<Knob> {
        let at = f64::from(first.value());
        let error = |error: u32| f64::from(error.max(1)).ln();
        let knobs = [
            floors.min_ssim.map(|floor| self.ssim.moved(at, share(1.0 - found.ssim), share(1.0 - floor))),
            floors
                .min_local_ssim
                .map(|floor| self.ssim.moved(at, share(1.0 - found.min_local_ssim), share(1.0 - floor))),
            floors
                .min_psnr_db
                .zip(found.psnr_db)
                .map(|(floor, psnr_db)| self.psnr.moved(at, square_error(psnr_db), square_error(floor))),
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
        let finer = knob((best - 1.0 - distance / 4.0).min(at - 1.0));
        (finer < first).then_some(finer)
    }
}

const KNOBS_AN_OCTAVE: f64 = 16.0;

/// ln of a share of the whole that may be 0.
fn share(value: f64) -> f64 {
    value.max(1e-9).ln()
}

/// ln of the mean square error of a PSNR.
fn square_error(psnr_db: f64) -> f64 {
    -psnr_db * std::f64::consts::LN_10 / 10.0
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

    /// The knob at which a picture is as bad as `wanted` that was `found` to be so bad at the knob `at`.
    fn moved(&self, at: f64, found: f64, wanted: f64) -> f64 {
        let by_factor = self.reaches(wanted - found + self.at(at)) - at;
        if !by_factor.is_finite() {
            return at;
        }
        let beyond = found.exp() - self.at(at).exp();
        let by_summand = self.reaches(share(wanted.exp() - beyond)) - at;
        // The summand may say that the floor is out of reach, which the next trial alone can tell.
        let ratio = by_summand / by_factor;
        let (least, most) = if by_factor > 0.0 { (0.5, 1.0) } else { (1.0, 3.0) };
        at + by_factor * if ratio.is_finite() { ratio.clamp(least, most) } else { 1.0 }
    }

    /// The piece that ends at the point of this index, or the first, or the last.
    fn piece(&self, end: usize) -> ((f64, f64), (f64, f64)) {
        let end = end.clamp(1, self.0.len() - 1);
        (self.0[end - 1], self.0[end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curves() -> RateCurves {
        RateCurves::new(Some(&RateSpec {
            ssim: vec![(-32, 0.99), (0, 0.96), (32, 0.88), (64, 0.88)],
            psnr_db: vec![(-32, 46.0), (0, 40.0), (32, 34.0)],
            spread: 0.0,
        }))
    }

    fn floors(min_ssim: Option<f64>, min_psnr_db: Option<f64>) -> Floors {
        Floors { min_ssim, min_psnr_db, ..Floors::NONE }
    }

    fn fidelity(ssim: f64, psnr_db: f64) -> Fidelity {
        Fidelity { ssim, min_local_ssim: ssim, psnr_db: Some(psnr_db), mse: 0.0, max_abs_error: 10 }
    }

    #[test]
    fn the_first_trial_is_where_the_strictest_floors_curve_says() {
        let first = |min_ssim, min_psnr_db| curves().first(&floors(min_ssim, min_psnr_db)).value();
        assert_eq!(first(Some(0.96), None), 0);
        assert_eq!(first(None, Some(43.0)), -16);
        assert_eq!(first(Some(0.96), Some(37.0)), 0);
        assert_eq!(first(Some(0.96), Some(43.0)), -16);
        assert_eq!(first(None, None), 0);
        // Beyond the curve's ends, and past the knob's.
        assert_eq!(first(None, Some(47.5)), -40);
        for (unreachable, end) in [(1.0, -48), (0.1, 64)] {
            assert_eq!(first(Some(unreachable), None), end);
        }
        let middle = first(Some(0.94), None);
        assert!((8..16).contains(&middle), "{middle}");
    }

    #[test]
    fn the_second_trial_goes_by_what_the_first_found() {
        let (curves, wanted) = (curves(), floors(None, Some(40.0)));
        let second = |at, psnr_db| {
            let first = Knob::new(at).unwrap();
            curves.second(first, &wanted, &fidelity(0.9, psnr_db)).map(Knob::value)
        };
        // 6 dB in 32 knobs: 3 dB too good or too bad are 16 knobs by a factor; half the error too little is 9.4 by a
        // summand; half of it too much is out of reach, which counts as thrice the factor. And a margin.
        assert_eq!(second(0, 43.0), Some(8));
        assert_eq!(second(0, 37.0), Some(-48));
        // It met the floor with next to nothing to spare.
        assert_eq!(second(0, 40.1), None);
        // It missed the floor by next to nothing, and once more with no finer knob left.
        assert_eq!(second(0, 39.99), Some(-2));
        assert_eq!(second(-48, 20.0), None);
        assert_eq!(second(64, 60.0), None);
    }

    #[test]
    fn every_floor_has_a_say_in_the_second_trial() {
        let curves = curves();
        let second = |floors: Floors| {
            let found = Fidelity { min_local_ssim: 0.945, ..fidelity(0.97, 41.0) };
            curves.second(Knob::NEUTRAL, &floors, &found).map_or(0, Knob::value)
        };
        let local = second(Floors { min_local_ssim: Some(0.95), ..Floors::NONE });
        // 2.2 knobs by a factor, 3.1 by a summand, and a margin.
        assert_eq!(local, -5);
        let error = second(Floors { max_abs_error: Some(5), ..Floors::NONE });
        // Half the error is an octave, and a margin that makes 21, or a hair more.
        assert!((-22..=-21).contains(&error), "{error}");
        let both = Floors { max_abs_error: Some(5), min_psnr_db: Some(20.0), ..Floors::NONE };
        assert_eq!(second(both), error);
        let identical = Fidelity { psnr_db: None, max_abs_error: 0, ..fidelity(1.0, 0.0) };
        let floors = Floors { max_abs_error: Some(0), ..floors(Some(0.95), Some(40.0)) };
        assert!(curves.second(Knob::NEUTRAL, &floors, &identical).is_none_or(|knob| knob > Knob::NEUTRAL));
    }

    #[test]
    fn without_curves_the_search_begins_at_the_models_own_steps() {
        let curves = RateCurves::new(None);
        let wanted = floors(Some(0.95), None);
        assert_eq!(curves.first(&floors(None, None)), Knob::NEUTRAL);
        assert!(Knob::all().any(|knob| knob == curves.first(&wanted)));
        let finer = curves.second(Knob::NEUTRAL, &wanted, &fidelity(0.8, 30.0)).unwrap();
        assert!(finer < Knob::NEUTRAL, "{finer:?}");
    }
}
