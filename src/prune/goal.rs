//! How much goes: a share of the weights, what scores below a threshold, or as much as a target needs.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{Error, Result};

/// How much goes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// This share of the weights becomes zero.
    Sparsity(f64),
    /// Weights that score below this become zero.
    Threshold(Threshold),
    /// This share of the multiply-accumulates is left.
    Macs(f64),
    /// This share of the compressed file is left; of channels, of the parameters.
    Size(f64),
    /// This share of the latency is left.
    Latency(f64),
}

impl Goal {
    /// Refuses what is no share, or no threshold.
    ///
    /// # Errors
    /// Usage, with the flag.
    pub fn check(self) -> Result<()> {
        let share = match self {
            Goal::Sparsity(s) | Goal::Macs(s) | Goal::Size(s) | Goal::Latency(s) => s,
            Goal::Threshold(t) if t.at >= 0.0 => return Ok(()),
            Goal::Threshold(_) => return Err(Error::usage("--threshold is not negative: scores are not")),
        };
        match (0.0..=1.0).contains(&share) {
            true => Ok(()),
            false => Err(Error::usage(format!("{} is a share between 0 and 1", self.flag()))),
        }
    }

    /// As the command line names it.
    pub fn flag(self) -> &'static str {
        match self {
            Goal::Sparsity(_) => "--sparsity",
            Goal::Threshold(_) => "--threshold",
            Goal::Macs(_) => "--target-macs",
            Goal::Size(_) => "--target-size",
            Goal::Latency(_) => "--target-latency",
        }
    }

    /// Sparsities of single layers that tell most of what theirs should be: that of all together, and one beyond.
    pub(super) fn levels(self) -> [f64; 2] {
        let share = match self {
            Goal::Sparsity(share) => share,
            _ => 0.5,
        };
        let share = share.clamp(0.1, 0.9);
        [share, f64::midpoint(1.0, share)]
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Goal::Sparsity(s) => write!(f, "{:.1} % zeros", 100.0 * s),
            Goal::Threshold(t) => write!(f, "scores below {t} to zero"),
            Goal::Macs(s) => write!(f, "{:.1} % of the multiply-accumulates", 100.0 * s),
            Goal::Size(s) => write!(f, "{:.1} % of the compressed size", 100.0 * s),
            Goal::Latency(s) => write!(f, "{:.1} % of the latency", 100.0 * s),
        }
    }
}

/// A score below which weights go: `0.01` as it stands, `0.01x-mean` times the mean score of the tensor.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Threshold {
    /// The bound, or the factor of the mean.
    pub at: f64,
    /// Whether it is a factor of the mean.
    pub times_mean: bool,
}

impl Threshold {
    /// In the unit of these scores.
    pub fn of(self, scores: &[f32]) -> f32 {
        if !self.times_mean {
            return self.at as f32;
        }
        let sum: f64 = scores.iter().map(|s| f64::from(*s)).sum();
        (self.at * sum / scores.len().max(1) as f64) as f32
    }
}

impl FromStr for Threshold {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (digits, times_mean) = text.strip_suffix("x-mean").map_or((text, false), |digits| (digits, true));
        let at = digits.parse::<f64>().ok().filter(|x| x.is_finite());
        let at =
            at.ok_or_else(|| Error::usage(format!("\"{text}\" is no number, and none times the mean as 0.01x-mean")))?;
        Ok(Threshold { at, times_mean })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.at, if self.times_mean { "x-mean" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_absolute_or_times_the_mean() {
        let scores = [1.0f32, 2.0, 3.0];
        assert_eq!("0.5".parse::<Threshold>().unwrap().of(&scores), 0.5);
        let relative: Threshold = "0.5x-mean".parse().unwrap();
        assert_eq!((relative.of(&scores), relative.to_string().as_str()), (1.0, "0.5x-mean"));
        assert_eq!("x-mean".parse::<Threshold>().unwrap_err().exit_code(), 2);
        assert!(Goal::Threshold("-1".parse().unwrap()).check().is_err() && Goal::Macs(1.5).check().is_err());
    }
}
