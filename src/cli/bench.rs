//! `onnxpress bench`: models timed side by side.

use std::path::PathBuf;

use super::Done;
use super::args::{DataArgs, in_runtimes, positive, runtimes};
use super::out::say;
use crate::error::Result;
use crate::pipeline;
use crate::runtime::timing::ratios;
use crate::runtime::{Ready, Rewrites, Runtime, load_as_it_stands};
use crate::validate::latency::{LatencyOptions, Timed, interleaved, quantile, summary};

#[derive(clap::Args)]
pub struct Args {
    /// The models; the first is what the others are compared with
    #[arg(required = true)]
    models: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) data: DataArgs,
    #[arg(long, value_name = "R", value_delimiter = ',', help = runtimes("Runtimes that run them"))]
    runtime: Vec<String>,
    /// Threads of one run
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = positive)]
    threads: usize,
}

pub(super) fn run(args: &Args) -> Result<Done> {
    // There is one: the command line asks for it.
    let first = pipeline::load(&args.models[0])?;
    in_runtimes(&args.runtime, &first, |runtime| time(args, runtime))?;
    Ok(Done::Well)
}

fn time(args: &Args, runtime: &dyn Runtime) -> Result<()> {
    let mut sessions: Vec<Ready> = Vec::new();
    for path in &args.models {
        let model = pipeline::load(path)?;
        let data = args.data.open(args.data.data.as_deref().unwrap_or("random:1"), &model)?;
        let inputs = data.batch(0)?.inputs;
        let how = (Rewrites::Runtime, args.threads);
        sessions.push(load_as_it_stands(runtime, &model, &inputs, how).map_err(|e| e.in_file(path))?);
    }
    let pairs: Vec<Timed> = sessions.iter().map(|(s, i)| (&**s, i.as_slice())).collect();
    let times = interleaved(&pairs, &LatencyOptions::default())?;
    say!("{:>12} {:>12} {:>8}   model ({}, {} runs)", "median ms", "p95 ms", "ratio", runtime.name(), times[0].len());
    for (path, own) in args.models.iter().zip(&times) {
        let ratios = ratios(&times[0], own);
        let t = summary(own);
        let ratio = quantile(&ratios, 0.5);
        // A ratio far below one keeps its digits.
        let digits = if ratio < 0.1 { 4 } else { 2 };
        say!("{:>12.3} {:>12.3} {ratio:>7.digits$}×   {}", t.median_ms, t.p95_ms, path.display());
    }
    Ok(())
}
