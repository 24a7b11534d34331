//! The dynamic form needs no data, so that nothing else tells when it makes a model slower.
//!
//! Integers of convolutions whose inputs are measured in each run take longer than floats on most processors. Original and result are run in
//! turns for a moment on the data, or on inputs made up for their declared shapes, and a loss is said.

use std::time::Duration;

use crate::data::{DataOptions, Dataset, InputSpec};
use crate::error::Result;
use crate::ir::Model;
use crate::quantize::{Format, QuantPlan, Switch};
use crate::runtime::timing::{LatencyOptions, interleaved, quantile, ratios};
use crate::runtime::{Rewrites, load_as_it_stands};
use crate::{runtime, target};

const MOMENT: LatencyOptions = LatencyOptions { min_runs: 5, max_runs: 50, budget: Duration::from_millis(500) };
/// Loading more than this takes longer than it is worth.
const LARGEST: usize = 256 << 20;
/// Shorter runs are of call overhead, in milliseconds.
const SHORTEST: f64 = 0.2;
/// Two runs of one model differ by as much.
const LOSS: f64 = 0.95;

/// What to say of the speed of `written`, if that is less than of `original`, and nothing else has timed it.
pub fn slower(original: &Model, written: &Model, plan: &QuantPlan, data: Option<&Dataset>) -> Option<String> {
    let untimed = plan.options.effective_format() == Format::Dynamic && plan.options.tune == Switch::Auto;
    if !untimed || plan.quantized() == 0 || original.weight_bytes() > LARGEST {
        return None;
    }
    // What cannot be run here is no fault of the file.
    let (ratio, name) = timed(original, written, plan, data).ok().flatten()?;
    let advice = "--tune latency with --data leaves what loses in float, --op-types MatMul,Gemm leaves convolutions";
    (ratio < LOSS).then(|| format!("slower than float: it runs at {ratio:.2}x in {name} ({advice})"))
}

fn timed(
    original: &Model,
    written: &Model,
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
        None => Dataset::open(&DataOptions::new("random:1"), &InputSpec::of(original))?.batch(0)?.inputs,
    };
    let load = |m: &Model| load_as_it_stands(runtime, m, &inputs, (Rewrites::Runtime, 1));
    let ((float, fed), (integer, _)) = (load(original)?, load(written)?);
    let times = interleaved(&[(&*float, &fed), (&*integer, &fed)], &MOMENT)?;
    let tells = quantile(&times[0], 0.5) >= SHORTEST || quantile(&times[1], 0.5) >= SHORTEST;
    Ok(tells.then(|| (quantile(&ratios(&times[0], &times[1]), 0.5), runtime.name())))
}
