//! Slices, joins and expands of each other.

use proptest::prelude::*;
use proptest::sample::select;

use super::{apply, count, leaves_alone, rewrites, rewritten, runs};

/// Whether slices of so many rows, one after the other, leave none, and count from the end.
fn ends_first(bounds: &[(i64, i64, i64)], rows: i64) -> bool {
    let at = |place: i64, rows: i64| if place < 0 { (place + rows).max(0) } else { place.min(rows) };
    let on_rows = || bounds.iter().filter(|(_, _, axis)| *axis == 0);
    let left = on_rows().fold(rows, |rows, (start, end, _)| (at(*end, rows) - at(*start, rows)).max(0));
    left == 0 && on_rows().any(|(_, end, _)| *end < 0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn slices_of_slices_are_one(
        bounds in prop::collection::vec((select(vec![-3i64, -1, 0, 1, 2, 5]), select(vec![-9i64, -2, -1, 0, 1, 3, 6, i64::MAX]), 0i64..2), 2..4),
        named: bool, step in 1i64..3,
    ) {
        let mut nodes = String::new();
        let mut constants = format!("int64[1] step = {{{step}}}");
        for (i, (start, end, axis)) in bounds.iter().enumerate() {
            constants += &format!(", int64[1] s{i} = {{{start}}}, int64[1] e{i} = {{{end}}}, int64[1] a{i} = {{{axis}}}");
            let x = if i == 0 { "x".into() } else { format!("v{}", i - 1) };
            nodes += &format!("v{i} = Slice ({x}, s{i}, e{i}, a{i}{})\n", if i == 1 { ", step" } else { "" });
        }
        let shape = if named { "N,6" } else { "5,6" };
        let source = format!(
            "<ir_version: 8, opset_import: [\"\" : 13]>
             g (float[{shape}] x) => (float[A,B] y) <{constants}> {{ {nodes} y = Neg (v{}) }}", bounds.len() - 1);
        prop_assume!(runs(&source));
        // tract takes no rows that end before they start, which is what may be left of a few: 2 to -2 of 3.
        if named && [1, 3].iter().any(|rows| ends_first(&bounds, *rows)) {
            return Ok(());
        }
        // Some cannot be joined where a size is open; what is joined takes the same.
        apply("merge-slices", &source)?;
        if !named && step == 1 {
            prop_assert_eq!(count(&rewritten("merge-slices", &source)?, "Slice"), 1);
        }
    }

    #[test]
    fn what_takes_from_a_concat_reads_the_operand(start in -6i64..6, length in 1i64..4, open: bool, also: bool) {
        let end = if open { i64::MAX } else { start + length };
        let total = if also { "3" } else { "M" };
        let source = format!(
            "<ir_version: 8, opset_import: [\"\" : 13]>
             g (float[N,2] a, float[N,1] b, float[N,{total}] c) => (float[A,B] y, float[N] z)
             <int64[2] start = {{{start},0}}, int64[2] end = {{{end},2}}, int64[2] axes = {{1,0}}, int64 index = {{{}}}> {{
               j = Concat <axis = -1> (a, b, c)
               y = Slice (j, start, end, axes)
               z = Gather <axis = 1> (j, index)
             }}", start.clamp(-3, 2));
        prop_assume!(runs(&source));
        apply("split-concats", &source)?;
        let inside = [(0, 2), (2, 3)].iter().any(|(from, to)| start >= *from && end <= *to);
        if inside {
            rewrites("split-concats", &source)?;
        }
    }

    #[test]
    fn neighbouring_slices_come_in_one_piece(cuts in prop::collection::vec(0i64..7, 2..5), named: bool, axis in 0usize..2, gap in 0i64..2) {
        let mut cuts = cuts;
        cuts.sort_unstable();
        let (mut nodes, mut constants, mut parts) = (String::new(), format!("int64[1] axis = {{{axis}}}"), Vec::new());
        for (i, pair) in cuts.windows(2).enumerate() {
            let gap = if i > 0 { gap } else { 0 };
            constants += &format!(", int64[1] s{i} = {{{}}}, int64[1] e{i} = {{{}}}", pair[0] + gap, pair[1]);
            nodes += &format!("p{i} = Slice (x, s{i}, e{i}, axis)\n");
            parts.push(format!("p{i}"));
        }
        let shape = if named { "N,6" } else { "7,6" };
        let source = format!(
            "<ir_version: 8, opset_import: [\"\" : 13]>
             g (float[{shape}] x) => (float[A,B] y) <{constants}> {{ {nodes} j = Concat <axis = {axis}> ({}) y = Neg (j) }}", parts.join(","));
        apply("join-slices", &source)?;
        if gap == 0 && cuts.len() > 2 {
            prop_assert!(count(&rewritten("join-slices", &source)?, "Slice") <= 1);
        }
    }

    #[test]
    fn a_split_joined_again_is_what_was_split(axis in -2i64..2, backwards: bool, other in 0usize..2) {
        let parts = if backwards { "b, a" } else { "a, b" };
        let joined = if other == 1 { -1 - axis } else { axis };
        let source = format!(
            "<ir_version: 8, opset_import: [\"\" : 13]>
             g (float[4,6] x) => (float[A,B] y) {{
               r = Relu (x)
               a, b = Split <axis = {axis}> (r)
               y = Concat <axis = {joined}> ({parts})
             }}");
        match backwards || joined.rem_euclid(2) != axis.rem_euclid(2) {
            true => leaves_alone("join-slices", &source)?,
            false => rewrites("join-slices", &source)?,
        }
        let twice = format!(
            "<ir_version: 8, opset_import: [\"\" : 13]>
             g (float[{0}] p, float[{0}] q) => (float[{0}] y, float[{0}] z) <int64[2] sizes = {{2,2}}> {{
               a = Relu (p)
               b = Exp (q)
               r = Concat <axis = {axis}> ({parts})
               y, z = Split <axis = {axis}> (r, sizes)
             }}", "2,2");
        rewrites("split-concats", &twice)?;
    }

    #[test]
    fn an_expand_goes_where_the_other_operand_is_as_large(
        own in select(vec!["", "3", "1", "N,1", "1,1", "N,3"]), other in select(vec!["N,3", "3", "N,1", "1", "2,N,3"]), op in select(vec!["Add", "Div", "Pow", "Less", "Where"]), constant: bool,
    ) {
        let shape = if constant { "three".to_string() } else { "s".to_string() };
        let target = if constant { "1,3" } else { "N,3" };
        let call = match op { "Where" => "Where (f, e, y)".to_string(), _ => format!("{op} (y, e)") };
        let ty = if op == "Less" { "bool" } else { "float" };
        let declared = if own.is_empty() { "float x".to_string() } else { format!("float[{own}] x") };
        let rank = if other == "2,N,3" { "A,B,C" } else { "A,B" };
        let source = format!(
            "<ir_version: 8, opset_import: [\"\" : 13]>
             g ({declared}, float[{other}] y, float[{target}] like) => ({ty}[{rank}] z) <int64[2] three = {{1,3}}, float zero = {{0}}> {{
               s = Shape (like)
               e = Expand (x, {shape})
               f = Greater (y, zero)
               z = {call}
             }}");
        let done = apply("drop-expands", &source)?;
        let covers = own == "N,3" || other.ends_with("N,3") || (constant && own == "3" && other == "N,1");
        if covers {
            prop_assert!(!done.passes.is_empty(), "{}", source);
        }
    }
}
