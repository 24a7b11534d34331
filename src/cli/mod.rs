//! The command line: one file per subcommand. It knows flags and files, no algorithms.

mod args;
mod bars;
mod bench;
mod calibrate;
mod completions;
mod inspect;
mod interrupt;
mod optimize;
mod out;
mod plan;
mod printed;
mod prune;
mod quant_args;
mod quantize;
mod recipe;
mod schema;
mod sensitivity;
mod simplify;
mod validate;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anstream::eprintln;
use clap::{CommandFactory, Parser, Subcommand};

use crate::error::Result;
use crate::report::Report;
use crate::runtime;

/// Press trained ONNX models: smaller, faster, and measured.
#[derive(Parser)]
#[command(name = "onnxpress", version, about, args_override_self = true, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Say more (-v, -vv); RUST_LOG says it finer
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// ONNX Runtime's shared library, where it is not found by itself
    #[arg(long, global = true, value_name = "FILE")]
    ort_lib: Option<PathBuf>,
    /// No progress bars
    #[arg(short, long, global = true)]
    quiet: bool,
}

#[derive(Subcommand)]
enum Command {
    /// The main job: simplify, quantize, prune if asked, validate, report
    Optimize(Box<optimize::Args>),
    /// What is in a model, and what could be done with it
    Inspect(inspect::Args),
    /// Clean the graph; outputs stay
    Simplify(simplify::Args),
    /// Observe the ranges of activations on data
    Calibrate(calibrate::Args),
    /// Quantize weights and activations
    Quantize(quantize::Args),
    /// What quantizing, or pruning, each node alone does to the outputs
    Sensitivity(Box<sensitivity::Args>),
    /// Set weights of low importance to zero, or take channels and heads out
    Prune(Box<prune::Args>),
    /// Compare a rewritten model with its original on data
    Validate(validate::Args),
    /// Time models side by side
    Bench(bench::Args),
    /// Completions for a shell
    Completions(completions::Args),
    /// The manual page, of onnxpress or of a subcommand
    Man(completions::ManArgs),
    /// The JSON schema of what a subcommand reports
    Schema(schema::Args),
}

/// What a subcommand ended with.
pub(crate) enum Done {
    Well,
    /// A gate was missed: the output is there, the exit code is 1.
    GateMissed,
    /// The output is there, but the runtime cannot run it or its original: the exit code is 4.
    Unproven,
}

impl Done {
    /// Of a job with this report.
    fn of(report: &Report) -> Self {
        match (&report.unproven, report.missed.is_empty()) {
            (Some(_), _) => Done::Unproven,
            (None, false) => Done::GateMissed,
            (None, true) => Done::Well,
        }
    }
}

/// Runs the command line; the exit code is 0 done, 1 a gate missed, 2 bad usage, 3 bad input, 4 the runtime cannot run the model, 70 a defect of
/// onnxpress itself.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match recipe::expand(args.into_iter().collect()) {
        Ok(args) => args,
        Err(e) => return fail(&e),
    };
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(e) => {
            // Nothing is left to tell if even the message cannot be printed.
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { 2 } else { 0 });
        }
    };
    start_log(cli.verbose);
    match dispatch(cli) {
        Ok(Done::Well) => ExitCode::SUCCESS,
        Ok(Done::GateMissed) => ExitCode::from(1),
        Ok(Done::Unproven) => ExitCode::from(4),
        Err(e) => fail(&e),
    }
}

fn dispatch(cli: Cli) -> Result<Done> {
    cli.ort_lib.as_deref().map_or(Ok(()), runtime::use_onnxruntime)?;
    let bars = bars::Bars::new(cli.quiet);
    match cli.command {
        Command::Optimize(args) => optimize::run(&args, &bars).map_err(|e| args.data.explain(e)),
        Command::Inspect(args) => inspect::run(&args),
        Command::Simplify(args) => simplify::run(&args, &bars),
        Command::Calibrate(args) => calibrate::run(&args, &bars).map_err(|e| args.data.explain(e)),
        Command::Quantize(args) => quantize::run(&args, &bars).map_err(|e| args.data.explain(e)),
        Command::Sensitivity(args) => sensitivity::run(&args, &bars).map_err(|e| args.data.explain(e)),
        Command::Prune(args) => prune::run(&args, &bars).map_err(|e| args.data.explain(e)),
        Command::Validate(args) => validate::run(&args, &bars).map_err(|e| args.data.explain(e)),
        Command::Bench(args) => bench::run(&args).map_err(|e| args.data.explain(e)),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => completions::man(&args),
        Command::Schema(args) => schema::run(&args),
    }
}

fn fail(e: &crate::Error) -> ExitCode {
    let red = anstyle::AnsiColor::Red.on_default().bold();
    eprintln!("{red}error{red:#}: {e}");
    ExitCode::from(e.exit_code())
}

fn start_log(verbose: u8) {
    let level = ["warn", "info", "debug", "trace"][usize::from(verbose.min(3))];
    // The runtime underneath logs much that is no news to the user.
    let fallback = format!("onnxpress={level},warn,tract_core=error,tract_onnx=error");
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| fallback.into());
    let coloured = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time();
    // A second start in one process keeps the first.
    let _ = log.with_ansi(coloured).with_target(false).try_init();
}

fn command() -> clap::Command {
    Cli::command()
}
