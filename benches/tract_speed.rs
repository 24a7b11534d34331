//! What the tract preset gains in tract on an MLP, a transformer encoder and a ResNet-18 with made-up weights.
//!
//!     cargo bench --bench tract_speed
//!     cargo bench --bench tract_speed -- real     the same of the models in ../shared/models that are present
//!
//! Each model is quantized by the preset's defaults and timed against its float original, interleaved, one thread. Times are lower quartiles, as other work only adds to them; beside the ratio the quartiles of single pairs. No node in
//! integers means that the preset leaves the model as it is, and the ratio says what two equal models differ by.

mod made;
mod real;

use onnxpress::data::DataOptions;
use onnxpress::ir::Model;
use onnxpress::pipeline::{RangeSource, decide};
use onnxpress::progress::Silent;
use onnxpress::quantize::{self, QuantOptions};
use onnxpress::runtime::timing::{LatencyOptions, interleaved, quantile, ratios};
use onnxpress::runtime::{self, LoadOptions};

fn main() {
    println!("{:>10} {:>10} {:>7} {:>13}   model, integer nodes", "float ms", "int8 ms", "ratio", "quarters");
    if std::env::args().any(|a| a == "real") {
        return real();
    }
    for (name, model) in [("MLP", made::mlp()), ("encoder", made::encoder()), ("ResNet-18", made::resnet18())] {
        said(name, compare(name, model, DataOptions::new("random:4")));
    }
}

fn real() {
    for real in real::models() {
        said(real.name, onnxpress::onnx::load(&real.path).and_then(|model| compare(real.name, model, real.data)));
    }
}

fn said(name: &str, result: onnxpress::Result<()>) {
    if let Err(error) = result {
        println!("{name}: {error}");
    }
}

fn compare(name: &str, model: Model, data: DataOptions) -> onnxpress::Result<()> {
    let options = QuantOptions::for_target("tract")?;
    let dataset = real::dataset(&data, &model)?;
    let tract = runtime::find("tract")?;
    let calibrator = onnxpress::calibrate::parse("min-max")?;
    let source = RangeSource::Data(&dataset, tract, calibrator);
    let plan = decide(&mut model.clone(), &options, Some(source), &Silent)?.plan;
    let mut integer = model.clone();
    quantize::apply(&mut integer, &plan)?;

    let fed = dataset.batch(0)?.inputs;
    let load = |model: &Model| tract.load(model, &LoadOptions::for_inputs(&fed));
    let (a, b) = (load(&model)?, load(&integer)?);
    let times = interleaved(&[(&*a, &fed), (&*b, &fed)], &LatencyOptions::default())?;
    let [float_ms, int_ms] = [0, 1].map(|i| quantile(&times[i], 0.25));
    let ratios = ratios(&times[0], &times[1]);
    let [low, high] = [0.25, 0.75].map(|q| quantile(&ratios, q));
    let ratio = float_ms / int_ms;
    println!(
        "{float_ms:>10.3} {int_ms:>10.3} {ratio:>6.2}× {:>13}   {name}, {} of {}",
        format!("{low:.2} … {high:.2}"),
        plan.quantized(),
        plan.nodes.len()
    );
    Ok(())
}
