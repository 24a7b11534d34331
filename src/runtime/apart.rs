//! How far what two runs gave lies apart.

/// Numbers beyond this, the end of float16, mask what is not to be chosen: as they stand, they would drown all others.
pub const MASK: f32 = half::f16::MAX.to_f32_const();

/// What a number and what became of it tell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pair {
    /// Both are finite.
    Numbers(f64, f64),
    /// Nothing: a mask that stayed, or what was no number, as attention leaves it behind the end of a sequence.
    Nothing,
    /// A finite number became none, or an infinity did not stay.
    Broken,
}

impl Pair {
    /// What `x` of the one model and `y` of the other tell.
    #[must_use]
    pub fn of(x: f32, y: f32) -> Self {
        if x == y && x.abs() >= MASK {
            Pair::Nothing
        } else if x.is_finite() && y.is_finite() {
            Pair::Numbers(f64::from(x), f64::from(y))
        } else if x.is_nan() || x == y {
            Pair::Nothing
        } else {
            Pair::Broken
        }
    }
}

/// Σ x² and Σ (x − y)² over the pairs of numbers; the second is infinite where one broke.
#[must_use]
pub fn apart(x: &[f32], y: &[f32]) -> (f64, f64) {
    let (mut energy, mut error) = (0f64, 0f64);
    for (x, y) in x.iter().zip(y) {
        match Pair::of(*x, *y) {
            Pair::Numbers(x, y) => {
                energy += x * x;
                error += (x - y) * (x - y);
            }
            Pair::Nothing => {}
            Pair::Broken => error = f64::INFINITY,
        }
    }
    (energy, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_in_one_alone_is_infinitely_far() {
        const MASKED: f32 = f32::NEG_INFINITY;
        assert_eq!(apart(&[MASKED, 3.0, 4.0], &[MASKED, 3.0, 4.5]), (25.0, 0.25));
        assert_eq!(apart(&[-1e9, 3.0, 4.0], &[-1e9, 3.0, 4.5]), (25.0, 0.25));
        assert_eq!(apart(&[f32::NAN, 3.0, 4.0], &[7.0, 3.0, 4.5]), (25.0, 0.25));
        assert_eq!(apart(&[3.0, 4.0], &[f32::NAN, 4.0]), (16.0, f64::INFINITY));
        assert_eq!(apart(&[MASKED, 4.0], &[-9.0, 4.0]), (16.0, f64::INFINITY));
    }
}
