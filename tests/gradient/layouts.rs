//! Operators that move and select values.

use proptest::prelude::*;

use super::{Fill, check, one};

/// One node on `x`, of shape [2,3,4], and constants.
const ALL: &[&str] = &[
    "s = Constant<value_ints = [4, -1]>() y = Reshape(x, s)",
    "y = Flatten<axis = 2>(x)",
    "y = Transpose(x)",
    "y = Transpose<perm = [1, 2, 0]>(x)",
    "a = Constant<value_ints = [1]>() k = Unsqueeze(x, a) y = Squeeze(k, a)",
    "s = Constant<value_ints = [1, 0]>() e = Constant<value_ints = [3, 100]>() a = Constant<value_ints = [1, 2]>() t = Constant<value_ints = [1, 3]>() y = Slice(x, s, e, a, t)",
    "s = Constant<value_ints = [-1]>() e = Constant<value_ints = [-100]>() a = Constant<value_ints = [2]>() t = Constant<value_ints = [-2]>() y = Slice(x, s, e, a, t)",
    "s = Constant<value_ints = [0, 1]>() e = Constant<value_ints = [1, 3]>() y = Slice(x, s, e)",
    "y = Concat<axis = 1>(x, x)",
    "k = Mul(x, x) y = Concat<axis = -1>(x, k, x)",
    "p = Constant<value_ints = [1, 3]>() a, b = Split<axis = 2>(x, p) c = Mul(b, b) y = Concat<axis = 2>(c, a)",
    "a, b = Split<axis = 0>(x) y = Mul(b, b)",
    "p = Constant<value_ints = [0, 1, 2, 0, 0, 1]>() y = Pad(x, p)",
    "p = Constant<value_ints = [0, -1, 2, 1, 0, -1]>() c = Constant<value = float {3}>() y = Pad(x, p, c)",
    "s = Constant<value_ints = [3, 2, 3, 4]>() y = Expand(x, s)",
    "r = Constant<value_ints = [1, 2, 3]>() y = Tile(x, r)",
    "i = Constant<value_ints = [2, 0, 2, 2]>() y = Gather<axis = 1>(x, i)",
    "i = Constant<value_int = 1>() y = Gather<axis = 2>(x, i)",
    "i = Constant<value = int64[2,2] {0, 1, 1, 1}>() y = Gather<axis = 0>(x, i)",
    "i = Constant<value = int32[3] {2, 0, -1}>() y = Gather<axis = 1>(x, i)",
    "y = Dropout(x)",
    "y = Cast<to = 1>(x)",
    "f = Shape(x) g = Cast<to = 1>(f) k = ReduceSum<keepdims = 0>(g) y = Mul(x, k)",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn of_every_kind(kind in 0usize..ALL.len(), seed: u64) {
        // Squared, so that a place that is taken twice counts twice.
        let body = format!("{} y = Mul(h, h)", ALL[kind].replace("y =", "h ="));
        check(&one("float[2,3,4] x", "float[] y", &body), Fill::Smooth, seed)?;
    }

    #[test]
    fn of_blocks(crd: bool, back: bool, seed: u64) {
        let (dims, body) = match back {
            true => ("1,2,4,6", "y = SpaceToDepth<blocksize = 2>(x)".to_string()),
            false => ("2,8,2,3", format!("y = DepthToSpace<blocksize = 2, mode = \"{}\">(x)", if crd { "CRD" } else { "DCR" })),
        };
        check(&one(&format!("float[{dims}] x"), "float[] y", &body), Fill::Smooth, seed)?;
    }

    #[test]
    fn of_sizes(mode in 0usize..6, up in 1usize..4, seed: u64) {
        let mode = ["mode = \"nearest\", coordinate_transformation_mode = \"asymmetric\", nearest_mode = \"floor\"", "mode = \"linear\"",
            "mode = \"linear\", coordinate_transformation_mode = \"align_corners\"", "mode = \"linear\", coordinate_transformation_mode = \"asymmetric\"",
            "mode = \"linear\", coordinate_transformation_mode = \"pytorch_half_pixel\"", "mode = \"nearest\", coordinate_transformation_mode = \"half_pixel\""][mode];
        let body = format!("s = Constant<value = float[4] {{1, 1, {up}, 2}}>() y = Resize<{mode}>(x, , s)");
        check(&one("float[1,2,3,4] x", "float[1,2,f,g] y", &body), Fill::Smooth, seed)?;
    }
}

#[test]
fn a_scale_that_keeps_the_size_is_refused() {
    let body = "s = Constant<value = float[4] {1, 1, 1.2, 1}>() h = Resize<mode = \"linear\">(x, , s) y = Mul(h, h)";
    let error = check(&one("float[1,2,2,3] x", "float[] y", body), Fill::Smooth, 1).unwrap_err().to_string();
    assert!(error.contains("its scale 1.2") && error.contains("keeps the size of axis 2"), "{error}");
}
