//! Rearrangements and products: DepthToSpace, SpaceToDepth, Slice + Squeeze, MatMul + Add.

use proptest::prelude::*;
use proptest::sample::select;

use super::{READERS, Source, numbers};
use crate::rewrites::{leaves_alone, rewrites};

/// Sizes of the block, the channels, the height and the width on the narrow side.
type Sizes = (usize, usize, usize, usize);

/// Reshape → Transpose → Reshape in one of the three forms, with the axes `swap` exchanged in the permutation.
fn blocks(form: usize, (b, c, h, w): Sizes, open: usize, swap: Option<(usize, usize)>) -> (String, String, String) {
    let (deep, wide) = ((c * b * b, h, w), (c, h * b, w * b));
    let (split, mut perm) = match form {
        0 => ([b, b, c, h, w], [0, 3, 4, 1, 5, 2]),
        1 => ([c, b, b, h, w], [0, 1, 4, 2, 5, 3]),
        _ => ([c, h, b, w, b], [0, 3, 5, 1, 2, 4]),
    };
    let (x, y) = if form < 2 { (deep, wide) } else { (wide, deep) };
    if let Some((i, j)) = swap {
        perm.swap(i, j);
    }
    let join = [y.0, y.1, y.2];
    // One size of a Reshape may be left to the others, or be the batch.
    let list = |sizes: &[usize]| {
        let first = if open == 0 { -1 } else { 0 };
        let rest = sizes.iter().enumerate().map(|(i, n)| if i + 1 == open { -1 } else { *n as i64 });
        [first].into_iter().chain(rest).map(|n| n.to_string()).collect::<Vec<_>>().join(",")
    };
    let perm: Vec<_> = perm.iter().map(usize::to_string).collect();
    let text =
        format!("s = Reshape (x, split)\nt = Transpose <perm = [{}]> (s)\ny = Reshape (t, join)", perm.join(","));
    let constants = format!("int64[6] split = {{{}}}, int64[4] join = {{{}}}", list(&split), list(&join));
    (format!("N,{},{},{}", x.0, x.1, x.2), constants, text)
}

