//! Chains and duplicates that leave nothing to compute.

use onnxpress::ir::text;
use onnxpress::passes::{SimplifyOptions, simplify};
use proptest::prelude::*;
use proptest::sample::select;

use super::{apply, leaves_alone, rewrites, runs};
use crate::numerics::compare;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn casts_that_lose_nothing_are_one(between in select(vec![6, 7, 11, 9]), to in select(vec![1, 6, 7, 11]), shape in select(vec!["N", "2,3", "0,2"])) {
        // int32, int64, float64, bool by their codes; a small integer is what all but bool can hold.
        let source = format!(
            "<ir_version: 8, opset_import: [\"\" : 13]>
             g (int64[{shape}] x) => (float[{shape}] y) {{
               a = Cast <to = 6> (x)
               b = Cast <to = {between}> (a)
               c = Cast <to = {to}> (b)
               y = Cast <to = 1> (c)
             }}");
        match between {
            6 | 7 | 11 => rewrites("merge-casts", &source)?,
            _ => { apply("merge-casts", &source)?; }
        }
    }

    #[test]
    fn casts_that_lose_something_stay(first in select(vec![6, 9, 3])) {
        leaves_alone("merge-casts", &format!(
            "<ir_version: 8, opset_import: [\"\" : 13]>
             g (float[N,3] x) => (float[N,3] y) {{ a = Cast <to = {first}> (x) y = Cast <to = 1> (a) }}"))?;
    }

    #[test]
    fn transposes_of_transposes_are_one(
        a in Just(vec![0, 1, 2, 3]).prop_shuffle(), b in Just(vec![0, 1, 2, 3]).prop_shuffle(), output: bool, shape in select(vec!["N,2,M,3", "2,3,4,5", "0,3,1,2"]),
    ) {
        let list = |p: &[i32]| p.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
        let outputs = if output { ", float[A,B,C,D] t" } else { "" };
        rewrites("merge-transposes", &format!(
            "<ir_version: 8, opset_import: [\"\" : 13]>
             g (float[{shape}] x) => (float[E,F,G,H] y{outputs}) {{
               t = Transpose <perm = [{}]> (x)
               y = Transpose <perm = [{}]> (t)
             }}", list(&a), list(&b)))?;
    }

    #[test]
    fn reshapes_of_reshapes_are_one(
        first in select(vec!["Flatten (x)", "Flatten <axis = 0> (x)", "Unsqueeze (x, axes)", "Reshape (x, s1)"]),
        shape in select(vec!["2,-1", "-1,3", "2,3,4", "4,6,1,1", "-1"]),
    ) {
        rewrites("merge-reshapes", &format!(
            "<ir_version: 8, opset_import: [\"\" : 14]>
             g (float[2,3,4] x) => (float[{}] y) <int64[1] axes = {{-1}}, int64[2] s1 = {{6,-1}}, int64[{}] s2 = {{{shape}}}> {{
               a = {first}
               y = Reshape (a, s2)
             }}", ["A", "B", "C", "D"][..shape.split(',').count()].join(","), shape.split(',').count()))?;
    }

    #[test]
    fn reshapes_that_copy_read_the_same_sizes(
        first in select(vec!["0,0,2,3", "0,-1,3", "-1,0", "0,0,-1", "0,1,-1,6"]), second in select(vec!["0,0,-1", "0,-1", "-1,6", "0,0,3,2", "0,-1,2", "-1,0,2"]),
        shape in select(vec!["N,L,6", "2,4,6", "N,4,6"]), zero: bool,
    ) {
        // Whatever is joined must compute the same; some shapes do not fit.
        let n = |s: &str| s.split(',').count();
        let zero = if zero && !second.contains('0') { " <allowzero = 1>" } else { "" };
        let source = format!(
            "<ir_version: 8, opset_import: [\"\" : 14]>
             g (float[{shape}] x) => (float[{}] y) <int64[{}] s1 = {{{first}}}, int64[{}] s2 = {{{second}}}> {{
               a = Reshape (x, s1)
               y = Reshape{zero} (a, s2)
             }}", ["A", "B", "C", "D"][..n(second)].join(","), n(first), n(second));
        if runs(&source) {
            apply("merge-reshapes", &source)?;
        }
    }

    #[test]
    fn reshapes_of_nothing_keep_their_zeros(last in select(vec!["0,5", "5,0", "0,0,7"]), allowzero: bool) {
        let count = last.split(',').count();
        let names = ["A", "B", "C"][..count].join(",");
        let zero = if allowzero { " <allowzero = 1>" } else { "" };
        let source = format!(
            "<ir_version: 8, opset_import: [\"\" : 14]>
             g (float[0,3] x) => (float[{names}] y) <int64[2] s1 = {{3,0}}, int64[{count}] s2 = {{{last}}}> {{
               a = Reshape <allowzero = 1> (x, s1)
               y = Reshape{zero} (a, s2)
             }}");
        if runs(&source) {
            apply("merge-reshapes", &source)?;
        }
    }

    #[test]
    fn unsqueezes_and_squeezes_join(first in prop::collection::btree_set(0usize..4, 1..3), second in prop::collection::btree_set(0usize..3, 1..3), squeeze in 0..3, opset in select(vec![11, 13])) {
        let list = |s: &std::collections::BTreeSet<usize>| s.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        let (mut nodes, mut constants) = (String::new(), String::new());
        let mut node = |i: usize, op: &str, axes: &std::collections::BTreeSet<usize>, x: &str, y: &str| {
            nodes += &match opset {
                13 => format!("{y} = {op} ({x}, a{i})\n"),
                _ => format!("{y} = {op} <axes = [{}]> ({x})\n", list(axes)),
            };
            constants += &format!("{}int64[{}] a{i} = {{{}}}", if constants.is_empty() { "" } else { ", " }, axes.len(), list(axes));
        };
        let (shape, rank) = match squeeze {
            // Two of Unsqueeze.
            0 => ("N,3", 2 + first.len() + second.len()),
            // Two of Squeeze: every axis is 1.
            1 => ("1,1,1,1,1", 5 - first.len() - second.len()),
            // One takes back the other.
            _ => ("N,3,2", 3),
        };
        let ops = match squeeze { 0 => ("Unsqueeze", "Unsqueeze"), 1 => ("Squeeze", "Squeeze"), _ => ("Unsqueeze", "Squeeze") };
        let fits = squeeze == 1 && second.iter().any(|a| *a >= 5 - first.len());
        prop_assume!(!fits && (squeeze != 0 || first.iter().all(|a| *a < 2 + first.len())));
        node(0, ops.0, &first, "r", "b");
        node(1, ops.1, if squeeze == 2 { &first } else { &second }, "b", "y");
        let names: Vec<String> = (0..rank).map(|i| format!("D{i}")).collect();
        rewrites("merge-unsqueezes", &format!(
            "<ir_version: 6, opset_import: [\"\" : {opset}]>
             g (float[{shape}] x) => (float[{}] y) <{constants}> {{ r = Relu (x) {nodes} }}", names.join(",")))?;
    }

    #[test]
    fn concats_of_concats_are_one(axis in -2i64..2, other in -2i64..2, place in 0usize..3, read in 0..2) {
        let inputs = ["j, c, c", "c, j, c", "c, c, j"][place];
        let outputs = if read == 1 { ", float[A,B] j" } else { "" };
        let source = format!(
            "<ir_version: 8, opset_import: [\"\" : 13]>
             g (float[2,2] a, float[2,2] b, float[{}] c) => (float[C,D] y{outputs}) {{
               j = Concat <axis = {axis}> (a, b)
               y = Concat <axis = {other}> ({inputs})
             }}", match (axis.rem_euclid(2), other.rem_euclid(2)) { (0, 1) => "4,1", (1, 0) => "1,4", (0, _) => "3,2", _ => "2,0" });
        let fits = axis.rem_euclid(2) == other.rem_euclid(2);
        match fits && read == 0 {
            true => rewrites("merge-concats", &source)?,
            false => leaves_alone("merge-concats", &source)?,
        }
    }

    #[test]
    fn gemm_transposes_its_operands(a: bool, b: bool, ta: bool, tb: bool, output: bool) {
        let operand = |transposed: bool, name: &str| if transposed { format!("t{name}") } else { name.to_string() };
        // [N, 3] × [3, 2] after everything.
        let (rows, columns) = (if a == ta { "N,3" } else { "3,N" }, if b == tb { "3,2" } else { "2,3" });
        let outputs = if output { ", float[A,B] tx" } else { "" };
        let source = format!(
            "<ir_version: 8, opset_import: [\"\" : 13]>
             g (float[{rows}] x, float[{columns}] w) => (float[N,2] y{outputs}) {{
               tx = Transpose (x)
               tw = Transpose <perm = [1,0]> (w)
               y = Gemm <transA = {}, transB = {}> ({}, {})
             }}", i32::from(ta), i32::from(tb), operand(a, "x"), operand(b, "w"));
        match a || b {
            true => rewrites("fuse-transpose-gemm", &source)?,
            false => leaves_alone("fuse-transpose-gemm", &source)?,
        }
    }

    #[test]
    fn a_transpose_of_unit_axes_is_a_reshape(perm in Just(vec![0, 1, 2, 3]).prop_shuffle(), shape in select(vec!["N,1,1,3", "1,N,1,1", "2,1,3,1", "1,1,1,1", "2,3,1,1"])) {
        let sizes: Vec<&str> = shape.split(',').collect();
        let wide: Vec<i32> = perm.iter().copied().filter(|p| sizes[*p as usize] != "1").collect();
        let source = format!(
            "<ir_version: 8, opset_import: [\"\" : 13]>
             g (float[{shape}] x) => (float[A] y) <int64[1] s = {{-1}}> {{
               t = Transpose <perm = [{}]> (x)
               y = Reshape (t, s)
             }}", perm.iter().map(i32::to_string).collect::<Vec<_>>().join(","));
        match wide.is_sorted() {
            true => rewrites("reshape-unit-axes", &source)?,
            false => leaves_alone("reshape-unit-axes", &source)?,
        }
    }

    #[test]
    fn a_computed_shape_becomes_constant(
        shape in select(vec!["N,6", "2,6", "N,2,3", "0,6"]), tail in select(vec!["-1", "3,2", "6", "2,-1"]), kept in 0usize..2,
    ) {
        // The first size as it is, the rest as said.
        let source = format!(
            "<ir_version: 8, opset_import: [\"\" : 14]>
             g (float[{shape}] x) => (float[{}] y) <int64[1] zero = {{0}}, int64[1] one = {{1}}, int64[{}] tail = {{{tail}}}, int64[1] ax = {{0}}> {{
               s = Shape (x)
               n = Slice (s, zero, one, ax)
               t = Concat <axis = 0> (n, tail)
               y = Reshape{} (x, t)
             }}",
            ["A", "B", "C"][..=tail.split(',').count()].join(","), tail.split(',').count(), if kept == 1 { " <allowzero = 1>" } else { "" });
        if runs(&source) {
            apply("constant-reshape", &source)?;
        }
    }

    #[test]
    fn operators_without_effect_go(which in 0usize..12, shape in select(vec!["N,3", "2,3", "1,3"]), output: bool) {
        let node = [
            "Identity (r)", "Cast <to = 1> (r)", "Transpose <perm = [0,1]> (r)", "Concat <axis = 0> (r)", "Mul (one, r)", "Div (r, one)",
            "Sub (r, zero)", "Pow (r, one)", "Slice (r, none, far, axes)", "Pad (r, pads)", "Where (yes, r, zero)", "Sum (r)",
        ][which];
        let last = if output { "y = " } else { "a = " };
        let rest = if output { "" } else { "y = Neg (a)" };
        let source = format!(
            "<ir_version: 8, opset_import: [\"\" : 13]>
             g (float[{shape}] x) => (float[A,B] y)
             <float[1] one = {{1}}, float zero = {{0}}, int64[1] none = {{0}}, int64[1] far = {{9223372036854775807}}, int64[1] axes = {{1}}, int64[4] pads = {{0,0,0,0}}, bool[1,1] yes = {{1}}> {{
               r = Relu (x)
               {last}{node}
               {rest}
             }}");
        rewrites("eliminate-identity", &source)?;
    }

    #[test]
    fn operators_with_an_effect_stay(which in 0usize..9) {
        let node = [
            "Mul (r, near)", "Add (r, zero)", "Slice (r, none, far, axes, back)", "Pad (r, pads)", "Where (some, r, zero)", "Where (yes, r, wide)",
            "Mul (r, ones)", "Pow (one, r)", "Transpose <perm = [1,0]> (r)",
        ][which];
        leaves_alone("eliminate-identity", &format!(
            "<ir_version: 8, opset_import: [\"\" : 13]>
             g (float[1,3] x) => (float[A,B] y)
             <float near = {{1.001}}, float zero = {{0}}, float one = {{1}}, int64[1] none = {{-1}}, int64[1] far = {{-9}}, int64[1] axes = {{1}}, int64[1] back = {{-1}},
              int64[4] pads = {{0,0,0,1}}, bool yes = {{1}}, bool[3] some = {{1,0,1}}, float[2,3] wide = {{1,2,3,4,5,6}}, float[2,3] ones = {{1,1,1,1,1,1}}> {{
               r = Relu (x)
               y = {node}
             }}"))?;
    }

    #[test]
    fn what_is_computed_twice_is_computed_once(which in 0usize..5, inside: bool) {
        let (a, b) = [
            ("Relu (x)", "Relu (x)"), ("Softmax <axis = 1> (x)", "Softmax <axis = 1> (x)"), ("Relu (x)", "Sigmoid (x)"),
            ("Softmax <axis = 1> (x)", "Softmax <axis = 0> (x)"), ("Sub (x, k)", "Sub (k, x)"),
        ][which];
        let body = match inside {
            false => format!("q = {b}\n y = Add (p, q)"),
            true => format!(
                "most = ReduceMax <keepdims = 0> (x)
                 flag = Cast <to = 9> (most)
                 c = If (flag) < then_branch = t () => (float[N,3] u) {{ v = {b} u = Neg (v) }}, else_branch = e () => (float[N,3] w) {{ w = Exp (x) }} >
                 y = Add (p, c)"),
        };
        let source = format!(
            "<ir_version: 8, opset_import: [\"\" : 13]>
             g (float[N,3] x) => (float[N,3] y) <float[3] k = {{1,2,3}}> {{ p = {a}\n {body} }}");
        match which < 2 {
            true => rewrites("common-subexpressions", &source)?,
            false => leaves_alone("common-subexpressions", &source)?,
        }
    }

    #[test]
    fn short_loops_are_written_out(turns in 0i64..5, vector: bool, collects: bool, capture: bool, once: bool, outer: bool) {
        let collects = collects && (turns > 0);
        let times = if once { turns.min(1) } else { turns };
        let (scalar, one) = if vector { ("[1]", "[1]") } else { ("", "") };
        let term = if capture { "x" } else { "half" };
        // The body, and the same written out.
        let body = format!(
            "f = Cast <to = 1> (i)
             h = Mul (v, half)
             g1 = Add (h, f)
             w = Add (g1, {term})
             s = Neg (v)");
        let (mut nodes, mut last, mut parts) = (String::new(), "x".to_string(), Vec::new());
        for i in 0..times {
            nodes += &format!(
                "h{i} = Mul ({last}, half)\n g{i} = Add (h{i}, n{i})\n w{i} = Add (g{i}, {term})\n s{i} = Neg ({last})\n u{i} = Unsqueeze (s{i}, axis)\n");
            last = format!("w{i}");
            parts.push(format!("u{i}"));
        }
        let numbers: String = (0..times).map(|i| format!(", float n{i} = {{{i}}}")).collect();
        let ends = if collects { ", float[K,N] all" } else { "" };
        let all = if collects { format!("all = Concat <axis = 0> ({})", parts.join(",")) } else { String::new() };
        let plain = format!(
            "<ir_version: 8, opset_import: [\"\" : 13]>
             g (float[N] x) => (float[N] y{ends}) <float half = {{0.5}}, int64[1] axis = {{0}}{numbers}> {{ {nodes} {all} y = Identity ({last}) }}");
        let condition = if once { "no" } else { "c" };
        let scan = if collects { ", float[N] s" } else { "" };
        let source = format!(
            "<ir_version: 8, opset_import: [\"\" : 13]>
             g (float[N] x) => (float[N] y{ends}) <int64{scalar} m = {{{turns}}}, bool{one} yes = {{1}}, bool no = {{0}}{}> {{
               y{} = Loop (m, {}, x) <body = b (int64{scalar} i, bool{one} c, float[N] v) => (bool {condition}, float[N] w{scan}) {}{{ {body} }}>
             }}",
            if outer { ", float half = {0.5}" } else { "" },
            if collects { ", all" } else { "" },
            if once { "" } else { "yes" },
            if outer { "" } else { "<float half = {0.5}> " });
        let mut after = text::parse(&source).map_err(|e| TestCaseError::fail(format!("{e}\n{source}")))?;
        let report = simplify(&mut after, &SimplifyOptions { only: vec!["inline-loops".into()], ..SimplifyOptions::default() }).unwrap();
        prop_assert_eq!(&report.passes, &[("inline-loops".to_string(), 1)], "{:?}\n{}", report.refusals, source);
        compare(&text::parse(&plain).unwrap(), &after, 1e-6).map_err(|e| TestCaseError::fail(format!("{e}\n{source}")))?;
    }

    #[test]
    fn other_loops_stay(which in 0usize..3) {
        let (count, outputs, make) = [
            ("many", "c", ""), ("n", "c", ""), ("two", "less", "less = Less (i, two)"),
        ][which];
        let mut model = text::parse(&format!(
            "<ir_version: 8, opset_import: [\"\" : 13]>
             g (float[N] x, int64 n) => (float[N] y) <int64 many = {{17}}, int64 two = {{2}}, bool yes = {{1}}> {{
               y = Loop ({count}, yes, x) <body = b (int64 i, bool c, float[N] v) => (bool {outputs}, float[N] w) {{ {make} w = Relu (v) }}>
             }}")).unwrap();
        let report = simplify(&mut model, &SimplifyOptions { only: vec!["inline-loops".into()], ..SimplifyOptions::default() }).unwrap();
        prop_assert_eq!(report.passes.len(), 0);
        prop_assert_eq!(report.refusals.len(), 1);
    }
}
