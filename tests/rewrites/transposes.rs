//! Transposes moved through what is between them, and into weights.

use onnxpress::passes::{SimplifyOptions, simplify};
use proptest::prelude::*;
use proptest::sample::select;

use super::{ROUNDING, count, leaves_alone, rewritten};
use crate::common::fixture;
use crate::numerics::compare;

/// A size: a number, or the name of one.
fn dims(sizes: &[usize]) -> String {
    let size = |n: &usize| if *n == 0 { "N".to_string() } else { n.to_string() };
    sizes.iter().map(size).collect::<Vec<_>>().join(",")
}

fn list<T: std::fmt::Display>(values: impl IntoIterator<Item = T>) -> String {
    values.into_iter().map(|v| v.to_string()).collect::<Vec<_>>().join(",")
}

fn floats(count: usize) -> String {
    list((0..count).map(|i| format!("{:.2}", (i * 7 % 11) as f32 / 4.0 - 1.1)))
}

/// Nodes and initializers after one value whose sizes are known as it grows; 0 is a size with a name.
struct Chain {
    nodes: String,
    constants: String,
    last: String,
    sizes: Vec<usize>,
    count: usize,
}

impl Chain {
    fn name(&mut self) -> String {
        self.count += 1;
        format!("v{}", self.count)
    }

    fn constant(&mut self, ty: &str, shape: &str, values: &str) -> String {
        let name = format!("c{}", self.constants.len());
        let separator = if self.constants.is_empty() { "" } else { ", " };
        self.constants += &format!("{separator}{ty}{shape} {name} = {{{values}}}");
        name
    }

    fn ints(&mut self, values: &[i64]) -> String {
        self.constant("int64", &format!("[{}]", values.len()), &list(values))
    }

    fn node(&mut self, call: &str) -> String {
        let name = self.name();
        self.nodes += &format!("  {name} = {call}\n");
        name
    }

    /// A constant that broadcasts to the last axes; `kept` tells which have their size.
    fn operand(&mut self, rank: usize, kept: usize) -> String {
        let tail = &self.sizes[self.sizes.len() - rank..];
        let shape: Vec<usize> =
            tail.iter().enumerate().map(|(i, n)| if *n > 0 && kept >> i & 1 == 1 { *n } else { 1 }).collect();
        let values = floats(shape.iter().product());
        self.constant("float", &format!("[{}]", list(shape)), &values)
    }