fn sizes() -> impl Strategy<Value = Sizes> {
    (2..4usize, 1..4usize, 1..4usize, 1..4usize)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn blocks_are_moved_in_one(form in 0..3usize, sizes in sizes(), open in 0..4usize, opset in select(vec![8i64, 13, 17])) {
        let (x, constants, body) = blocks(form, sizes, open, None);
        rewrites("fuse-depth-to-space", &Source { opset, x: &x, y: "", constants, body, again: None }.text())?;
    }

    #[test]
    fn blocks_in_another_order_stay(form in 0..3usize, sizes in sizes(), i in 1..5usize, more in 1..5usize) {
        let j = (i + more).min(5);
        let (x, constants, body) = blocks(form, sizes, 0, Some((i, j)));
        prop_assume!(i != j);
        let source = Source { opset: 13, x: &x, y: "", constants, body, again: None };
        leaves_alone("fuse-depth-to-space", &source.text())?;
    }

    #[test]
    fn blocks_that_are_not_square_or_end_otherwise_stay(which: bool, reader in select(READERS)) {
        let (split, again) = if which { ("0,3,2,4,2,3", None) } else { ("0,3,2,2,2,3", Some(("t", reader))) };
        let channels = if which { 24 } else { 12 };
        let constants = format!("int64[6] split = {{{split}}}, int64[4] join = {{0,3,4,-1}}");
        let body = "s = Reshape (x, split)\nt = Transpose <perm = [0,1,4,2,5,3]> (s)\ny = Reshape (t, join)".into();
        let x = format!("N,{channels},2,3");
        leaves_alone("fuse-depth-to-space", &Source { opset: 13, x: &x, y: "", constants, body, again }.text())?;
    }

    #[test]
    fn blocks_joined_into_another_shape_stay(join in select(vec!["0,3,6,4", "0,3,2,12", "0,4,3,6", "0,6,2,6"])) {
        let constants = format!("int64[6] split = {{0,3,2,2,2,3}}, int64[4] join = {{{join}}}");
        let body = "s = Reshape (x, split)\nt = Transpose <perm = [0,1,4,2,5,3]> (s)\ny = Reshape (t, join)".into();
        let source = Source { opset: 13, x: "N,12,2,3", y: "", constants, body, again: None };
        leaves_alone("fuse-depth-to-space", &source.text())?;
    }

    #[test]
    fn a_slice_of_one_is_gathered(axis in 0..3i64, start in 0..3i64, last: bool, negative: bool, opset in select(vec![10i64, 11, 13])) {
        let axis = if negative && opset > 10 { axis - 3 } else { axis };
        let (start, end) = if last && opset > 10 { (-1, i64::MAX) } else { (start, start + 1) };
        let constants = format!("int64[1] start = {{{start}}}, int64[1] end = {{{end}}}, int64[1] axis = {{{axis}}}");
        let squeeze = if opset < 13 { format!("<axes = [{axis}]> (s)") } else { "(s, axis)".into() };
        let body = format!("s = Slice (x, start, end, axis)\ny = Squeeze {squeeze}");
        rewrites("fuse-slice-squeeze", &Source { opset, x: "3,4,3", y: "", constants, body, again: None }.text())?;
    }

    #[test]
    fn other_slices_stay(which in 0..4usize, axis in 0..3i64, reader in select(READERS)) {
        let (start, end, gone, again) = match which {
            0 => (0, 2, axis, None),
            1 => (-1, 0, axis, None),
            2 => (1, 2, (axis + 1) % 3, None),
            _ => (1, 2, axis, Some(("s", reader))),
        };
        let constants = format!(
            "int64[1] start = {{{start}}}, int64[1] end = {{{end}}}, int64[1] axis = {{{axis}}}, int64[1] gone = {{{gone}}}"
        );
        let body = "s = Slice (x, start, end, axis)\ny = Squeeze (s, gone)".into();
        leaves_alone("fuse-slice-squeeze", &Source { opset: 13, x: "A,B,C", y: "", constants, body, again }.text())?;
    }

    #[test]
    fn a_product_takes_its_bias(rows in select(vec!["N", "2", "1"]), bias in select(vec!["", "1", "3", "1,3", "1,1"]), swapped: bool, opset in select(vec![7i64, 9, 13])) {
        let count = bias.split(',').filter_map(|n| n.parse::<usize>().ok()).product();
        let dims = if bias.is_empty() { String::new() } else { format!("[{bias}]") };
        let constants = format!("float[4,3] w = {{{}}}, float{dims} b = {{{}}}", numbers(12), numbers(count));
        let body = format!("p = MatMul (x, w)\ny = Add ({})", if swapped { "b, p" } else { "p, b" });
        let x = format!("{rows},4");
        rewrites("fuse-matmul-add", &Source { opset, x: &x, y: "", constants, body, again: None }.text())?;
    }

    #[test]
    fn a_bias_that_raises_the_product_or_a_second_reader_stays(which in 0..5usize, reader in select(READERS)) {
        let (x, bias, again) = match which {
            0 => ("1,4", "2,3", None),
            1 => ("N,4", "1,1,3", None),
            2 => ("N,2,4", "3", None),
            3 => ("2,4", "2,1", None),
            _ => ("N,4", "3", Some(("p", reader))),
        };
        let count = bias.split(',').filter_map(|n| n.parse::<usize>().ok()).product();
        let constants = format!("float[4,3] w = {{{}}}, float[{bias}] b = {{{}}}", numbers(12), numbers(count));
        let body = "p = MatMul (x, w)\ny = Add (p, b)".into();
        leaves_alone("fuse-matmul-add", &Source { opset: 13, x, y: "", constants, body, again }.text())?;
    }
}
