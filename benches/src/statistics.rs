//! The few numbers that describe a set of start-up times, and how they are computed.
//!
//! Start-up times have a long right tail (a timer tick, an RCU grace period, another process on the
//! CPU), so the mean and the standard deviation say little about them. We report the median, the 90th
//! percentile, the minimum (the best estimate of what the machine can do) and the median absolute
//! deviation (the spread, which one outlier cannot move).

use serde::Serialize;

/// What one engine's measured times look like. All times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// How many runs succeeded and are counted here.
    pub n: usize,
    /// The middle value.
    pub median: f64,
    /// Nine runs in ten were at least this fast.
    pub p90: f64,
    /// The fastest run.
    pub min: f64,
    /// Median absolute deviation from the median, not scaled.
    pub mad: f64,
}

/// Summarises `samples` (milliseconds, any order); `None` when there are none.
pub fn summarise(samples: &[f64]) -> Option<Summary> {
    let sorted = sort(samples);
    let min = *sorted.first()?;
    let median = quantile(&sorted, 0.5);
    let deviations: Vec<f64> = sorted
        .iter()
        .map(|sample| (sample - median).abs())
        .collect();
    Some(Summary {
        n: sorted.len(),
        median,
        p90: quantile(&sorted, 0.9),
        min,
        mad: quantile(&sort(&deviations), 0.5),
    })
}

/// The value below which the fraction `q` (0 to 1) of `sorted` lies, by linear interpolation between the
/// two nearest ranks (type 7 of Hyndman and Fan, what R and NumPy do). `sorted` is not empty.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let last = sorted.len() - 1;
    let position = q * last as f64;
    let below = (position.floor() as usize).min(last);
    let above = (below + 1).min(last);
    let fraction = position - below as f64;
    sorted[below] + (sorted[above] - sorted[below]) * fraction
}

fn sort(samples: &[f64]) -> Vec<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_measured_has_no_summary() {
        assert_eq!(summarise(&[]), None);
    }

    #[test]
    fn one_sample_is_every_quantile() {
        let summary = summarise(&[4.0]).expect("one sample");
        assert_eq!(
            summary,
            Summary {
                n: 1,
                median: 4.0,
                p90: 4.0,
                min: 4.0,
                mad: 0.0
            }
        );
    }

    #[test]
    fn an_even_count_takes_the_middle_of_two() {
        let summary = summarise(&[4.0, 1.0, 3.0, 2.0]).expect("samples");
        assert_eq!(summary.median, 2.5);
        assert_eq!(summary.min, 1.0);
        // Deviations are 1.5, 1.5, 0.5, 0.5.
        assert_eq!(summary.mad, 1.0);
    }

    #[test]
    fn p90_interpolates_between_ranks() {
        let samples: Vec<f64> = (1..=11).map(f64::from).collect();
        assert_eq!(summarise(&samples).expect("samples").p90, 10.0);
        let samples: Vec<f64> = (1..=10).map(f64::from).collect();
        let p90 = summarise(&samples).expect("samples").p90;
        assert!((p90 - 9.1).abs() < 1e-9, "{p90}");
    }

    #[test]
    fn one_outlier_moves_neither_median_nor_spread() {
        let calm = summarise(&[1.0, 1.1, 1.2, 1.3, 1.4]).expect("samples");
        let disturbed = summarise(&[1.0, 1.1, 1.2, 1.3, 900.0]).expect("samples");
        assert_eq!(calm.median, disturbed.median);
        assert!((calm.mad - disturbed.mad).abs() < 1e-9);
        assert!(disturbed.p90 > 100.0);
    }
}
