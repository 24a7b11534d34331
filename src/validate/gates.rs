//! What the user demands of the result, and by how much it is missed.

use schemars::JsonSchema;
use serde::Serialize;

use super::accuracy::{OutputDrift, TaskAccuracy, drop, worst_db};
use super::run::Validation;
use crate::error::{Error, Result};

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
    pub gate: &'static str,
    pub wanted: f64,
    pub got: f64,
}

impl Gates {
    pub fn any(&self) -> bool {
        self.max_drop.is_some() || self.min_speedup.is_some() || self.min_sqnr.is_some()
    }

    /// Refuses demands that the validation could not measure: neither met nor missed.
    ///
    /// # Errors
    /// Usage, naming the demand and what it needs.
    pub fn measured(&self, v: &Validation) -> Result<()> {
        let needs = |gate, what: &str| Err(Error::usage(format!("--{gate} cannot be measured: it needs {what}")));
        if self.max_drop.or(self.min_sqnr).is_some() && !v.missing.is_empty() {
            let gate = if self.max_drop.is_some() { "max-drop" } else { "min-sqnr" };
            return needs(gate, &format!("the outputs that are missing: {}", v.missing.join(", ")));
        }
        if self.min_speedup.is_some() && v.latency.is_none() {
            return needs("min-speedup", "the timing that was left out");
        }
        self.measurable(v.task.as_ref(), &v.outputs)
    }

    /// The same of what these outputs tell.
    ///
    /// # Errors
    /// As [`Gates::measured`].
    pub fn measurable(&self, task: Option<&TaskAccuracy>, outputs: &[OutputDrift]) -> Result<()> {
        let needs = |gate, what: &str| Err(Error::usage(format!("--{gate} cannot be measured: it needs {what}")));
        if self.max_drop.is_some() && drop(task, outputs).is_none() {
            return needs("max-drop", "labels, or an output with classes");
        }
        if self.min_sqnr.is_some() && worst_db(outputs).is_none() {
            return needs("min-sqnr", "an output of floats");
        }
        Ok(())
    }

    pub fn missed(&self, v: &Validation) -> Vec<Missed> {
        let mut missed = Vec::new();
        let drop = drop(v.task.as_ref(), &v.outputs);
        if let (Some(wanted), Some(got)) = (self.max_drop, drop)
            && got > wanted + 1e-12
        {
            missed.push(Missed { gate: "max-drop", wanted, got });
        }
        let mut floor = |gate, wanted: Option<f64>, got: Option<f64>| {
            if let (Some(wanted), Some(got)) = (wanted, got)
                && got < wanted
            {
                missed.push(Missed { gate, wanted, got });
            }
        };
        floor("min-speedup", self.min_speedup, v.latency.as_ref().map(|l| l.speedup));
        floor("min-sqnr", self.min_sqnr, v.sqnr_db());
        missed
    }
}
