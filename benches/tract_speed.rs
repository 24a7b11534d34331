//! What the tract preset gains in tract on an MLP, a transformer encoder and a ResNet-18 with made-up weights.
//!
//!     cargo bench --bench tract_speed
//!
//! Each model is quantized by the preset's defaults and timed against its float original, interleaved, one thread.

mod made;

use onnxpress::data::{DataOptions, Dataset, InputSpec};
use onnxpress::ir::Model;
use onnxpress::pipeline::{RangeSource, decide};
use onnxpress::progress::Silent;
use onnxpress::quantize::{self, QuantOptions};
use onnxpress::runtime::timing::{LatencyOptions, interleaved, quantile, ratios};
use onnxpress::runtime::{self, LoadOptions};

fn main() {
    println!("{:>10} {:>10} {:>7}   model, integer nodes", "float ms", "int8 ms", "ratio");
    for (name, model) in [("MLP", made::mlp()), ("encoder", made::encoder()), ("ResNet-18", made::resnet18())] {
        compare(name, model);
    }
}

fn compare(name: &str, model: Model) {
    let options = QuantOptions::for_target("tract").unwrap();
    let inputs = model.user_inputs().into_iter();
    let inputs = inputs.map(|v| InputSpec { name: model.name(v).into(), ty: model.tensor_type(v) });
    let dataset = Dataset::open(&DataOptions::new("random:4"), &inputs.collect::<Vec<_>>()).unwrap();
    let tract = runtime::find("tract").unwrap();
    let calibrator = onnxpress::calibrate::parse("min-max").unwrap();
    let source = RangeSource::Data(&dataset, tract, calibrator);
    let plan = decide(&model, &options, Some(source), &Silent).unwrap();
    let mut integer = model.clone();
    quantize::apply(&mut integer, &plan).unwrap();

    let fed = dataset.batch(0).unwrap().inputs;
    let load = |model: &Model| tract.load(model, &LoadOptions::for_inputs(&fed)).unwrap();
    let (a, b) = (load(&model), load(&integer));
    let times = interleaved(&[(&*a, &fed), (&*b, &fed)], &LatencyOptions::default()).unwrap();
    let [float_ms, int_ms] = [0, 1].map(|i| quantile(&times[i], 0.5));
    let ratio = quantile(&ratios(&times[0], &times[1]), 0.5);
    println!("{float_ms:>10.3} {int_ms:>10.3} {ratio:>6.2}×   {name}, {} of {}", plan.quantized(), plan.nodes.len());
}
