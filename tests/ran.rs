//! What the runtimes truly run in integers, of what was planned.

use onnxpress::quantize::{self, Format, QuantOptions};
use onnxpress::runtime;
use onnxpress::validate::ran::{Ran, ran};

use crate::common::onnxruntime;
use crate::quantize::{load, open, statistics};

fn of(name: &str, format: Format, runtime: &str) -> Ran {
    let mut model = load(name);
    let data = open(&model, &format!("{name}_calib.npz"), 50);
    // Every node, however small: what is asked is what is run, not whether it pays.
    let options = QuantOptions {
        format,
        symmetric_activations: format == Format::Integer,
        ..QuantOptions::for_target("onnxruntime").unwrap()
    };
    let ranges = statistics(&model, &options, "min-max", &data).ranges();
    let plan = quantize::plan(&model, Some(&ranges), &options).unwrap();
    quantize::apply(&mut model, &plan).unwrap();
    let inputs = data.batch(0).unwrap().inputs;
    ran(&model, &plan.in_integers(), &inputs, runtime::find(runtime).unwrap()).unwrap()
}

#[test]
fn tract_runs_integer_operators_and_no_quantize_dequantize_pair_in_integers() {
    for name in ["digits", "majority"] {
        let integer = of(name, Format::Integer, "tract");
        assert!(integer.planned > 0 && integer.others.is_empty(), "{integer:?}");
        let qdq = of(name, Format::Qdq, "tract");
        assert_eq!(qdq.integers, 0, "{qdq:?}");
        assert_eq!(qdq.others.len(), qdq.planned);
        // Of products that tract has put together only one has a name.
        let product = |op: &str| op.is_empty() || ["Conv", "MatMul", "EinSum"].iter().any(|p| op.contains(p));
        assert!(qdq.others.iter().all(|(_, op)| product(op)), "{qdq:?}");
    }
}

#[test]
fn onnx_runtime_fuses_every_planned_pair() {
    if onnxruntime().is_none() {
        return;
    }
    for name in ["digits", "majority"] {
        let found = of(name, Format::Qdq, "onnxruntime");
        assert!(found.planned > 0 && found.others.is_empty(), "{found:?}");
    }
}
