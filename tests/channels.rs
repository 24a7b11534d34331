//! Channels that hang together go together: what is cut computes what the original computes without those channels.

use onnxpress::analysis::dependency::{Group, Member, consumers, groups, unshare};
use onnxpress::analysis::{Costs, infer, macs};
use onnxpress::ir::{GraphEdit, Model, Tensor, text, verify};
use onnxpress::passes::{SimplifyOptions, simplify};
use onnxpress::progress::Silent;
use onnxpress::prune::shrink::shrink;
use onnxpress::prune::{self, CHANNEL_CRITERIA, CRITERIA, Data, Goal, Pattern, PruneOptions};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::common::tract;
use crate::numerics::compare;
use crate::quantize::{load, open, sqnr};

/// A graph on [N, C, 6, 6] that grows step by step.
struct Made {
    nodes: String,
    weights: Vec<String>,
    count: usize,
    /// Name and channels of what is there to be read.
    values: Vec<(String, usize)>,
}

impl Made {
    fn weight(&mut self, shape: &[usize]) -> String {
        let name = format!("w{}", self.weights.len());
        let number = |i: usize| {
            let z = ((i + 31 * self.weights.len() + 7) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            format!("{:.3}", z as f64 / f64::from(1u32 << 24) - 0.4)
        };
        let dims: Vec<String> = shape.iter().map(usize::to_string).collect();
        let numbers: Vec<String> = (0..shape.iter().product()).map(number).collect();
        self.weights.push(format!("float[{}] {name} = {{{}}}", dims.join(","), numbers.join(",")));
        name
    }

    fn ints(&mut self, values: &[i64]) -> String {
        let name = format!("w{}", self.weights.len());
        let numbers: Vec<String> = values.iter().map(i64::to_string).collect();
        self.weights.push(format!("int64[{}] {name} = {{{}}}", values.len(), numbers.join(",")));
        name
    }

    /// What the call makes.
    fn node(&mut self, call: &str) -> String {
        self.count += 1;
        let y = format!("v{}", self.count);
        self.nodes += &format!(" {y} = {call}\n");
        y
    }

    fn conv(&mut self, (x, c): (&str, usize), out: usize, group: usize, kernel: usize) -> String {
        let (w, b, p) = (self.weight(&[out, c / group, kernel, kernel]), self.weight(&[out]), kernel / 2);
        self.node(&format!("Conv <group = {group}, pads = [{p},{p},{p},{p}]> ({x}, {w}, {b})"))
    }

    fn step(&mut self, kind: usize, n: usize) {
        let (x, c) = self.values.last().unwrap().clone();
        let x = x.as_str();
        let mut made = c;
        let y = match kind {
            1 => self.conv((x, c), c, c, 3),
            2 => {
                made = 2 * c;
                self.conv((x, c), made, c, 1)
            }
            3 if c % 2 == 0 => {
                made = 2 * (1 + n);
                self.conv((x, c), made, 2, 1)
            }
            4 => {
                let p: Vec<String> = (0..4).map(|_| self.weight(&[c])).collect();
                let v = self.node(&format!("Abs ({})", p[3]));
                self.node(&format!("BatchNormalization ({x}, {}, {}, {}, {v})", p[0], p[1], p[2]))
            }
            5 => self.node(&format!("Relu ({x})")),
            6 => match self.values.iter().rev().skip(1).find(|(_, other)| *other == c).cloned() {
                Some((other, _)) => self.node(&format!("Add ({x}, {other})")),
                None => self.node(&format!("Sigmoid ({x})")),
            },
            7 => {
                let (other, more) = self.values[n % self.values.len()].clone();
                made = c + more;
                self.node(&format!("Concat <axis = 1> ({x}, {other})"))
            }
            8 if c > 2 => {
                made = 1 + n % (c - 1);
                let sizes = self.ints(&[made as i64, (c - made) as i64]);
                self.count += 1;
                let (s, t) = (format!("s{}", self.count), format!("t{}", self.count));
                self.nodes += &format!(" {s}, {t} = Split <axis = 1> ({x}, {sizes})\n");
                let t = self.conv((&t, c - made), made, 1, 1);
                self.node(&format!("Add ({s}, {t})"))
            }
            9 => self.squeeze_and_excite((x, c), n),
            10 if c > 2 => {
                made = c - 1;
                let (starts, ends, axes) = (self.ints(&[1]), self.ints(&[9999]), self.ints(&[1]));
                self.node(&format!("Slice ({x}, {starts}, {ends}, {axes})"))
            }
            11 => {
                let scale = self.weight(&[c, 1, 1]);
                self.node(&format!("Mul ({x}, {scale})"))
            }
            12 => self.attention((x, c), 2 + n % 3),
            13 => {
                made = 2 + n;
                let w = self.weight(&[c, made, 1, 1]);
                self.node(&format!("ConvTranspose ({x}, {w})"))
            }
            14 => self.node(&format!("AveragePool <kernel_shape = [3,3], pads = [1,1,1,1]> ({x})")),
            15 => {
                // Channels in two rows, turned.
                let (shape, back) = (self.ints(&[0, -1, 1, 6, 6]), self.ints(&[0, c as i64, 6, 6]));
                let y = self.node(&format!("Reshape ({x}, {shape})"));
                let y = self.node(&format!("Transpose <perm = [0,2,1,3,4]> ({y})"));
                self.node(&format!("Reshape ({y}, {back})"))
            }
            16 => {
                made = 2 + n;
                self.recurrent((x, c), made)
            }
            _ => {
                made = 2 + n;
                self.conv((x, c), made, 1, 3)
            }
        };
        self.values.push((y, made));
    }

    fn squeeze_and_excite(&mut self, (x, c): (&str, usize), n: usize) -> String {
        let mean = self.node(&format!("GlobalAveragePool ({x})"));
        let few = self.conv((&mean, c), 1 + n, 1, 1);
        let few = self.node(&format!("Relu ({few})"));
        let all = self.conv((&few, 1 + n), c, 1, 1);
        let scale = self.node(&format!("HardSigmoid ({all})"));
        self.node(&format!("Mul ({x}, {scale})"))
    }

    /// A GRU, or an LSTM in both directions whose sum is taken, over the 36 places.
    fn recurrent(&mut self, (x, c): (&str, usize), hidden: usize) -> String {
        let (gates, both) = if hidden.is_multiple_of(2) { (3, 1) } else { (4, 2) };
        let tokens = self.ints(&[0, c as i64, 36]);
        let t = self.node(&format!("Reshape ({x}, {tokens})"));
        let t = self.node(&format!("Transpose <perm = [2,0,1]> ({t})"));
        let shapes =
            [vec![both, gates * hidden, c], vec![both, gates * hidden, hidden], vec![both, 2 * gates * hidden]];
        let [w, r, b] = shapes.map(|shape| self.weight(&shape));
        let y = match gates {
            3 => self.node(&format!("GRU <hidden_size = {hidden}> ({t}, {w}, {r}, {b})")),
            _ => {
                self.node(&format!("LSTM <hidden_size = {hidden}, direction = \"bidirectional\"> ({t}, {w}, {r}, {b})"))
            }
        };
        let axes = self.ints(&[1]);
        let y = self.node(&format!("ReduceSum <keepdims = 0> ({y}, {axes})"));
        let y = self.node(&format!("Transpose <perm = [1,2,0]> ({y})"));
        let image = self.ints(&[0, hidden as i64, 6, 6]);
        self.node(&format!("Reshape ({y}, {image})"))
    }

    /// Heads of two channels over the 36 places.
    fn attention(&mut self, (x, c): (&str, usize), heads: usize) -> String {
        let tokens = self.ints(&[0, c as i64, 36]);
        let t = self.node(&format!("Reshape ({x}, {tokens})"));
        let t = self.node(&format!("Transpose <perm = [0,2,1]> ({t})"));
        let shape = self.ints(&[0, 36, heads as i64, 2]);
        let mut part = |perm: &str| {
            let w = self.weight(&[c, 2 * heads]);
            let p = self.node(&format!("MatMul ({t}, {w})"));
            let p = self.node(&format!("Reshape ({p}, {shape})"));
            self.node(&format!("Transpose <perm = [{perm}]> ({p})"))
        };
        let (q, k, v) = (part("0,2,1,3"), part("0,2,3,1"), part("0,2,1,3"));
        let s = self.node(&format!("MatMul ({q}, {k})"));
        let s = self.node(&format!("Softmax <axis = -1> ({s})"));
        let y = self.node(&format!("MatMul ({s}, {v})"));
        let y = self.node(&format!("Transpose <perm = [0,2,1,3]> ({y})"));
        let joined = self.ints(&[0, 36, 2 * heads as i64]);
        let y = self.node(&format!("Reshape ({y}, {joined})"));
        let w = self.weight(&[2 * heads, c]);
        let y = self.node(&format!("MatMul ({y}, {w})"));
        let y = self.node(&format!("Transpose <perm = [0,2,1]> ({y})"));
        let image = self.ints(&[0, c as i64, 6, 6]);
        self.node(&format!("Reshape ({y}, {image})"))
    }
}

/// A model of these steps between a convolution and a Gemm.
fn source(steps: &[(usize, usize)]) -> String {
    let mut made = Made { nodes: String::new(), weights: Vec::new(), count: 0, values: Vec::new() };
    let first = made.conv(("x", 3), 4, 1, 3);
    made.values.push((first, 4));
    steps.iter().for_each(|(kind, n)| made.step(*kind, *n));
    let (x, c) = made.values.last().unwrap().clone();
    let flat = made.node(&format!("Flatten ({x})"));
    let w = made.weight(&[36 * c, 2]);
    made.nodes += &format!(" y = MatMul ({flat}, {w})\n");
    format!(
        "<ir_version: 8, opset_import: [\"\" : 17]> g (float[N,3,6,6] x) => (float[N,2] y) <{}> {{\n{}}}",
        made.weights.join(", "),
        made.nodes
    )
}

fn inferred(source: &str) -> Model {
    let mut model = text::parse(source).unwrap();
    let mut edit = GraphEdit::new(&mut model);
    unshare(&mut edit);
    infer(&mut edit);
    model
}

/// The model whose contractions read nothing of the channels that are gone.
fn without(model: &Model, groups: &[Group], gone: &[Vec<bool>]) -> Model {
    let mut deaf = model.clone();
    for (group, gone) in groups.iter().zip(gone) {
        for reader in consumers(model, group) {
            let member = &group.members[reader.member];
            let t = deaf.constant(reader.weight).unwrap().clone();
            let inner: usize = t.shape()[member.axis + 1..].iter().product();
            let numbers = t.to_f32().unwrap();
            let zeroed = numbers
                .iter()
                .enumerate()
                .map(|(i, w)| if gone[member.channels[i / inner % member.channels.len()]] { 0.0 } else { *w });
            let zeroed: Vec<f32> = zeroed.collect();
            let mut edit = GraphEdit::new(&mut deaf);
            edit.set_initializer(reader.weight, Tensor::from_vec(t.shape(), zeroed));
        }
    }
    deaf
}

/// Some of the free channels of every group, of which every axis keeps what it needs.
fn choose(groups: &[Group], seed: u64) -> Vec<Vec<bool>> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut some = |group: &Group| {
        let mut gone = vec![false; group.stays.len()];
        for c in group.free() {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            gone[c] = state.is_multiple_of(3);
            let left = |m: &Member| m.channels.iter().filter(|c| !gone[**c]).count();
            if group.members.iter().any(|m| left(m) < m.least) {
                gone[c] = false;
            }
        }
        gone
    };
    groups.iter().map(&mut some).collect()
}

