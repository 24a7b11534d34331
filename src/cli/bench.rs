//! `onnxpress bench`: models timed side by side.

use std::path::PathBuf;

use super::Done;
use super::args::{DataArgs, in_runtimes, positive, runtimes};
use super::printed::Printed;
use crate::error::Result;
use crate::pipeline;
use crate::validate::bench::{Entry, bench};
use crate::validate::latency::LatencyOptions;

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
    /// Print the times as text or json
    #[arg(long, visible_alias = "report", value_name = "FORMAT", value_enum, default_value_t)]
    format: Printed,
}

pub(super) fn run(args: &Args) -> Result<Done> {
    let mut models = Vec::new();
    for path in &args.models {
        let model = pipeline::load(path)?;
        let data = args.data.open(args.data.data.as_deref().unwrap_or("random:1"), &model)?;
        let inputs = data.batch(0)?.inputs;
        models.push(Entry { path: path.clone(), model, inputs });
    }
    // There is a first one: the command line asks for it.
    let timed = |runtime| bench(&models, (runtime, args.threads), &LatencyOptions::default());
    let all = in_runtimes(&args.runtime, &models[0].model, timed)?;
    args.format.print_all(&all, |all| all.iter().map(ToString::to_string).collect())?;
    Ok(Done::Well)
}
