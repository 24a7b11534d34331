//! Models side by side: each run of one beside a run of every other.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use super::latency::{LatencyOptions, Timed, Times, interleaved, quantile, summary};
use crate::error::Result;
use crate::ir::{Model, Tensor};
use crate::runtime::timing::{decimals, ratios};
use crate::runtime::{Ready, Rewrites, Runtime, load_as_it_stands};

/// Times in one runtime.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Bench {
    /// Its name.
    pub runtime: String,
    /// Threads of one run.
    pub threads: usize,
    /// Runs of each model.
    pub runs: usize,
    /// In the order in which they were given.
    pub models: Vec<Benched>,
}

/// Times of one model.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Benched {
    /// The file.
    pub model: PathBuf,
    /// What it takes.
    #[serde(flatten)]
    pub times: Times,
    /// Median over the runs of the time of the first model ÷ that of this one.
    pub ratio: f64,
}

/// A model to be timed.
pub struct Entry {
    /// The file.
    pub path: PathBuf,
    /// What is in it.
    pub model: Model,
    /// What it is run on.
    pub inputs: Vec<(String, Tensor)>,
}

/// Times models on inputs, each as its file stands.
///
/// # Errors
/// Runtime, for a model that it cannot run.
pub fn bench(models: &[Entry], (runtime, threads): (&dyn Runtime, usize), options: &LatencyOptions) -> Result<Bench> {
    let load = |e: &Entry| {
        load_as_it_stands(runtime, &e.model, &e.inputs, (Rewrites::Runtime, threads))
            .map_err(|error| error.in_file(&e.path))
    };
    let sessions: Vec<Ready> = models.iter().map(load).collect::<Result<_>>()?;
    let pairs: Vec<Timed> = sessions.iter().map(|(s, i)| (&**s, i.as_slice())).collect();
    let times = interleaved(&pairs, options)?;
    let benched = |(entry, own): (&Entry, &Vec<f64>)| Benched {
        model: entry.path.clone(),
        times: summary(own),
        ratio: quantile(&ratios(&times[0], own), 0.5),
    };
    Ok(Bench {
        runtime: runtime.name().into(),
        threads,
        runs: times.first().map_or(0, Vec::len),
        models: models.iter().zip(&times).map(benched).collect(),
    })
}

impl fmt::Display for Bench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (runtime, runs) = (&self.runtime, self.runs);
        writeln!(f, "{:>12} {:>12} {:>8}   model ({runtime}, {runs} runs)", "median ms", "p95 ms", "ratio")?;
        for m in &self.models {
            let (Times { median_ms, p95_ms }, ratio, model) = (m.times, m.ratio, m.model.display());
            let digits = decimals(ratio);
            writeln!(f, "{median_ms:>12.3} {p95_ms:>12.3} {ratio:>7.digits$}×   {model}")?;
        }
        Ok(())
    }
}
