//! What the user demands of the result, and by how much it is missed.

use schemars::JsonSchema;
use serde::Serialize;

use super::accuracy::{OutputDrift, TaskAccuracy, drop, worst_db};
use super::latency::Latency;
use super::run::Validation;
use crate::error::{Error, Result};
use crate::names::named;

named! {
    /// What can be demanded, as its flag names it.
    Gate, "gate" {
        /// Of top-1 accuracy, or without labels of agreement.
        MaxDrop = "max-drop",
        /// Time of the original ÷ time of the result.
        MinSpeedup = "min-speedup",
        /// Of the worst output, in dB.
        MinSqnr = "min-sqnr",
    }
}

/// Demands; an absent one is always met.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gates {
    /// Largest loss of top-1 accuracy, or without labels of agreement, as a share (0.005 is half a point).
    pub max_drop: Option<f64>,
    /// Smallest speed-up.
    pub min_speedup: Option<f64>,
    /// Smallest SQNR of any output, in dB.
    pub min_sqnr: Option<f64>,
}

/// A demand that was not met.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Missed {
    /// Which demand.
    pub gate: Gate,
    /// What was asked for.
    pub wanted: f64,
    /// What was measured.
    pub got: f64,
}

impl Gates {
    /// Whether something is asked for.
    pub fn any(&self) -> bool {
        self.max_drop.is_some() || self.min_speedup.is_some() || self.min_sqnr.is_some()
    }

    /// Refuses demands that the validation could not measure: neither met nor missed.
    ///
    /// # Errors
    /// Usage, naming the demand and what it needs.
    pub fn measured(&self, v: &Validation) -> Result<()> {
        if self.max_drop.or(self.min_sqnr).is_some() && !v.missing.is_empty() {
            let gate = if self.max_drop.is_some() { Gate::MaxDrop } else { Gate::MinSqnr };
            return unmeasured(gate, &format!("the outputs that are missing: {}", v.missing.join(", ")));
        }
        if self.min_speedup.is_some() && v.latency.is_none() {
            return unmeasured(Gate::MinSpeedup, "the timing that was left out");
        }
        self.measurable(v.task.as_ref(), &v.outputs)
    }

    /// The same of what these outputs tell.
    ///
    /// # Errors
    /// As [`Gates::measured`].
    pub fn measurable(&self, task: Option<&TaskAccuracy>, outputs: &[OutputDrift]) -> Result<()> {
        if self.max_drop.is_some() && drop(task, outputs).is_none() {
            return unmeasured(Gate::MaxDrop, "labels, or an output with classes");
        }
        if self.min_sqnr.is_some() && worst_db(outputs).is_none() {
            return unmeasured(Gate::MinSqnr, "an output of floats");
        }
        Ok(())
    }

    /// The demands that the validation does not meet.
    pub fn missed(&self, v: &Validation) -> Vec<Missed> {
        self.missed_by(v.task.as_ref(), &v.outputs, v.latency.as_ref())
    }

    /// The demands that what was measured does not meet. What was not measured misses none.
    pub fn missed_by(
        &self,
        task: Option<&TaskAccuracy>,
        outputs: &[OutputDrift],
        latency: Option<&Latency>,
    ) -> Vec<Missed> {
        let demands = [
            (Gate::MaxDrop, self.max_drop, drop(task, outputs)),
            (Gate::MinSpeedup, self.min_speedup, latency.map(|l| l.speedup)),
            (Gate::MinSqnr, self.min_sqnr, worst_db(outputs)),
        ];
        let missed = |(gate, wanted, got): (Gate, Option<f64>, Option<f64>)| {
            let (wanted, got) = wanted.zip(got)?;
            let missed = match gate {
                // One sample of a hundred is one of a hundred, however it is rounded.
                Gate::MaxDrop => got > wanted + 1e-12,
                Gate::MinSpeedup | Gate::MinSqnr => got < wanted,
            };
            missed.then_some(Missed { gate, wanted, got })
        };
        demands.into_iter().filter_map(missed).collect()
    }
}

fn unmeasured(gate: Gate, what: &str) -> Result<()> {
    Err(Error::usage(format!("--{gate} cannot be measured: it needs {what}")))
}
