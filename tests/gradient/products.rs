//! Products of matrices.

use proptest::prelude::*;

use super::{Fill, check, list, one};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn gemm(m in 1usize..4, k in 1usize..5, n in 1usize..4, ta: bool, tb: bool, alpha in 1u8..4, c in 0usize..5, seed: u64) {
        let a = if ta { [k, m] } else { [m, k] };
        let b = if tb { [n, k] } else { [k, n] };
        let (ta, tb, alpha) = (u8::from(ta), u8::from(tb), f32::from(alpha) * 0.5);
        let bias = ["", "1", "1,1", "n", "m,n"][c].replace('m', &m.to_string()).replace('n', &n.to_string());
        let (input, read) = if c == 0 { (String::new(), "") } else { (format!(", float[{bias}] c"), ", c") };
        let attrs = format!("transA = {ta}, transB = {tb}, alpha = {alpha:.1}, beta = 0.5");
        let inputs = format!("float[{}] a, float[{}] b{input}", list(&a), list(&b));
        check(&one(&inputs, "float[] y", &format!("y = Gemm<{attrs}>(a, b{read})")), Fill::Smooth, seed)?;
    }

    #[test]
    fn matmul(m in 1usize..4, k in 1usize..5, n in 1usize..4, batch in 0usize..8, seed: u64) {
        let (a, b): (Vec<usize>, Vec<usize>) = match batch {
            0 => (vec![m, k], vec![k, n]),
            1 => (vec![2, m, k], vec![k, n]),
            2 => (vec![m, k], vec![2, k, n]),
            3 => (vec![2, 3, m, k], vec![3, k, n]),
            4 => (vec![2, 1, m, k], vec![2, 3, k, n]),
            5 => (vec![k], vec![k, n]),
            6 => (vec![2, m, k], vec![k]),
            _ => (vec![k], vec![2, k, n]),
        };
        let inputs = format!("float[{}] a, float[{}] b", list(&a), list(&b));
        check(&one(&inputs, "float[] y", "y = MatMul(a, b)"), Fill::Smooth, seed)?;
    }
}
