//! How far what two runs gave lies apart.

/// Numbers beyond this, the end of float16, mask what is not to be chosen: as they stand, they would drown all others.
const MASK: f32 = 65_504.0;

/// Whether `x` masks, and still does.
#[must_use]
pub fn is_mask(x: f32, y: f32) -> bool {
    x == y && x.abs() >= MASK
}

/// Σ x² and Σ (x − y)² over the pairs of which both are finite, but for masks. The second is infinite where a finite number became none, or an
/// infinity did not stay. What was no number, as attention leaves it behind the end of a sequence, is nothing to keep.
#[must_use]
pub fn apart(x: &[f32], y: &[f32]) -> (f64, f64) {
    let (mut energy, mut error) = (0f64, 0f64);
    for (x, y) in x.iter().zip(y).filter(|(x, y)| !is_mask(**x, **y)) {
        if x.is_finite() && y.is_finite() {
            let (x, e) = (f64::from(*x), f64::from(*x) - f64::from(*y));
            energy += x * x;
            error += e * e;
        } else if !x.is_nan() && x != y {
            error = f64::INFINITY;
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
