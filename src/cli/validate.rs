//! `onnxpress validate`: a rewritten model against its original.

use std::path::PathBuf;

use super::Done;
use super::args::{DataArgs, GateArgs, positive, runtimes};
use super::bars::Bars;
use super::out::{put, say};
use crate::error::{Error, Result};
use crate::runtime::{self, RUNTIMES};
use crate::validate::size::{Size, size};
use crate::validate::{ValidateOptions, validate};
use crate::{pipeline, report};

#[derive(clap::Args)]
pub struct Args {
    /// The model as it was
    original: PathBuf,
    /// The model as it is now
    rewritten: PathBuf,
    #[command(flatten)]
    pub(super) data: DataArgs,
    #[command(flatten)]
    gates: GateArgs,
    #[arg(long, value_name = "R", default_value = RUNTIMES[0].name(), help = runtimes("Runtime that runs both"))]
    runtime: String,
    /// Threads of one run while timing
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = positive)]
    threads: usize,
    /// Leave timing out
    #[arg(long)]
    no_latency: bool,
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json", "markdown"])]
    format: String,
}

/// The comparison with the gates that were missed.
#[derive(serde::Serialize)]
struct Output<'a> {
    schema_version: u32,
    sizes: &'a (Size, Size),
    #[serde(flatten)]
    validation: &'a crate::validate::Validation,
    missed: &'a [crate::validate::Missed],
}

pub(super) fn run(args: &Args, bars: &Bars) -> Result<Done> {
    let runtime = runtime::find(&args.runtime)?;
    if args.no_latency && args.gates.gates().min_speedup.is_some() {
        return Err(Error::usage("--min-speedup needs the timing that --no-latency leaves out"));
    }
    let (original, rewritten) = (pipeline::load(&args.original)?, pipeline::load(&args.rewritten)?);
    let data = args.data.required(&original)?;
    let mut options = ValidateOptions { threads: args.threads, ..ValidateOptions::default() };
    if args.no_latency {
        options.latency = None;
    }
    let found = validate(&original, &rewritten, &data, runtime, &options, bars)?;
    let batch = data.batch(0)?;
    let weigh = |model, path| size(model, path, Some(&batch));
    let sizes = (weigh(&original, &args.original), weigh(&rewritten, &args.rewritten));
    let gates = args.gates.gates();
    gates.measured(&found)?;
    let missed = gates.missed(&found);
    match args.format.as_str() {
        "json" => {
            let schema_version = report::SCHEMA_VERSION;
            say!("{}", report::json(&Output { schema_version, sizes: &sizes, validation: &found, missed: &missed })?);
        }
        "markdown" => put!("{}", report::markdown(&sizes, &found, &missed)),
        _ => put!("{}{}", report::sizes(&sizes.0, &sizes.1), report::comparison(&found, &missed)),
    }
    Ok(if missed.is_empty() { Done::Well } else { Done::GateMissed })
}
