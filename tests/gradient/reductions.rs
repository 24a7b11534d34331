//! Reductions.

use proptest::prelude::*;

use super::{Fill, check, one};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn of_every_kind(op in 0usize..8, axes in 0usize..5, keep: bool, seed: u64) {
        let ops = ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp"];
        let (op, axes) = (ops[op], ["", "0", "-1", "0,2", "0,1,2"][axes]);
        let keep = u8::from(keep);
        let body = match (op, axes) {
            (_, "") => format!("y = {op}<keepdims = {keep}>(x)"),
            ("ReduceSum", _) => format!("a = Constant<value_ints = [{axes}]>() y = ReduceSum<keepdims = {keep}>(x, a)"),
            _ => format!("y = {op}<keepdims = {keep}, axes = [{axes}]>(x)"),
        };
        // A scalar is no output of a loss: it gets an axis.
        let body = format!("s = Constant<value_ints = [-1]>() {} y = Reshape(h, s)", body.replace("y =", "h ="));
        // Around zero a norm is a cone: two small values bend more than the step of the difference allows.
        let fill = if op == "ReduceL2" { Fill::Positive } else { Fill::Apart };
        check(&one("float[2,3,4] x", "float[] y", &body), fill, seed)?;
    }
}
