//! What pruning keeps, what it says of that, and what is counted.

use std::path::Path;

use onnxpress::data::{DataOptions, Dataset, InputSpec};
use onnxpress::error::Error;
use onnxpress::ir::{GraphEdit, Model, text};
use onnxpress::onnx;
use onnxpress::passes::{SimplifyOptions, simplify};
use onnxpress::progress::Silent;
use onnxpress::prune::{self, Data, Goal, Pattern, PruneOptions, PrunePlan, Scope};
use onnxpress::recover::{RecoverOptions, recover};
use onnxpress::runtime::{LoadOptions, Runtime, Session};

use crate::common::{constant, tract};

/// Numbers between −1 and 1, no two alike.
fn weight(name: &str, rows: usize, columns: usize) -> String {
    let salt = name.bytes().map(usize::from).sum::<usize>();
    let number = |i: usize| format!("{:.4}", ((i * 7919 + salt * 31) % 10_007) as f32 / 5003.5 - 1.0);
    let numbers: Vec<String> = (0..rows * columns).map(number).collect();
    format!("float[{rows},{columns}] {name} = {{{}}}", numbers.join(","))
}

/// `x [N, width] → y [N, 4]`.
fn model(width: usize, constants: &[String], nodes: &str) -> Model {
    let constants = constants.join(", ");
    let source = format!(
        "<ir_version: 8, opset_import: [\"\" : 17]> g (float[N,{width}] x) => (float[N,4] y) <{constants}> {{ {nodes} }}"
    );
    text::parse(&source).unwrap()
}

/// Two of four products have one weight in common, and one of them scales it.
fn with_shared_weight() -> Model {
    let constants = [weight("w0", 16, 16), weight("ws", 16, 64), weight("w1", 64, 4)];
    let nodes = "[first] h = MatMul (x, w0)  r = Relu (h)  [left] a = MatMul (r, ws)  t = Tanh (r)
                 [right] b = Gemm <alpha = 2.0> (t, ws)  s = Add (a, b)  [last] y = MatMul (s, w1)";
    model(16, &constants, nodes)
}

fn perceptron() -> Model {
    let constants = [weight("w0", 8, 16), weight("w1", 16, 12), weight("w2", 12, 4)];
    let nodes =
        "[one] h = MatMul (x, w0)  r = Relu (h)  [two] g = MatMul (r, w1)  q = Relu (g)  [three] y = MatMul (q, w2)";
    model(8, &constants, nodes)
}

fn random(model: &Model) -> Dataset {
    let options = DataOptions { batch_size: 8, ..DataOptions::new("random:96") };
    Dataset::open(&options, &InputSpec::of(model)).unwrap()
}

fn decide(model: &Model, options: &PruneOptions) -> Result<PrunePlan, Error> {
    let dataset = random(model);
    prune::decide(model, options, Some(Data { dataset: &dataset, runtime: tract() }), &Silent)
}

fn auto(criterion: &str, algorithm: &str) -> PruneOptions {
    let (criterion, algorithm) = (Some(criterion.into()), Some(algorithm.into()));
    PruneOptions { criterion, algorithm, scope: Some(Scope::Auto), ..PruneOptions::new(Goal::Sparsity(0.5)) }
}

#[test]
fn measured_shares_are_of_what_can_be_measured() {
    let plan = decide(&with_shared_weight(), &auto("magnitude", "least-squares")).unwrap();
    let zeros = |tensor: &str| plan.tensors.iter().find(|t| t.tensor == tensor).unwrap().zeros;
    // The shared one, the largest by far, cannot be solved alone: it has the share that was asked for.
    assert_eq!(zeros("ws"), 512);
    let others = [zeros("w0"), zeros("w1")];
    assert!(others[0] < 256 && others[1] < 256 && others.iter().sum::<usize>().abs_diff(256) <= 4, "{others:?}");
}

/// x ─► half precision ─► a product ─► y
fn in_halves() -> Model {
    let bits: Vec<String> = (0..64).map(|i| (15_360 + i * 37 % 1024).to_string()).collect();
    let constant = format!("float16[16,4] w = {{{}}}", bits.join(","));
    model(16, &[constant], "h = Cast <to = 10> (x)  [half] m = MatMul (h, w)  y = Cast <to = 1> (m)")
}

