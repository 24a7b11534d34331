//! `onnxpress validate`: a rewritten model against its original.

use std::path::PathBuf;

use super::Done;
use super::args::{DataArgs, GateArgs, in_runtimes, positive, runtimes};
use super::bars::Bars;
use super::out::{self, put, say};
use crate::error::{Error, Result};
use crate::runtime;
use crate::validate::size::{Size, size};
use crate::validate::{Missed, ValidateOptions, Validation, validate};
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
    #[arg(long, value_name = "R", value_delimiter = ',', help = runtimes("Runtimes that run both"))]
    runtime: Vec<String>,
    /// Threads of one run while timing
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = positive)]
    threads: usize,
    /// Leave timing out
    #[arg(long)]
    no_latency: bool,
    /// Print the report as text, json or markdown
    #[arg(long, visible_alias = "report", value_name = "FORMAT", value_enum, default_value_t)]
    format: Printed,
}

/// How a comparison is printed: it is what people show others.
#[derive(Clone, Copy, Default, clap::ValueEnum)]
enum Printed {
    #[default]
    Text,
    Json,
    Markdown,
}

/// The comparison in one runtime, with the gates that were missed.
#[derive(serde::Serialize, schemars::JsonSchema)]
pub(super) struct Output {
    sizes: (Size, Size),
    #[serde(flatten)]
    validation: Validation,
    missed: Vec<Missed>,
}

pub(super) fn run(args: &Args, bars: &Bars) -> Result<Done> {
    runtime::find_all(&args.runtime)?;
    if args.no_latency && args.gates.gates().min_speedup.is_some() {
        return Err(Error::usage("--min-speedup needs the timing that --no-latency leaves out"));
    }
    let (original, rewritten) = (pipeline::load(&args.original)?, pipeline::load(&args.rewritten)?);
    let data = args.data.required(&original)?;
    let mut options = ValidateOptions { threads: args.threads, ..ValidateOptions::default() };
    if args.no_latency {
        options.latency = None;
    }
    let batch = data.batch(0)?;
    let weigh = |model, path| size(model, path, Some(&batch));
    let sizes = (weigh(&original, &args.original), weigh(&rewritten, &args.rewritten));
    let gates = args.gates.gates();
    let all = in_runtimes(&args.runtime, &original, |runtime| {
        let validation = validate(&original, &rewritten, &data, runtime, &options, bars)?;
        gates.measured(&validation)?;
        let missed = gates.missed(&validation);
        Ok(Output { sizes, validation, missed })
    })?;
    match args.format {
        Printed::Json => say!("{}", report::json_of_each(&all)?),
        Printed::Markdown => all
            .iter()
            .try_for_each(|o| out::write(format_args!("{}", report::markdown(&sizes, &o.validation, &o.missed))))?,
        Printed::Text => {
            put!("{}", report::sizes(&sizes.0, &sizes.1));
            for o in &all {
                if all.len() > 1 {
                    say!("  in {}", o.validation.runtime);
                }
                put!("{}", report::comparison(&o.validation, &o.missed));
            }
        }
    }
    Ok(if all.iter().all(|o| o.missed.is_empty()) { Done::Well } else { Done::GateMissed })
}