    /// One operator that keeps the rank.
    fn step(&mut self, which: usize, axis: usize, bits: usize) {
        let (v, rank) = (self.last.clone(), self.sizes.len());
        let axis = axis % rank;
        let from_end = axis as i64 - rank as i64;
        let known = self.sizes[axis] >= 2;
        self.last = match which {
            0 => self.node(&format!("Relu ({v})")),
            1 => {
                let c = self.operand(1 + bits % rank, bits / 2);
                let operands = if bits & 1 == 1 { format!("{c}, {v}") } else { format!("{v}, {c}") };
                self.node(&format!("{} ({operands})", ["Add", "Sub", "Mul", "Max"][bits % 4]))
            }
            2 => {
                let s = self.node(&format!("Sigmoid ({v})"));
                self.node(&format!("Mul ({v}, {s})"))
            }
            3 if self.sizes[axis] > 0 => {
                let n = self.node(&format!("Neg ({v})"));
                self.sizes[axis] *= 2;
                self.node(&format!("Concat <axis = {from_end}> ({v}, {n})"))
            }
            4 if self.sizes[axis] > 0 => {
                let mut pads = vec![0i64; 2 * rank];
                (pads[axis], pads[rank + axis]) = (1, 2);
                let pads = self.ints(&pads);
                self.sizes[axis] += 3;
                self.node(&format!("Pad ({v}, {pads})"))
            }
            5 if known => {
                let (start, end, axes) = (self.ints(&[1]), self.ints(&[i64::MAX]), self.ints(&[from_end]));
                self.sizes[axis] -= 1;
                self.node(&format!("Slice ({v}, {start}, {end}, {axes})"))
            }
            6 => self.node(&format!("Softmax <axis = {axis}> ({v})")),
            7 if known => {
                let sizes = self.ints(&[1, self.sizes[axis] as i64 - 1]);
                let (a, b) = (self.name(), self.name());
                self.nodes += &format!("  {a}, {b} = Split <axis = {axis}> ({v}, {sizes})\n");
                self.node(&format!("Concat <axis = {axis}> ({b}, {a})"))
            }
            8 => {
                let mean = self.node(&format!("ReduceMean <axes = [{from_end}]> ({v})"));
                self.node(&format!("Sub ({v}, {mean})"))
            }
            9 => {
                let axes = self.ints(&[axis as i64]);
                let u = self.node(&format!("Unsqueeze ({v}, {axes})"));
                let t = self.node(&format!("Tanh ({u})"));
                self.node(&format!("Squeeze ({t}, {axes})"))
            }
            10 => {
                let c = self.operand(rank, bits);
                let holds = self.node(&format!("Greater ({v}, {c})"));
                let other = self.constant("float", "", "0.25");
                self.node(&format!("Where ({holds}, {v}, {other})"))
            }
            11 if known => {
                let picked = self.ints(&[1, 0, -1]);
                self.sizes[axis] = 3;
                self.node(&format!("Gather <axis = {axis}> ({v}, {picked})"))
            }
            12 if self.sizes[axis] > 0 => {
                let mut repeats = vec![1i64; rank];
                repeats[axis] = 2;
                let repeats = self.ints(&repeats);
                self.sizes[axis] *= 2;
                self.node(&format!("Tile ({v}, {repeats})"))
            }
            13 => {
                let axes = self.ints(&[from_end]);
                let sum = self.node(&format!("ReduceSum <keepdims = 0> ({v}, {axes})"));
                let back = self.node(&format!("Unsqueeze ({sum}, {axes})"));
                self.node(&format!("Add ({back}, {v})"))
            }
            _ => {
                let (low, high) = (self.constant("float", "", "-1"), self.constant("float", "", "2"));
                self.node(&format!("Clip ({v}, {low}, {high})"))
            }
        };
    }
}

fn inverse(perm: &[usize]) -> Vec<usize> {
    (0..perm.len()).map(|axis| perm.iter().position(|p| *p == axis).unwrap()).collect()
}

/// Transpose, operators, Transpose back. The value in the middle may be read elsewhere too.
fn sandwich(sizes: &[usize], perm: &[usize], steps: &[(usize, usize, usize)], middle: usize) -> String {
    let moved: Vec<usize> = perm.iter().map(|p| sizes[*p]).collect();
    let mut chain = Chain { nodes: String::new(), constants: String::new(), last: "t".into(), sizes: moved, count: 0 };
    let mut half = (String::from("t"), chain.sizes.clone());
    for (i, (which, axis, bits)) in steps.iter().enumerate() {
        chain.step(*which, *axis, *bits);
        if i == steps.len() / 2 {
            half = (chain.last.clone(), chain.sizes.clone());
        }
    }
    let (more, outputs) = match middle {
        1 => (String::new(), format!(", float[{}] {}", dims(&half.1), half.0)),
        2 => {
            let ty = format!("float[{}]", dims(&half.1));
            let more = format!(
                "  any = ReduceMax <keepdims = 0> (x)
                   flag = Cast <to = 9> (any)
                   chosen = If (flag) <
                     then_branch = yes () => ({ty} p) {{ p = Neg ({0}) }},
                     else_branch = no () => ({ty} q) {{ q = Relu ({0}) }}
                   >\n",
                half.0
            );
            (more, format!(", {ty} chosen"))
        }
        _ => (String::new(), String::new()),
    };
    let back = inverse(perm);
    let out: Vec<usize> = back.iter().map(|p| chain.sizes[*p]).collect();
    let constants = if chain.constants.is_empty() { String::new() } else { format!("<{}>", chain.constants) };
    format!(
        "<ir_version: 8, opset_import: [\"\" : 13]>
         g (float[{}] x) => (float[{}] y{outputs}) {constants} {{
           t = Transpose <perm = [{}]> (x)
         {}{more}  y = Transpose <perm = [{}]> ({})
         }}",
        dims(sizes),
        dims(&out),
        list(perm),
        chain.nodes,
        list(&back),
        chain.last
    )
}