#[test]
fn half_precision_that_cannot_be_computed_otherwise_is_masked_or_refused() {
    // An operator that is not known makes the float16 that the product reads.
    let mut unknown = in_halves();
    let mut edit = GraphEdit::new(&mut unknown);
    let cast = edit.all_nodes().into_iter().find(|n| edit.node(*n).op_type == "Cast").unwrap();
    edit.set_op(cast, "Halve", "own");
    let plan = prune::decide(&unknown, &PruneOptions::new(Goal::Sparsity(0.5)), None, &Silent).unwrap();
    assert_eq!(plan.tensors[0].zeros, 32);
    let hessian = PruneOptions { criterion: Some("hessian".into()), ..PruneOptions::new(Goal::Sparsity(0.5)) };
    let plan = decide(&in_halves(), &hessian).unwrap();
    assert_eq!(plan.tensors[0].zeros, 32);
    let refusal = decide(&unknown, &hessian).unwrap_err().to_string();
    assert!(refusal.contains("half") || refusal.contains("Halve"), "{refusal}");
}

#[test]
fn what_is_left_out_keeps_its_weights_whoever_else_reads_them() {
    let exclude = |node: &str, options: PruneOptions| PruneOptions { exclude: vec![node.into()], ..options };
    let plan =
        prune::decide(&with_shared_weight(), &exclude("right", PruneOptions::new(Goal::Sparsity(0.5))), None, &Silent);
    let kept = plan.unwrap().tensors.into_iter().filter_map(|t| Some((t.tensor, t.kept?))).collect::<Vec<_>>();
    assert_eq!(kept, [("ws".to_string(), "--exclude right".to_string())]);

    // So too where it reads them in another arrangement.
    let turned = model(
        16,
        &[weight("w0", 16, 16), weight("w1", 16, 4)],
        "[first] h = MatMul (x, w0)  t = Transpose <perm = [1, 0]> (w0)  [tied] g = MatMul (h, t)  [last] y = MatMul (g, w1)",
    );
    let plan = prune::decide(&turned, &exclude("tied", PruneOptions::new(Goal::Sparsity(0.5))), None, &Silent);
    let kept = plan.unwrap().tensors.into_iter().filter_map(|t| Some((t.tensor, t.kept?))).collect::<Vec<_>>();
    assert_eq!(kept, [("w0".to_string(), "--exclude tied".to_string())]);

    // Channels that it sums over stay, and it is not solved anew for what its input has become.
    let float = perceptron();
    let channels = PruneOptions { pattern: Pattern::Channel, ..PruneOptions::new(Goal::Macs(0.7)) };
    let dataset = random(&float);
    let data = Data { dataset: &dataset, runtime: tract() };
    let mut cut = float.clone();
    let (plan, _) = prune::prune(&mut cut, &exclude("three", channels), Some(data), &Silent).unwrap();
    let plan = plan.channels.unwrap();
    let of = |node: &str| plan.groups.iter().find(|g| g.node == node).unwrap();
    assert!(of("one").gone > 0 && of("two").kept.as_deref() == Some("--exclude three"), "{plan}");
    assert_eq!(plan.unsolved, [("three".to_string(), "--exclude three".to_string())]);
    assert_eq!(constant(&cut, "w2"), constant(&float, "w2"));

    // Training leaves it alone, too.
    let trained = PruneOptions { recover: Some("steps=3".parse().unwrap()), ..PruneOptions::new(Goal::Sparsity(0.5)) };
    let mut pruned = float.clone();
    let (_, report) = prune::prune(&mut pruned, &exclude("three", trained), Some(data), &Silent).unwrap();
    let recovered = report.recovered.unwrap();
    assert_eq!((recovered.tensors, recovered.refused), (2, vec!["w2 is not trained: --exclude three".to_string()]));
    assert_eq!(constant(&pruned, "w2"), constant(&float, "w2"));
}

