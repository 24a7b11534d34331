//! Weights that are float16 already: as integers they lose what float32 ones lose, and what reads them stays float16.

use onnxpress::ir::{DType, Model, Tensor, text};
use onnxpress::passes::{SimplifyOptions, simplify};
use onnxpress::quantize::{self, Format, Granularity, QuantOptions, Weights};

use crate::common::{alone, applied, near, numbers, runtimes};

/// A constant: its name, shape and number of elements.
type Constant = (&'static str, &'static str, usize);

/// An input, what is between its cast and that of the output, and the constants that it reads.
const BODIES: [(&str, &str, &[Constant]); 4] = [
    ("float[3,64] x", "m = MatMul (h, w)", &[("w", "[64,16]", 1024)]),
    ("float[3,64] x", "m = Gemm <transB = 1> (h, w, b)", &[("w", "[16,64]", 1024), ("b", "[16]", 16)]),
    ("float[2,8,9,9] x", "m = Conv <pads = [1,1,1,1]> (h, w, b)", &[("w", "[16,8,3,3]", 1152), ("b", "[16]", 16)]),
    ("float[3,64] x", "t = Gather (w, i) m = Add (h, t)", &[("w", "[9,64]", 576)]),
];

fn model(of: usize, float: &str) -> Model {
    let (input, nodes, constants) = BODIES[of];
    let constant = |(seed, (name, shape, count)): (usize, &Constant)| {
        let values = numbers(*count, 0.02, seed as u64 + 7);
        // The text has the bits of a float16.
        let text = |v: half::f16| if float == "float16" { v.to_bits().to_string() } else { v.to_string() };
        let values: Vec<String> = values.iter().map(|v| text(half::f16::from_f32(*v))).collect();
        format!("{float}{shape} {name} = {{{}}}", values.join(","))
    };
    let constants: Vec<String> = constants.iter().enumerate().map(constant).collect();
    let to = if float == "float16" { 10 } else { 1 };
    text::parse(&format!(
        "<ir_version: 8, opset_import: [\"\" : 17]> g ({input}) => (float[] y)
         <{}, int64[3] i = {{8, 0, 4}}> {{ h = Cast <to = {to}> (x) {nodes} y = Cast <to = 1> (m) }}",
        constants.join(", ")
    ))
    .unwrap()
}

/// The model with its weights alone in integers, and how near it comes in each runtime.
fn pressed(model: &Model, options: &QuantOptions) -> (Model, Vec<f64>) {
    let plan = quantize::plan(model, None, options).unwrap();
    assert_eq!(plan.quantized(), 1, "{plan}");
    let written = applied(model, &plan);
    let shape = model.tensor_type(model.user_inputs()[0]).known_shape().unwrap();
    let x = Tensor::from_vec(shape.clone(), numbers(shape.iter().product(), 0.05, 3));
    let inputs = [("x".to_string(), x)];
    let found = runtimes().into_iter().map(|r| near(r, model, &written, &inputs)).collect();
    (written, found)
}

#[test]
fn as_integers_they_lose_what_float32_ones_lose() {
    let forms = [
        (Weights::S8, Granularity::Channel),
        (Weights::S4, Granularity::Block(32)),
        (Weights::U4, Granularity::Block(32)),
    ];
    for (of, (_, nodes, _)) in BODIES.iter().enumerate() {
        for target in ["tract", "onnxruntime"] {
            for (weights, granularity) in forms {
                let options = alone(target, weights, granularity);
                let (_, wanted) = pressed(&model(of, "float"), &options);
                let (written, found) = pressed(&model(of, "float16"), &options);
                let told = format!("{nodes} {target} {} {wanted:?} {found:?}", weights.name());
                assert!(
                    !wanted.is_empty() && wanted.iter().zip(&found).all(|(w, f)| f > &(w - 1.5) && *f < 65.0),
                    "{told}"
                );
                let floats = |v| written.constant(v).is_some_and(|t| t.dtype() == DType::F32);
                assert!(!written.graph(written.main()).initializers().iter().any(|v| floats(*v)), "{told}");
            }
        }
    }
}

#[test]
fn the_opset_rises_only_where_their_scales_need_it() {
    let opset = |of, target, weights, granularity| {
        let (written, _) = pressed(&model(of, "float16"), &alone(target, weights, granularity));
        (written.onnx_opset(), written.meta.ir_version)
    };
    // By Cast and Mul, in the target's own operator, by DequantizeLinear, and in blocks by that.
    assert_eq!(opset(0, "tract", Weights::S8, Granularity::Channel), (17, Some(8)));
    assert_eq!(opset(0, "tract", Weights::S4, Granularity::Block(32)), (17, Some(8)));
    assert_eq!(opset(0, "onnxruntime", Weights::S8, Granularity::Channel), (19, Some(9)));
    assert_eq!(opset(0, "onnxruntime", Weights::S4, Granularity::Block(32)), (21, Some(10)));
}

#[test]
fn integers_are_not_computed_with_between_them() {
    let options = QuantOptions { format: Format::Dynamic, ..QuantOptions::for_target("onnxruntime").unwrap() };
    let plan = quantize::plan(&model(0, "float16"), None, &options).unwrap();
    assert_eq!(plan.quantized(), 0);
    assert!(plan.to_string().contains("its weight is float16"), "{plan}");
}

#[test]
fn what_gains_nothing_from_integers_stays_float16() {
    let folder = tempfile::tempdir().unwrap();
    let (path, out) = (folder.path().join("m.onnx"), folder.path().join("o.onnx"));
    // Sums of so few terms gain nothing in tract.
    onnxpress::onnx::emit(&model(0, "float16"), &path).unwrap();
    let done = std::process::Command::new(env!("CARGO_BIN_EXE_onnxpress"))
        .args(["quantize", "--target", "tract", "--format", "dynamic"])
        .args([path.as_os_str(), "-o".as_ref(), out.as_os_str()])
        .output()
        .unwrap();
    assert!(done.status.success());
    let [before, after] = [&path, &out].map(|p| std::fs::metadata(p).unwrap().len());
    assert!(after < before + 200, "{before} {after} {}", String::from_utf8_lossy(&done.stderr));
    let written = onnxpress::onnx::load(&out).unwrap();
    assert!(
        written.graph(written.main()).initializers().iter().all(|v| written.tensor_type(*v).dtype != Some(DType::F32))
    );
}

#[test]
fn weights_that_are_stored_so_and_cast_become_integers() {
    let bits: Vec<String> =
        numbers(1024, 0.02, 5).iter().map(|v| half::f16::from_f32(*v).to_bits().to_string()).collect();
    let source = format!(
        "<ir_version: 8, opset_import: [\"\" : 17]> g (float[3,64] x) => (float[3,16] y)
         <float16[64,16] w = {{{}}}> {{ f = Cast <to = 1> (w) y = MatMul (x, f) }}",
        bits.join(",")
    );
    let stored = text::parse(&source).unwrap();
    let mut clean = stored.clone();
    let preset = onnxpress::target::find("onnxruntime").unwrap();
    simplify(&mut clean, &SimplifyOptions::before_quantization(preset)).unwrap();
    let (_, found) = pressed(&clean, &alone("onnxruntime", Weights::S8, Granularity::Channel));
    assert!(found.iter().all(|db| (38.0..65.0).contains(db)), "{found:?}");
    // The clean-up alone leaves them as short as they are.
    let mut clean = stored.clone();
    simplify(&mut clean, &SimplifyOptions::for_target(preset)).unwrap();
    assert_eq!(clean.all_nodes().len(), 2);
}
