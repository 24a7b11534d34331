//! Tied weights: a table that is looked up, and multiplied with once it is transposed, is stored once whatever it becomes.

use onnxpress::ir::{DType, Model, Tensor, text};
use onnxpress::passes::{SimplifyOptions, simplify};
use onnxpress::quantize::{self, Format, Granularity, QuantOptions, Weights};

use crate::common::{alone, applied, near, numbers, runtimes};

const WORDS: usize = 160;
const WIDTH: usize = 64;

/// `i [N] → y [N, WORDS]` and the rows that were looked up. A gain before the product, as of a norm, is not folded into one of the two.
fn model() -> Model {
    let list = |count: usize, seed: u64| {
        numbers(count, 0.1, seed).iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    };
    let model = text::parse(&format!(
        "<ir_version: 8, opset_import: [\"\" : 17]> g (int64[N] i) => (float[N,{WORDS}] y, float[N,{WIDTH}] rows)
         <float[{WORDS},{WIDTH}] w = {{{}}}, float[{WIDTH},{WIDTH}] v = {{{}}}, float[{WIDTH}] gain = {{{}}}>
         {{ [look] rows = Gather (w, i) [between] m = MatMul (rows, v) h = Relu (m) n = Mul (h, gain)
            t = Transpose <perm = [1, 0]> (w) [tell] y = MatMul (n, t) }}",
        list(WORDS * WIDTH, 1),
        list(WIDTH * WIDTH, 2),
        list(WIDTH, 3),
    ))
    .unwrap();
    let mut clean = model.clone();
    let preset = onnxpress::target::find("onnxruntime").unwrap();
    let report = simplify(&mut clean, &SimplifyOptions::before_quantization(preset)).unwrap();
    assert!(report.passes.iter().any(|(name, count)| name == "untie-weights" && *count == 1));
    clean
}

fn bytes(model: &Model, least: usize) -> usize {
    let sizes = model.graph(model.main()).initializers().iter().map(|v| model.constant(*v).unwrap().byte_len());
    sizes.filter(|size| *size >= least).sum()
}

fn count(model: &Model, op: &str) -> usize {
    model.all_nodes().iter().filter(|n| model.node(**n).op_type == op).count()
}

/// The model as it is written, and how near it comes to `float` in each runtime.
fn pressed(float: &Model, options: &QuantOptions) -> (Model, Vec<f64>) {
    let plan = quantize::plan(float, None, options).unwrap();
    let written = applied(float, &plan);
    let ids: Vec<i64> = (0..48).map(|i| i * 37 % WORDS as i64).collect();
    let inputs = [("i".to_string(), Tensor::from_vec([ids.len()], ids))];
    let found = runtimes().into_iter().map(|r| near(r, float, &written, &inputs)).collect();
    (written, found)
}

#[test]
fn the_integers_are_there_once() {
    let float = model();
    let (table, between) = (WORDS * WIDTH, WIDTH * WIDTH);
    let dynamic = QuantOptions { format: Format::Dynamic, ..QuantOptions::for_target("onnxruntime").unwrap() };
    let of = |weights, granularity| alone("onnxruntime", weights, granularity);
    let cases = [
        ("8 bits", of(Weights::S8, Granularity::Channel), 8, ["Transpose", "Gather"], 38.0),
        ("dynamic", QuantOptions { min_bytes: 0, ..dynamic }, 8, ["Transpose", "Gather"], 30.0),
        ("4 bits", of(Weights::S4, Granularity::Block(32)), 4, ["Reshape", "GatherBlockQuantized"], 14.0),
        ("4 bits, zero points", of(Weights::U4, Granularity::Block(32)), 4, ["Reshape", "GatherBlockQuantized"], 14.0),
    ];
    for (name, options, bits, [joined, looked_up], least) in cases {
        let (written, found) = pressed(&float, &options);
        assert!(found.iter().all(|db| (least..least + 14.0).contains(db)), "{name}: {found:?}");
        assert_eq!(bytes(&written, between * bits / 8), (table + between) * bits / 8, "{name}");
        assert!(count(&written, joined) > 0 && count(&written, looked_up) > 0, "{name}");
        let floats = |v| written.constant(v).is_some_and(|t| t.dtype() == DType::F32 && t.len() > table / 16);
        assert!(!written.graph(written.main()).initializers().iter().any(|v| floats(*v)), "{name}");
    }
}

#[test]
fn what_stays_float_is_stored_once_again() {
    let float = model();
    let exclude = |node: &str| QuantOptions {
        exclude: vec![node.into()],
        ..alone("onnxruntime", Weights::S8, Granularity::Channel)
    };
    let (table, between) = (4 * WORDS * WIDTH, WIDTH * WIDTH);
    let plan = quantize::plan(&float, None, &exclude("tell")).unwrap();
    assert!(plan.to_string().contains("\"tell\" (MatMul) multiplies with it, too, and keeps floats"), "{plan}");
    let (written, found) = pressed(&float, &exclude("tell"));
    assert_eq!((bytes(&written, between), count(&written, "Transpose")), (table + between, 1));
    assert!(found.iter().all(|db| (38.0..60.0).contains(db)), "{found:?}");
    // A table that a user wants in float stays so, beside the integers of the product.
    let (written, _) = pressed(&float, &exclude("look"));
    assert_eq!(bytes(&written, between), table + table / 4 + between);
}