#[test]
fn weights_in_another_form_are_told_of() {
    let constants = [weight("w0", 8, 16), weight("w1", 4, 16)];
    let nodes = "[plain] h = MatMul (x, w0)  [turn] t = Transpose (w1)  [turned] y = MatMul (h, t)";
    let options = PruneOptions::new(Goal::Sparsity(0.5));
    let plan = prune::decide(&model(8, &constants, nodes), &options, None, &Silent).unwrap();
    let why = "it is read through \"turn\" (Transpose): simplify may make one constant of them";
    assert_eq!(plan.tensors[0].kept, None);
    assert_eq!((plan.tensors[1].tensor.as_str(), plan.tensors[1].kept.as_deref()), ("w1", Some(why)));

    // Weight normalization, which the commands compute first.
    let nodes =
        "[plain] h = MatMul (x, w0)  n = ReduceL2 (w1)  [unit] u = Div (w1, n)  t = Transpose (u)  y = MatMul (h, t)";
    let mut normalized = model(8, &constants, nodes);
    let plan = prune::decide(&normalized, &options, None, &Silent).unwrap();
    let why = "\"unit\" (Div) makes another of it: simplify may compute that";
    assert_eq!((plan.tensors[1].tensor.as_str(), plan.tensors[1].kept.as_deref()), ("w1", Some(why)));
    simplify(&mut normalized, &SimplifyOptions::constant_weights()).unwrap();
    let plan = prune::decide(&normalized, &options, None, &Silent).unwrap();
    assert_eq!(plan.tensors.iter().map(|t| t.kept.is_none()).collect::<Vec<_>>(), [true, true]);

    let source = format!(
        "<ir_version: 8, opset_import: [\"\" : 17, \"f\" : 1]> g (float[N,8] x) => (float[N,4] y) <{}> {{ [call] y = f.Twice (x, w0) }}
         <domain: \"f\", opset_import: [\"\" : 17]> Twice (a, b) => (c) {{ d = Add (a, a)  c = MatMul (d, b) }}",
        weight("w0", 8, 4)
    );
    let refusal = prune::decide(&text::parse(&source).unwrap(), &options, None, &Silent).unwrap_err().to_string();
    assert!(
        refusal.contains("call: it is read inside function \"Twice\": simplify --only inline-functions"),
        "{refusal}"
    );
}

#[test]
fn sensitivity_names_the_layers_that_it_leaves_out() {
    let model = with_shared_weight();
    let (dataset, options) = (random(&model), PruneOptions::new(Goal::Sparsity(0.5)));
    let found = prune::sensitivity(&model, &options, Data { dataset: &dataset, runtime: tract() }, &Silent).unwrap();
    assert_eq!(found.layers.len(), 2);
    assert_eq!(found.kept, [("left".to_string(), "its weight is read in another way, too".to_string())]);
}

/// A Reshape behind the second product takes the shape that is computed before the first.
#[test]
fn channels_go_where_a_shape_is_computed_early() {
    let constants = [
        weight("w0", 8, 16),
        weight("w1", 16, 8),
        weight("w2", 8, 16),
        weight("w3", 16, 4),
        "int64 zero = {0}, int64[1] first = {0}, int64[2] rest = {8, 2}, int64[2] flat = {-1, 16}".into(),
    ];
    let nodes = "s = Shape (x)  n = Gather (s, zero)  m = Unsqueeze (n, first)  shape = Concat <axis = 0> (m, rest)
                 [a] h = MatMul (x, w0)  r = Relu (h)  [b] g = MatMul (r, w1)  q = Relu (g)
                 [c] p = MatMul (q, w2)  o = Reshape (p, shape)  e = Relu (o)  f = Reshape (e, flat)  [d] y = MatMul (f, w3)";
    let model = model(8, &constants, nodes);
    let options = PruneOptions { pattern: Pattern::Channel, ..PruneOptions::new(Goal::Macs(0.4)) };
    let plan = decide(&model, &options).unwrap();
    let channels = plan.channels.as_ref().unwrap();
    let gone = |node: &str| channels.groups.iter().find(|g| g.node == node).map_or(0, |g| g.gone);
    assert!(gone("c") > 0 && gone("a") + gone("b") > 0, "{plan}");
    assert!(channels.solved + channels.unsolved.len() >= 2, "{plan}");
    let mut cut = model.clone();
    let _ = prune::apply(&mut cut, &plan).unwrap();
    let dataset = random(&model);
    let db = crate::quantize::sqnr(&model, &cut, &dataset);
    // 16.9 dB.
    assert!(db > 16.0, "{db}");
}

/// Loads nothing.
struct Broken;