/// Whether anything was cut.
fn check(source: &str, seed: u64) -> Result<bool, TestCaseError> {
    let model = inferred(source);
    let groups = groups(&model);
    let gone = choose(&groups, seed);
    let failed = |what: String| TestCaseError::fail(format!("{what}\n{gone:?}\n{source}"));
    let mut cut = model.clone();
    shrink(&mut cut, &groups, &gone).map_err(|e| failed(e.to_string()))?;
    verify(&cut).map_err(|e| failed(e.to_string()))?;
    compare(&without(&model, &groups, &gone), &cut, 1e-5).map_err(failed)?;
    let size = |value, axis| {
        let found = groups.iter().zip(&gone).find_map(|(g, gone)| Some((g.member(value, axis)?, gone)));
        found.map(|(m, gone)| m.channels.iter().filter(|c| !gone[**c]).count())
    };
    let inputs = [("x".to_string(), vec![2, 3, 6, 6])];
    let told = Some(Costs::of(&model, &inputs).macs(&size));
    prop_assert_eq!(told, macs(&cut, &inputs));
    Ok(gone.iter().flatten().any(|gone| *gone))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_is_cut_computes_what_is_left(steps in prop::collection::vec((0usize..17, 0usize..5), 1..9), seed in any::<u64>()) {
        check(&source(&steps), seed)?;
    }
}

