//! Softmax, global pooling, reductions of reductions.

use proptest::prelude::*;
use proptest::sample::select;

use super::{READERS, Source, reduce};
use crate::rewrites::{leaves_alone, rewrites};

/// A softmax over `axis`, whose sum is over `other`.
fn softmax(opset: i64, dims: &'static str, axis: i64, other: i64, form: usize) -> Source<'static> {
    let max = reduce(opset, "ReduceMax", "m", "x", &[axis], true);
    let sum = reduce(opset, "ReduceSum", "s", "e", &[other], true);
    let end = match form {
        0 => "y = Div (e, s)",
        1 => "r = Reciprocal (s)\ny = Mul (e, r)",
        _ => "r = Reciprocal (s)\ny = Mul (r, e)",
    };
    let body = format!("{max}\nd = Sub (x, m)\ne = Exp (d)\n{sum}\n{end}");
    Source { opset, x: dims, y: dims, constants: String::new(), body, again: None }
}

/// Types of x with the rank.
const RANKED: &[(&str, i64)] = &[("N,5", 2), ("2,N,3", 3), ("N,2,W,3", 4)];
/// The same with what is left when the spatial axes are reduced.
const POOLED: &[(&str, &str, i64)] = &[("N,2,5", "N,2,1", 3), ("N,3,H,W", "N,3,1,1", 4), ("2,3,2,3,4", "2,3,1,1,1", 5)];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn softmax_is_said_in_one(
        opset in select(vec![9i64, 12, 13, 17, 18]), (dims, rank) in select(RANKED), negative: bool, form in 0..3usize,
    ) {
        let axis = if negative && opset > 10 { -1 } else { rank - 1 };
        rewrites("fuse-softmax", &softmax(opset, dims, axis, axis, form).text())?;
    }

    #[test]
    fn softmax_over_other_axes_stays(opset in select(vec![12i64, 13, 18]), (dims, rank) in select(RANKED), which: bool, form in 0..3usize) {
        let (axis, other) = if which { (rank - 2, rank - 2) } else { (rank - 1, rank - 2) };
        leaves_alone("fuse-softmax", &softmax(opset, dims, axis, other, form).text())?;
    }

    #[test]
    fn softmax_that_is_read_inside_stays(
        value in select(vec!["m", "d", "e", "s"]), reader in select(READERS), form in 0..3usize,
    ) {
        leaves_alone("fuse-softmax", &Source { again: Some((value, reader)), ..softmax(13, "N,5", -1, 1, form) }.text())?;
    }

    #[test]
    fn the_logarithm_of_softmax_is_said_in_one(opset in select(vec![9i64, 12, 13, 17]), (dims, rank) in select(RANKED), axis in 0..4i64, given: bool) {
        let attribute = if given { format!("<axis = {}>", axis % rank) } else { String::new() };
        let body = format!("s = Softmax {attribute} (x)\ny = Log (s)");
        rewrites("fuse-softmax", &Source { opset, x: dims, y: dims, constants: String::new(), body, again: None }.text())?;
    }

    #[test]
    fn global_pooling_is_said_in_one(
        opset in select(vec![12i64, 13, 18]), (x, y, rank) in select(POOLED), negative: bool, reversed: bool, max: bool,
    ) {
        let mut axes: Vec<i64> = (2..rank).map(|a| if negative { a - rank } else { a }).collect();
        if reversed {
            axes.reverse();
        }
        let body = reduce(opset, if max { "ReduceMax" } else { "ReduceMean" }, "y", "x", &axes, true);
        rewrites("fuse-global-pool", &Source { opset, x, y, constants: String::new(), body, again: None }.text())?;
    }

    #[test]
    fn reductions_over_other_axes_stay(opset in select(vec![13i64, 18]), which in 0..5usize, max: bool) {
        let (x, axes, keepdims): (_, &[i64], _) = match which {
            0 => ("N,3,H,W", &[2], true),
            1 => ("N,3,H,W", &[1, 2, 3], true),
            2 => ("N,3,H,W", &[2, 3], false),
            3 => ("N,W", &[1], true),
            _ => ("", &[2, 3], true),
        };
        let body = reduce(opset, if max { "ReduceMax" } else { "ReduceMean" }, "y", "x", axes, keepdims);
        leaves_alone("fuse-global-pool", &Source { opset, x, y: "", constants: String::new(), body, again: None }.text())?;
    }

    #[test]
    fn reductions_of_one_kind_are_joined(
        opset in select(vec![12i64, 13, 18]),
        kind in select(vec!["ReduceMax", "ReduceMin", "ReduceSum", "ReduceMean", "ReduceProd"]),
        first in 0..4i64, second in 0..4i64, keeps: bool, negative: bool,
    ) {
        // What the second sees has lost an axis where the first drops it.
        let second = if keeps { second } else { second % 3 };
        let at = |axis: i64, rank: i64| if negative { axis - rank } else { axis };
        let a = reduce(opset, kind, "h", "x", &[at(first, 4)], keeps);
        let b = reduce(opset, kind, "y", "h", &[at(second, if keeps { 4 } else { 3 })], keeps);
        let body = format!("{a}\n{b}");
        rewrites("merge-reductions", &Source { opset, x: "N,2,W,3", y: "", constants: String::new(), body, again: None }.text())?;
    }

    #[test]
    fn reductions_of_two_kinds_or_readers_stay(which in 0..3usize, reader in select(READERS)) {
        let (kind, keeps) = [("ReduceMin", true), ("ReduceMax", false), ("ReduceMax", true)][which];
        let body = format!(
            "{}\n{}",
            reduce(13, "ReduceMax", "h", "x", &[1], true),
            reduce(13, kind, "y", "h", &[2], keeps)
        );
        let again = (which == 2).then_some(("h", reader));
        leaves_alone("merge-reductions", &Source { opset: 13, x: "N,2,W,3", y: "", constants: String::new(), body, again }.text())?;
    }
}