impl Runtime for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn load(&self, _: &Model, _: &LoadOptions) -> onnxpress::Result<Box<dyn Session>> {
        Err(Error::runtime("it is broken"))
    }
}

#[test]
fn a_latency_that_cannot_be_measured_says_why() {
    let model = perceptron();
    let dataset = random(&model);
    let data = Data { dataset: &dataset, runtime: &Broken };
    let channels = |goal| PruneOptions { pattern: Pattern::Channel, ..PruneOptions::new(goal) };
    let refusal = prune::decide(&model, &channels(Goal::Latency(0.5)), Some(data), &Silent).unwrap_err();
    assert_eq!(refusal.to_string(), "it is broken");
    // Work is counted without running anything.
    let plan = prune::decide(&model, &channels(Goal::Macs(0.5)), Some(data), &Silent).unwrap();
    assert!(plan.notes.iter().any(|n| n.ends_with("it is broken")), "{:?}", plan.notes);
}

#[test]
fn channels_are_counted_in_parameters() {
    let model = perceptron();
    let exclude = vec!["one".into(), "three".into()];
    let options = PruneOptions { pattern: Pattern::Channel, exclude, ..PruneOptions::new(Goal::Size(0.1)) };
    let refusal = prune::decide(&model, &options, None, &Silent).unwrap_err().to_string();
    assert!(refusal.contains("--exclude"), "{refusal}");
    let options = PruneOptions { exclude: vec!["three".into()], ..options };
    let plan = prune::decide(&model, &options, None, &Silent).unwrap();
    assert!(plan.notes.iter().any(|n| n.starts_with("10.0 % of the parameters were wanted, ")), "{:?}", plan.notes);
    assert!(plan.to_string().contains(" parameters become "), "{plan}");
}

/// Gates, a left operand, and a weight that a caller may override.
#[test]
fn what_no_contraction_has_for_its_weight_is_listed() {
    let [w, r] = [weight("w", 12, 8), weight("r", 12, 4)].map(|t| t.replace("float[12,", "float[1,12,"));
    let constants = [w, r, weight("left", 4, 4), weight("given", 4, 4)].join(", ");
    let source = format!(
        "<ir_version: 8, opset_import: [\"\" : 17]> g (float[3,1,8] x, float[4,4] given) => (float[4,4] y) <{constants}>
         {{ rows = Constant <value_ints = [4, 1]> ()  square = Constant <value_ints = [4, 4]> ()
            [gru] s, h = GRU <hidden_size = 4> (x, w, r)  q = Reshape (h, rows)  [turned] l = MatMul (left, q)
            e = Expand (l, square)  [open] y = MatMul (e, given) }}"
    );
    let model = text::parse(&source).unwrap();
    let mut pruned = model.clone();
    let half = prune::decide(&model, &PruneOptions::new(Goal::Sparsity(0.5)), None, &Silent).unwrap();
    let _ = prune::apply(&mut pruned, &half).unwrap();
    let zeros = |name: &str| constant(&pruned, name).iter().filter(|w| **w == 0.0).count();
    assert_eq!(zeros("w") + zeros("r"), (12 * 8 + 12 * 4) / 2);
    let kept = half.tensors.iter().filter_map(|t| Some((t.tensor.as_str(), t.kept.as_deref()?))).collect::<Vec<_>>();
    let reasons = [
        ("left", "it is the left operand of the product: only right ones are pruned"),
        ("given", "it is an input with a default: simplify --only freeze-inputs makes it constant"),
    ];
    assert_eq!(kept, reasons);
    // Zeros of gates are in every four inputs of a row.
    let pattern = Pattern::Of { keep: 2, of: 4 };
    let grouped = PruneOptions { pattern, ..PruneOptions::new(Goal::Sparsity(0.5)) };
    let mut pruned = model.clone();
    let plan = prune::decide(&model, &grouped, None, &Silent).unwrap();
    let _ = prune::apply(&mut pruned, &plan).unwrap();
    for name in ["w", "r"] {
        let groups = constant(&pruned, name);
        assert!(groups.chunks(4).all(|g| g.iter().filter(|w| **w == 0.0).count() == 2), "{name}");
    }
}

