//! How much faster one model is than another: measured, or as an earlier run measured it.

use super::options::QuantOptions;
use crate::error::Result;
use crate::ir::{Model, Tensor};
use crate::runtime::costs::Costs;
use crate::runtime::timing::{LatencyOptions, Timed, interleaved, quantile};
use crate::runtime::{LoadOptions, Runtime};

/// Times models in one runtime, on one thread.
pub(super) struct Stopwatch<'a> {
    pub runtime: &'a dyn Runtime,
    costs: Costs,
}

impl<'a> Stopwatch<'a> {
    pub fn new(runtime: &'a dyn Runtime, options: &QuantOptions) -> Self {
        Stopwatch { runtime, costs: Costs::open(options.costs.as_deref(), runtime) }
    }

    /// Time of the first ÷ time of each other, all in one run. Other work on the machine only adds to times, so their
    /// lower quartiles are compared.
    pub fn speedups(
        &mut self,
        models: &[&Model],
        inputs: &[(String, Tensor)],
        options: &LatencyOptions,
    ) -> Result<Vec<f64>> {
        let runtime = self.runtime;
        self.costs.ratios(models, inputs, || {
            let load = |model: &&Model| runtime.load(model, &LoadOptions::for_run(model, inputs).with_threads(1));
            let sessions = models.iter().map(load).collect::<Result<Vec<_>>>()?;
            let timed: Vec<Timed> = sessions.iter().map(|s| (&**s, inputs)).collect();
            let times = interleaved(&timed, options)?;
            Ok(times[1..].iter().map(|own| quantile(&times[0], 0.25) / quantile(own, 0.25)).collect())
        })
    }

    /// Keeps what was measured for later runs; says what is of earlier ones.
    pub fn stop(self) -> Option<String> {
        self.costs.keep();
        let (read, all) = (self.costs.read, self.costs.read + self.costs.measured);
        (read > 0).then(|| {
            format!(
                "{read} of {all} ratios were measured in an earlier run on this machine (--no-cost-cache measures anew)"
            )
        })
    }
}
