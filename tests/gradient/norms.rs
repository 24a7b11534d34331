//! Normalizations.

use proptest::prelude::*;

use super::{Fill, check, list, one};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn layer(axis in -2i64..3, bias: bool, seed: u64) {
        let dims = [2usize, 3, 4];
        let from = if axis < 0 { axis + 3 } else { axis } as usize;
        let own = list(&dims[from..]);
        let (input, read) = if bias { (format!(", float[{own}] b"), ", b") } else { (String::new(), "") };
        let body = format!("y = LayerNormalization<axis = {axis}, epsilon = 0.01>(x, s{read})");
        check(&one(&format!("float[2,3,4] x, float[{own}] s{input}"), "float[] y", &body), Fill::Smooth, seed)?;
    }

    #[test]
    fn batch(rank in 2usize..5, seed: u64) {
        let x = list(&[2usize, 3, 4, 2][..rank]);
        let inputs = format!("float[{x}] x, float[3] s, float[3] b, float[3] m, float[3] v");
        check(&one(&inputs, "float[] y", "y = BatchNormalization<epsilon = 0.01>(x, s, b, m, v)"), Fill::Positive, seed)?;
    }

    #[test]
    fn instance(rank in 3usize..5, seed: u64) {
        let x = list(&[2usize, 3, 4, 2][..rank]);
        let inputs = format!("float[{x}] x, float[3] s, float[3] b");
        check(&one(&inputs, "float[] y", "y = InstanceNormalization<epsilon = 0.01>(x, s, b)"), Fill::Smooth, seed)?;
    }
}

/// In the parts in which exporters write it.
#[test]
fn in_parts() {
    let body = "m = ReduceMean<axes = [-1]>(x) c = Sub(x, m) p = Constant<value = float {2}>() q = Pow(c, p) v = ReduceMean<axes = [-1]>(q) \
                e = Constant<value = float {0.01}>() w = Add(v, e) d = Sqrt(w) n = Div(c, d) k = Mul(n, s) y = Add(k, b)";
    check(&one("float[2,3,5] x, float[5] s, float[5] b", "float[] y", body), Fill::Smooth, 5).unwrap();
}
