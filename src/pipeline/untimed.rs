//! The dynamic form needs no data, so that nothing else tells when it makes a model slower.
//!
//! Integers of convolutions whose inputs are measured in each run take longer than floats on most processors. Original and result are run in
//! turns for a moment on the data, or on inputs made up for their declared shapes, and a loss is said.

use std::path::Path;
use std::time::Duration;

use crate::data::Dataset;
use crate::error::Result;
use crate::ir::Model;
use crate::quantize::{Format, QuantPlan, Switch};
use crate::runtime::timing::LatencyOptions;
use crate::validate::bench::{Entry, bench};
use crate::validate::everywhere::Inputs;
use crate::{onnx, runtime, target};

const MOMENT: LatencyOptions = LatencyOptions { min_runs: 5, max_runs: 50, budget: Duration::from_millis(500) };
/// Loading more than this takes longer than it is worth.
const LARGEST: usize = 256 << 20;
/// Shorter runs are of call overhead, in milliseconds.
const SHORTEST: f64 = 0.2;
/// Two runs of one model differ by as much.
const LOSS: f64 = 0.95;

/// What to say of the speed of the file `written`, if that is less than of `original`, and nothing else has timed it.
pub fn slower(original: (&Path, &Model), written: &Path, plan: &QuantPlan, data: Option<&Dataset>) -> Option<String> {
    let untimed = plan.options.effective_format() == Format::Dynamic && plan.options.tune == Switch::Auto;
    if !untimed || plan.quantized() == 0 || original.1.weight_bytes() > LARGEST {
        return None;
    }
    // What cannot be run here is no fault of the file.
    let (ratio, name) = timed(original, written, plan, data).ok().flatten()?;
    let advice = "--tune latency with --data leaves what loses in float, --op-types MatMul,Gemm leaves convolutions";
    (ratio < LOSS).then(|| format!("slower than float: it runs at {ratio:.2}x in {name} ({advice})"))
}

fn timed(
    (path, original): (&Path, &Model),
    written: &Path,
    plan: &QuantPlan,
    data: Option<&Dataset>,
) -> Result<Option<(f64, &'static str)>> {
    let name = target::find(&plan.options.target)?.name;
    let runtime = runtime::closest_to(name);
    if runtime.name() != name {
        return Ok(None);
    }
    let inputs = match data {
        Some(data) => data.batch(0)?.inputs,
        None => Inputs::default().open(1, original)?.batch(0)?.inputs,
    };
    let entry = |path: &Path, model| Entry { path: path.into(), model, inputs: inputs.clone() };
    let models = [entry(path, original.clone()), entry(written, onnx::load(written)?)];
    let found = bench(&models, (runtime, 1), &MOMENT)?;
    let tells = found.models.iter().any(|m| m.times.median_ms >= SHORTEST);
    Ok(found.models.last().filter(|_| tells).map(|m| (m.ratio, name)))
}