fn perm(rank: usize) -> impl Strategy<Value = Vec<usize>> {
    let all: Vec<usize> = (0..rank).collect();
    Just(all).prop_shuffle().prop_filter("moves", |p| !p.is_sorted())
}

/// Sizes with a Transpose of them. Slices leave more than one of the axes of a matrix: what is a single element has no order of axes.
fn moved() -> impl Strategy<Value = (Vec<usize>, Vec<usize>)> {
    select(vec![vec![8, 9], vec![0, 2, 3], vec![2, 3, 1, 4], vec![0, 3, 2, 4]]).prop_flat_map(|sizes| {
        let rank = sizes.len();
        (Just(sizes), perm(rank))
    })
}

fn steps() -> impl Strategy<Value = Vec<(usize, usize, usize)>> {
    prop::collection::vec((0usize..15, 0usize..4, 0usize..64), 1..6)
}

#[test]
fn a_network_with_channels_last_keeps_one_transpose() {
    let before = onnxpress::onnx::load(&fixture("nhwc_cnn.onnx")).unwrap();
    let mut after = before.clone();
    simplify(&mut after, &SimplifyOptions::default()).unwrap();
    assert!(count(&before, "Transpose") > 20);
    assert!(count(&after, "Transpose") <= 1, "{}", count(&after, "Transpose"));
    compare(&before, &after, ROUNDING).unwrap();
    let report = simplify(&mut after, &SimplifyOptions::default()).unwrap();
    assert_eq!(report.passes, [], "simplifying again changes nothing");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn transposes_cancel_through_what_is_between((sizes, perm) in moved(), steps in steps(), middle in 0usize..6) {
        let source = sandwich(&sizes, &perm, &steps, middle);
        let after = rewritten("sink-transposes", &source)?;
        prop_assert_eq!(count(&after, "Transpose"), usize::from(middle == 1 || middle == 2), "{}", source);
    }

    #[test]
    fn transposes_of_all_operands_become_one((sizes, perm) in moved(), axis in 0usize..4, kind in 0usize..4, shared: bool) {
        let out: Vec<usize> = perm.iter().map(|p| sizes[*p]).collect();
        let axis = axis % sizes.len();
        let join = match kind {
            0 => "Add (u, w)".to_string(),
            1 => format!("Concat <axis = {axis}> (u, w, u)"),
            2 => "Sum (w, u, w)".to_string(),
            _ => "Max (u, w)".to_string(),
        };
        let shape = if kind == 1 { vec!["?".to_string(); sizes.len()].join(",") } else { dims(&out) };
        let shape = shape.replace('?', "K");
        let p = list(&perm);
        let outputs = if shared { format!(", float[{}] u", dims(&out)) } else { String::new() };
        let source = format!(
            "<ir_version: 8, opset_import: [\"\" : 13]>
             g (float[{0}] x, float[{0}] z) => (float[{shape}] y{outputs}) {{
               u = Transpose <perm = [{p}]> (x)
               v = Transpose <perm = [{p}]> (z)
               w = Exp (v)
               y = {join}
             }}", dims(&sizes));
        match shared {
            true => leaves_alone("sink-transposes", &source)?,
            false => prop_assert_eq!(count(&rewritten("sink-transposes", &source)?, "Transpose"), 1),
        }
    }

    #[test]
    fn a_transpose_alone_stays((sizes, perm) in moved(), steps in steps()) {
        let source = sandwich(&sizes, &perm, &steps, 0);
        let (body, _) = source.rsplit_once("  y = ").unwrap();
        let last = body.trim_end().rsplit_once('\n').unwrap().1.trim().split_once(" = ").unwrap().0.rsplit(", ").next().unwrap().to_string();
        let rank = sizes.len();
        let body = body.replacen(&format!("float[{}] y", source.split("float[").nth(2).unwrap().split(']').next().unwrap()), &format!("float[{}] y", ["A", "B", "C", "D"][..rank].join(",")), 1);
        leaves_alone("sink-transposes", &format!("{body}  y = Identity ({last})\n}}"))?;
    }

    #[test]
    fn an_operand_of_lower_rank_or_a_flattening_softmax_stays(axis in 0i64..3, which in 0..3) {
        let (opset, node) = match which {
            0 => (13, "Add (t, z)".to_string()),
            1 => (12, format!("Softmax <axis = {axis}> (t)")),
            _ => (13, "Reshape (t, shape)".to_string()),
        };
        leaves_alone("sink-transposes", &format!(
            "<ir_version: 7, opset_import: [\"\" : {opset}]>
             g (float[2,3,4] x, float[3] z) => (float[2,3,4] y) <int64[3] shape = {{2,4,3}}> {{
               t = Transpose <perm = [0,2,1]> (x)
               s = {node}
               y = Transpose <perm = [0,2,1]> (s)
             }}"))?;
    }

    #[test]
    fn a_transpose_before_rows_goes_into_the_weight(
        perm in perm(3), sizes in prop::collection::vec(1usize..4, 3), named: bool, form in 0usize..5, gemm in 0usize..3,
    ) {
        let count: usize = sizes.iter().product();
        let order = list(std::iter::once(0).chain(perm.iter().map(|p| p + 1)));
        let batch = if named { "N" } else { "2" };
        let rows = match form {
            0 => "Flatten (t)".to_string(),
            1 => "Flatten <axis = -3> (t)".to_string(),
            _ => "Reshape (t, shape)".to_string(),
        };
        let shape = match form { 2 => format!("-1,{count}"), 3 => "0,-1".to_string(), _ => format!("0,{count}") };
        let (product, matrix) = match gemm {
            0 => ("MatMul (r, w)".to_string(), format!("{count},2")),
            1 => ("Gemm (r, w)".to_string(), format!("{count},2")),
            _ => ("Gemm <transB = 1, alpha = 0.5> (r, w, b)".to_string(), format!("2,{count}")),
        };
        let source = format!(
            "<ir_version: 8, opset_import: [\"\" : 13]>
             g (float[{batch},{}] x) => (float[{batch},2] y)
             <int64[2] shape = {{{shape}}}, float[{matrix}] w = {{{}}}, float[2] b = {{0.5,-1}}> {{
               t = Transpose <perm = [{order}]> (x)
               r = {rows}
               y = {product}
             }}", dims(&sizes), floats(2 * count));
        let after = rewritten("fold-transpose", &source)?;
        prop_assert_eq!(super::count(&after, "Transpose"), 0);
    }

    #[test]
    fn a_transpose_that_mixes_rows_stays(which in 0..4) {
        let (perm, rows, product) = match which {
            0 => ("1,0,2", "Reshape (t, shape)", "MatMul (r, w)"),
            1 => ("0,2,1", "Reshape (t, moved)", "MatMul (s, w)"),
            2 => ("0,2,1", "Reshape (t, shape)", "Add (p, k)"),
            _ => ("0,2,1", "Reshape (t, shape)", "MatMul (q, w)"),
        };
        let outputs = if which == 2 { "float[3,4] y" } else { "float[M,2] y" };
        leaves_alone("fold-transpose", &format!(
            "<ir_version: 8, opset_import: [\"\" : 13]>
             g (float[3,2,2] x) => ({outputs})
             <int64[2] shape = {{-1,4}}, int64[2] moved = {{-1,2}}, float[4,2] w = {{1,2,3,4,5,6,7,8}}, float[1,4] k = {{1,2,3,4}}> {{
               t = Transpose <perm = [{perm}]> (x)
               r = {rows}
               s = Reshape (r, shape)
               p = Relu (r)
               q = Relu (r)
               y = {product}
             }}"))?;
    }
}
