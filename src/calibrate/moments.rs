//! Count, sum and sum of squares of float32 values, exactly.
//!
//! A float32 is ±m·2^(e−150) with a 24-bit m and an 8-bit e. Σ±m and Σm² are integers, kept per e, so adding rounds
//! nowhere: order, chunks and merging leave no trace, and only the final mean and deviation are rounded, once.

use serde::{Deserialize, Serialize};

use super::Extremes;
use crate::error::{Error, Result};

const EXPONENTS: usize = 256;
/// Neighbours are summed in tables of their own: the next addition need not wait for the last one.
const WAYS: usize = 2;

/// Exact moments of one value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Compact", into = "Compact")]
pub(super) struct Moments {
    pub extremes: Extremes,
    sums: Box<[Sum; EXPONENTS]>,
}

/// What the values of one exponent add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Sum {
    mantissas: i128,
    squares: u128,
}

impl Default for Moments {
    fn default() -> Self {
        Moments { extremes: Extremes::default(), sums: Box::new([Sum::default(); EXPONENTS]) }
    }
}

impl Moments {
    /// Counts these values.
    pub fn observe(&mut self, values: &[f32]) {
        let sums = &mut self.sums;
        self.extremes.observe(values, |_, chunk| {
            // At most 4096 values: Σm² < 2⁶⁰.
            let mut mantissas = [[0i64; EXPONENTS]; WAYS];
            let mut squares = [[0u64; EXPONENTS]; WAYS];
            for (i, v) in chunk.iter().enumerate() {
                let (exponent, mantissa) = parts(*v);
                mantissas[i % WAYS][exponent] += i64::from(mantissa);
                squares[i % WAYS][exponent] += u64::from(mantissa.unsigned_abs()) * u64::from(mantissa.unsigned_abs());
            }
            for (e, sum) in sums.iter_mut().enumerate() {
                sum.mantissas += mantissas.iter().map(|way| i128::from(way[e])).sum::<i128>();
                sum.squares += squares.iter().map(|way| u128::from(way[e])).sum::<u128>();
            }
        });
    }

    /// Adds what another has seen.
    pub fn merge(&mut self, other: &Self) {
        self.extremes.merge(&other.extremes);
        for (own, more) in self.sums.iter_mut().zip(other.sums.iter()) {
            own.mantissas = own.mantissas.saturating_add(more.mantissas);
            own.squares = own.squares.saturating_add(more.squares);
        }
    }

    /// Mean and (population) standard deviation of the finite values.
    pub fn mean_and_deviation(&self) -> Option<(f64, f64)> {
        let count = self.extremes.count as f64;
        let (mut sum, mut squares) = (0.0, 0.0);
        for (e, part) in self.sums.iter().enumerate() {
            let unit = 2f64.powi(e.max(1) as i32 - 150);
            sum += part.mantissas as f64 * unit;
            squares += part.squares as f64 * unit * unit;
        }
        let mean = sum / count;
        (count > 0.0).then(|| (mean, (squares / count - mean * mean).max(0.0).sqrt()))
    }
}

/// Biased exponent and signed mantissa of a finite float: v = mantissa · 2^(max(exponent, 1) − 150).
#[inline]
fn parts(v: f32) -> (usize, i32) {
    let bits = v.to_bits();
    let exponent = (bits >> 23) as usize & 0xff;
    let mantissa = (bits & 0x7f_ffff) as i32 | (i32::from(exponent > 0) << 23);
    (exponent, if bits >> 31 == 0 { mantissa } else { -mantissa })
}

/// In JSON: exponent, Σm and Σm² of the exponents that occur; the sums are text, being wider than JSON's numbers.
#[derive(Serialize, Deserialize)]
struct Compact {
    #[serde(flatten)]
    extremes: Extremes,
    sums: Vec<(u8, String, String)>,
}

impl From<Moments> for Compact {
    fn from(moments: Moments) -> Self {
        let used = moments.sums.iter().enumerate().filter(|(_, sum)| **sum != Sum::default());
        let sums = used.map(|(e, s)| (e as u8, s.mantissas.to_string(), s.squares.to_string())).collect();
        Compact { sums, extremes: moments.extremes }
    }
}

impl TryFrom<Compact> for Moments {
    type Error = Error;

    fn try_from(compact: Compact) -> Result<Self> {
        if !compact.extremes.is_sound() {
            return Err(Error::input("min is above max"));
        }
        let mut moments = Moments { extremes: compact.extremes, ..Moments::default() };
        for (e, mantissas, squares) in compact.sums {
            let sum = mantissas.parse().ok().zip(squares.parse().ok());
            let (mantissas, squares) = sum
                .ok_or_else(|| Error::input(format!("sums of exponent {e} are no integers: {mantissas}, {squares}")))?;
            moments.sums[usize::from(e)] = Sum { mantissas, squares };
        }
        Ok(moments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_the_float_again() {
        for v in [0.0f32, 1.0, -1.5, f32::MAX, f32::MIN_POSITIVE, 1e-45, -3.3e-39, 0.1] {
            let (e, m) = parts(v);
            assert_eq!((f64::from(m) * 2f64.powi(e.max(1) as i32 - 150)) as f32, v);
        }
    }

    #[test]
    fn mean_and_deviation_are_those_of_the_definition() {
        let values: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.7).sin() * 3.0 + 100.0).collect();
        let mut moments = Moments::default();
        moments.observe(&values);
        let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / 1000.0;
        let variance = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / 1000.0;
        let (m, d) = moments.mean_and_deviation().unwrap();
        assert!((m - mean).abs() < 1e-12 && (d - variance.sqrt()).abs() < 1e-9, "{m} {d}");
        assert_eq!(Moments::default().mean_and_deviation(), None);
    }
}
