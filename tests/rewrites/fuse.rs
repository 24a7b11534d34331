//! Decomposed operators.

use proptest::prelude::*;

use super::{leaves_alone, rewrites};

/// x·HardSigmoid(x; α, β) with the factors in either order.
fn hard_swish(dims: &str, alpha: f32, beta: f32, swapped: bool, outputs: &str) -> String {
    let factors = if swapped { "s, x" } else { "x, s" };
    format!(
        "<ir_version: 8, opset_import: [\"\" : 13]>
         g (float[{dims}] x) => (float[{dims}] y{outputs}) {{
           s = HardSigmoid <alpha = {alpha}, beta = {beta}> (x)
           y = Mul ({factors})
         }}"
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn hard_swish_is_said_in_one(dims in prop::sample::select(vec!["N", "N,3", "2,3,4", "N,3,W,5"]), swapped: bool) {
        rewrites("fuse-hard-swish", &hard_swish(dims, 1.0 / 6.0, 0.5, swapped, ""))?;
    }

    #[test]
    fn hard_swish_of_other_numbers_or_readers_stays(off in 1e-3f32..0.2, which in 0..3, swapped: bool) {
        let (alpha, beta, outputs) = match which {
            0 => (1.0 / 6.0 + off, 0.5, ""),
            1 => (1.0 / 6.0, 0.5 - off, ""),
            _ => (1.0 / 6.0, 0.5, ", float[N,3] s"),
        };
        leaves_alone("fuse-hard-swish", &hard_swish("N,3", alpha, beta, swapped, outputs))?;
    }
}