/// The group that a node makes, and how many of its channels can go.
fn free(source: &str, name: &str) -> usize {
    let groups = groups(&inferred(source));
    groups.iter().find(|g| g.name == name).unwrap_or_else(|| panic!("no group {name} in {groups:?}")).free().len()
}

#[test]
fn every_kind_of_step_alone_is_cut() {
    for kind in 0..17 {
        let mut cut = 0;
        for n in 0..4 {
            let source = source(&[(0, 4), (kind, n), (0, 3)]);
            for seed in 0..3 {
                cut += usize::from(check(&source, seed).unwrap_or_else(|e| panic!("step {kind}: {e}")));
            }
        }
        assert!(cut >= 6, "step {kind} was cut {cut} of 12 times");
    }
}

#[test]
fn channels_are_found_where_they_can_go() {
    // Conv of 6 channels, kept by nothing but what reads them.
    assert_eq!(free(&source(&[(0, 4), (5, 0), (0, 3)]), "v2"), 6);
    // A residual sum joins both convolutions of 4.
    assert_eq!(free(&source(&[(0, 2), (6, 0), (0, 3)]), "v1"), 4);
    // Depthwise passes channels on.
    assert_eq!(free(&source(&[(0, 4), (1, 0), (0, 3)]), "v2"), 6);
    // Two groups lose the same of each: 4 channels are 2 pairs.
    assert_eq!(free(&source(&[(3, 1), (0, 3)]), "v2"), 2);
    // Heads go whole.
    assert_eq!(free(&source(&[(12, 1), (0, 3)]), "v4"), 3);
    // What is concatenated is one group, and each channel is alone.
    assert_eq!(free(&source(&[(0, 4), (7, 0), (0, 3)]), "v1"), 10);
}