/// A folder of one sample a file, so many of three rows and so many of five.
fn of_two_shapes(folder: &Path, model: &Model, counts: [usize; 2]) -> Dataset {
    for (rows, count) in [3, 5].into_iter().zip(counts) {
        for i in 0..count {
            let number = |k: usize| ((k * 7919 + i * 31 + rows) % 1009) as f32 / 504.5 - 1.0;
            let x = ndarray::Array3::from_shape_vec((1, rows, 8), (0..rows * 8).map(number).collect()).unwrap();
            ndarray_npy::write_npy(folder.join(format!("{rows}-{i:02}.npy")), &x).unwrap();
        }
    }
    Dataset::open(&DataOptions::new(folder.to_string_lossy()), &InputSpec::of(model)).unwrap()
}

#[test]
fn training_says_which_samples_it_takes() {
    let source = format!(
        "<ir_version: 8, opset_import: [\"\" : 17]> g (float[N,L,8] x) => (float[N,L,4] y) <{}> {{ y = MatMul (x, w) }}",
        weight("w", 8, 4)
    );
    let model = text::parse(&source).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let dataset = of_two_shapes(folder.path(), &model, [64, 2]);
    let half = prune::decide(&model, &PruneOptions::new(Goal::Sparsity(0.5)), None, &Silent).unwrap();
    let mut pruned = model.clone();
    let _ = prune::apply(&mut pruned, &half).unwrap();
    let report = recover(&model, &mut pruned, &dataset, &RecoverOptions::new(2), &Silent).unwrap();
    assert_eq!(report.samples, (64, 66));
    assert!(report.to_string().ends_with("on 64 of 66 samples: those of the commonest shape"), "{report}");

    let folder = tempfile::tempdir().unwrap();
    let few = of_two_shapes(folder.path(), &model, [2, 1]);
    let refusal = recover(&model, &mut pruned, &few, &RecoverOptions::new(2), &Silent).unwrap_err().to_string();
    assert!(refusal.ends_with("of one shape, and 2 have the commonest shape"), "{refusal}");
}

#[test]
fn weights_beside_the_file_weigh_in_the_compressed_size() {
    let mut model = model(64, &[weight("w0", 64, 64), weight("w1", 64, 4)], "h = MatMul (x, w0)  y = MatMul (h, w1)");
    model.external_data = true;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m.onnx");
    onnx::emit(&model, &file).unwrap();
    assert!(std::fs::metadata(&file).unwrap().len() < 4096, "the weights lie beside it");
    let program = env!("CARGO_BIN_EXE_onnxpress");
    let mut command = std::process::Command::new(program);
    let done = command.current_dir(folder.path()).args(["prune", "m.onnx", "-o", "o.onnx", "--sparsity", "0.9"]);
    let done = done.args(["--report", "json"]).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let packed = |r: &serde_json::Value, i: usize| r["sizes"][i]["compressed"].as_u64().unwrap();
    // 17 KB of numbers without order, nine of ten of which become zero.
    let [before, after] = [packed(&report, 0), packed(&report, 1)];
    assert!(before > 8192 && after < before / 2, "{before} {after}");

    // The same where the result takes the place of the original.
    let mut command = std::process::Command::new(program);
    let done = command.current_dir(folder.path()).args(["prune", "m.onnx", "-o", "m.onnx", "--sparsity", "0.9"]);
    let done = done.args(["--report", "json"]).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    // The file beside it has another name.
    assert!(packed(&report, 0) == before && packed(&report, 1).abs_diff(after) < 8, "{report}");
}

#[test]
fn sensitivity_to_pruning_takes_no_flags_of_quantization() {
    let folder = tempfile::tempdir().unwrap();
    onnx::emit(&perceptron(), &folder.path().join("m.onnx")).unwrap();
    let given = [
        ["--eval", "random:4"],
        ["--ranges", "r.json"],
        ["--include", "one"],
        ["--op-types", "MatMul"],
        ["--weights", "s8"],
        ["--smooth", "on"],
        ["--min-bytes", "10"],
    ];
    for flags in given {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_onnxpress"));
        let done = command.current_dir(folder.path()).args(["sensitivity", "m.onnx", "--prune", "--data", "random:8"]);
        let done = done.args(flags).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        let told = said.lines().next().unwrap_or_default();
        assert!(told.contains("--prune") && told.contains(&format!("cannot be used with '{}", flags[0])), "{said}");
        assert_eq!(done.status.code(), Some(2));
    }
}
