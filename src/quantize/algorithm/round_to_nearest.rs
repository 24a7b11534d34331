//! Every weight to the nearest level: w_q = clamp(round(w / s) + z).

use super::{Algorithm, ByData};
use crate::quantize::QParams;
use crate::quantize::grouped::whole;

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "round-to-nearest",
    summary: "every weight to the nearest level",
    round,
    fit: |weights, _, dtype, zero_points| whole(weights, dtype, zero_points),
    by_data: ByData::Never,
};

fn round(weights: &[f32], params: &QParams, _: usize) -> Vec<i32> {
    weights.iter().map(|w| params.quantize(*w)).collect()
}

#[cfg(test)]
mod tests {
    use crate::quantize::QType;

    use super::*;

    #[test]
    fn rounds_and_clamps() {
        let p = QParams { dtype: QType::S8, scale: 0.5, zero_point: 0 };
        assert_eq!(round(&[0.0, 0.24, 0.26, -100.0, 63.5], &p, 5), [0, 0, 1, -128, 127]);
    }
}