#[test]
fn equal_slopes_do_not_tie_layers() {
    let mut made = Made { nodes: String::new(), weights: Vec::new(), count: 0, values: Vec::new() };
    for shape in [&[4, 3, 1, 1][..], &[4, 4, 1, 1], &[2, 4, 1, 1], &[4, 1, 1]] {
        made.weight(shape);
    }
    let source = format!(
        "<ir_version: 8, opset_import: [\"\" : 17]> g (float[N,3,6,6] x) => (float[N,2,6,6] y) <{}> {{
        a = Conv (x, w0) b = PRelu (a, w3) c = Conv (b, w1) d = PRelu (c, w3) y = Conv (d, w2) }}",
        made.weights.join(", ")
    );
    let mut model = text::parse(&source).unwrap();
    assert_eq!(unshare(&mut GraphEdit::new(&mut model)), 1);
    infer(&mut GraphEdit::new(&mut model));
    let free: Vec<usize> = groups(&model).iter().map(|g| g.free().len()).filter(|n| *n > 0).collect();
    assert_eq!(free, [4, 4]);
}

#[test]
fn groups_of_one_output_each_are_not_depthwise() {
    let mut made = Made { nodes: String::new(), weights: Vec::new(), count: 0, values: Vec::new() };
    for shape in [&[4, 3, 1, 1][..], &[4, 1, 1, 1], &[2, 2]] {
        made.weight(shape);
    }
    let source = format!(
        "<ir_version: 8, opset_import: [\"\" : 17]> g (float[N,3,6,6] x) => (float[N,2] y) <{}> {{
        h = Conv (x, w0) t = ConvTranspose <group = 2> (h, w1) p = GlobalAveragePool (t) f = Flatten (p) y = Gemm (f, w2) }}",
        made.weights.join(", ")
    );
    // Both groups lose the same of their two channels.
    assert_eq!(free(&source, "h"), 2);
    for seed in 0..8 {
        check(&source, seed).unwrap();
    }
}

#[test]
fn an_axis_of_another_size_is_told_apart_from_one_that_is_not_known() {
    let mut made = Made { nodes: String::new(), weights: Vec::new(), count: 0, values: Vec::new() };
    for shape in [&[5, 3, 1, 1][..], &[2, 3, 1, 1]] {
        made.weight(shape);
    }
    // No such model runs: the second convolution reads three channels of five.
    let source = format!(
        "<ir_version: 8, opset_import: [\"\" : 17]> g (float[N,3,6,6] x) => (float[N,2,6,6] y) <{}>
        {{ h = Conv (x, w0) [c] y = Conv (h, w1) }}",
        made.weights.join(", ")
    );
    let groups = groups(&inferred(&source));
    let h = groups.iter().find(|g| g.name == "h").unwrap();
    assert_eq!(h.stays[0], None);
    assert_eq!(h.stays[4].as_deref(), Some("\"c\" (Conv): an axis that meets it has another size"));
}

#[test]
fn what_stays_says_why() {
    let mut made = Made { nodes: String::new(), weights: Vec::new(), count: 0, values: Vec::new() };
    for shape in [&[4, 6][..], &[6, 3], &[4, 6], &[6], &[6, 6]] {
        made.weight(shape);
    }
    let source = format!(
        "<ir_version: 8, opset_import: [\"\" : 17]> g (float[N,4] x) => (float[N,3] y, float[N,6] z) <{}> {{
        h = MatMul (x, w0) n = LayerNormalization (h, w3) y = MatMul (n, w1) k = MatMul (x, w2) z = MatMul (k, w4) }}",
        made.weights.join(", ")
    );
    let groups = groups(&inferred(&source));
    let of = |name: &str| groups.iter().find(|g| g.name == name).unwrap();
    assert_eq!(of("h").refusal(), Some("\"n\" (LayerNormalization) normalizes over it"));
    assert_eq!(of("y").refusal(), Some("y is an output of the model"));
    assert_eq!(of("k").refusal(), None);
    assert_eq!(of("k").free().len(), 6);
}

/// What is left of the outputs of the digits network at 60 % of its work, in dB.
fn left_of_digits(change: impl Fn(&mut PruneOptions)) -> f64 {
    let mut model = load("digits");
    simplify(&mut model, &SimplifyOptions::default()).unwrap();
    let (fit, eval) = (open(&model, "digits_calib.npz", 200), open(&model, "digits_eval.npz", 200));
    let mut options = PruneOptions { pattern: Pattern::Channel, ..PruneOptions::new(Goal::Macs(0.6)) };
    change(&mut options);
    let mut small = model.clone();
    let data = Data { dataset: &fit, runtime: tract() };
    let (plan, _) = prune::prune(&mut small, &options, Some(data), &Silent).unwrap();
    verify(&small).unwrap();
    let (before, after) = plan.channels.unwrap().macs;
    assert!(after as f64 <= 0.6 * before as f64, "{after} of {before}");
    sqnr(&model, &small, &eval)
}

#[test]
fn channels_go_by_every_criterion_and_solving_anew_makes_up_for_them() {
    let by = |criterion: &str| left_of_digits(|o| o.criterion = Some(criterion.into()));
    let criteria = CHANNEL_CRITERIA.iter().map(|c| c.name).chain(CRITERIA.iter().map(|c| c.name));
    let found: Vec<(&str, f64)> = criteria.map(|c| (c, by(c))).collect();
    let db = |criterion: &str| found.iter().find(|(c, _)| *c == criterion).unwrap().1;
    let best = db("reconstruction");
    let plain = left_of_digits(|o| o.compensate = false);
    println!("reconstruction {best:.1} dB, not made up for {plain:.1} dB, {found:.1?}");
    assert!((db("hessian") - best).abs() < 1e-9, "the same by its other name");
    assert!(best > plain + 1.0, "{best} {plain}");
    // 10.4 dB by magnitude, 14.9 by reconstruction.
    assert!(found.iter().all(|(_, db)| *db > 9.0 && *db < best + 1.0), "{found:?}");
}

#[test]
fn heads_are_attention_alone() {
    // Heads of the attention behind channels that are none.
    let model = inferred(&source(&[(0, 4), (12, 2), (0, 3)]));
    let of = |pattern: Pattern| {
        let options = PruneOptions { pattern, ..PruneOptions::new(Goal::Macs(0.9)) };
        prune::decide(&model, &options, None, &Silent).unwrap().channels.unwrap()
    };
    let heads = of(Pattern::Head);
    let gone: Vec<&str> = heads.groups.iter().filter(|g| g.gone > 0).map(|g| g.node.as_str()).collect();
    assert_eq!(gone.len(), 1, "{heads}");
    assert!(heads.groups.iter().any(|g| g.kept.as_deref() == Some("these are no attention heads")), "{heads}");
    assert!(of(Pattern::Channel).groups.iter().all(|g| g.kept.as_deref() != Some("these are no attention heads")));
}
