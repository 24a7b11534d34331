//! Flags that several subcommands share.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::interrupt;
use crate::data::{DataOptions, Dataset, InputSpec, is_made_up};
use crate::error::{Error, ErrorKind, Result};
use crate::files::{destination, folder_of};
use crate::ir::Model;
use crate::pipeline::Data;
use crate::recover::Recover;
use crate::runtime::Runtime;
use crate::validate::Gates;
use crate::{runtime, target};

/// Where samples come from.
#[derive(Args, Clone)]
pub struct DataArgs {
    /// .npz, .npy, .safetensors, a folder of .npz or of images, or random:N
    #[arg(long, value_name = "DATA")]
    pub data: Option<String>,
    /// The order of image classes, one per line
    #[arg(long, value_name = "FILE")]
    pub synsets: Option<PathBuf>,
    /// What is done to images, as "resize=256,crop=224,mean=127,std=128"
    #[arg(long, value_name = "STEPS")]
    pub preprocess: Option<String>,
    /// Samples per run, where the model leaves that open
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = positive)]
    pub batch_size: usize,
    /// At most so many samples
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Seed of random data
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Sizes of an input, as input=1,3,224,224; −1 where the declared size stands. One that the model names holds in all inputs
    #[arg(long, value_name = "NAME=DIMS", value_parser = shape)]
    pub shape: Vec<(String, Vec<i64>)>,
}

impl DataArgs {
    /// The data to fit to, and those of `eval` for the proof where they are others.
    pub fn both(&self, eval: Option<&String>, model: &Model) -> Result<Data> {
        let open = |spec: Option<&String>| spec.map(|spec| self.open(spec, model)).transpose();
        Ok(Data { calibration: open(self.data.as_ref())?, validation: open(eval)? })
    }

    /// The dataset that `spec` names, checked against the model's inputs.
    pub fn open(&self, spec: &str, model: &Model) -> Result<Dataset> {
        let options = DataOptions {
            spec: spec.to_string(),
            synsets: self.synsets.clone(),
            preprocess: self.preprocess.clone(),
            batch_size: self.batch_size,
            limit: self.limit,
            seed: self.seed,
            shapes: self.shape.clone(),
        };
        let dataset = Dataset::open(&options, &InputSpec::of(model))?;
        if dataset.is_random() {
            tracing::warn!(
                "random data (seed {}): accuracy and ranges measured on it MEAN NOTHING; only speed and drift do",
                options.seed
            );
        }
        Ok(dataset)
    }

    /// Adds to what a runtime refuses that the sizes may be at fault, where they were made up.
    pub fn explain(&self, error: Error) -> Error {
        // Where none are named, none are run, or some are made up.
        let made_up = is_made_up(self.data.as_deref());
        match made_up && error.kind() == ErrorKind::Runtime {
            true => error.with_advice(
                "random data made sizes up where the model leaves them open: --shape NAME=DIMS gives them",
            ),
            false => error,
        }
    }

    pub fn required(&self, model: &Model) -> Result<Dataset> {
        let spec = self.data.as_deref();
        self.open(spec.ok_or_else(|| Error::usage("--data is missing (random:8 makes some up)"))?, model)
    }
}

pub fn shape(text: &str) -> Result<(String, Vec<i64>), String> {
    let (name, dims) = text.rsplit_once('=').ok_or("it is NAME=DIMS, as input=1,3,224,224")?;
    let dim = |d: &str| d.trim().parse::<i64>().ok().filter(|n| *n >= -1);
    let dims: Option<Vec<i64>> = dims.split([',', 'x']).map(dim).collect();
    Ok((name.to_string(), dims.ok_or_else(|| format!("\"{text}\" holds a dimension that is no size (or −1)"))?))
}

/// Help that ends with the names to choose from.
pub fn one_of(what: &str, names: impl IntoIterator<Item = impl ToString>) -> String {
    let names: Vec<String> = names.into_iter().map(|n| n.to_string()).collect();
    format!("{what}: {}", names.join(", "))
}

/// The same at length: each name with what it says of itself.
pub fn each_of(what: &str, table: impl IntoIterator<Item = (impl Display, &'static str)>) -> String {
    let lines = table.into_iter().map(|(name, summary)| format!("\n  {name}: {summary}"));
    format!("{what}:{}", lines.collect::<String>())
}

const TARGET: &str = "Deployment target";

pub fn each_target() -> String {
    each_of(TARGET, target::PRESETS.iter().map(|p| (p.name, p.summary)))
}

pub fn targets() -> String {
    one_of(TARGET, target::PRESETS.iter().map(|p| p.name))
}

pub fn runtimes(what: &str) -> String {
    let default = runtime::built_in().name();
    format!(
        "{} [default: {default}, or another where it cannot]",
        one_of(what, runtime::RUNTIMES.iter().map(|r| r.name()))
    )
}

/// What `work` makes in each runtime that is named; where none is, in the first that can run the model.
pub fn in_runtimes<T>(
    named: &[String],
    model: &Model,
    mut work: impl FnMut(&'static dyn Runtime) -> Result<T>,
) -> Result<Vec<T>> {
    if !named.is_empty() {
        return runtime::find_all(named)?.into_iter().map(work).collect();
    }
    let mut first = None;
    for runtime in runtime::in_order(model) {
        match work(runtime) {
            Err(e) if e.kind() == ErrorKind::Runtime => first = first.or(Some(e)),
            done => {
                let why = first.map_or("float16 is slow in the built-in one".into(), |e| e.to_string());
                if runtime.name() != runtime::built_in().name() {
                    tracing::warn!("in {} instead: {why}", runtime.name());
                }
                return Ok(vec![done?]);
            }
        }
    }
    Err(first.unwrap_or_else(|| Error::runtime("there is no runtime")))
}

/// The same, and what runs data where none of them is named.
pub fn calibrating(what: &str) -> String {
    let all = runtime::RUNTIMES.iter().map(|r| r.name()).chain([runtime::AUTO]);
    format!(
        "{}: {} is {}, and another for models that it cannot run",
        one_of(what, all),
        runtime::AUTO,
        runtime::built_in().name()
    )
}

/// The runtime that runs data to decide: the one named for it, else the one that proves, else [`runtime::AUTO`].
pub fn decider<'a>(decides: Option<&'a String>, proves: Option<&'a String>) -> &'a str {
    decides.or(proves).map_or(runtime::AUTO, String::as_str)
}

/// Training towards the float model, shared by all that prune or quantize.
#[derive(Args, Clone, Copy)]
pub struct RecoverArgs {
    /// Train what is pruned or quantized towards the float model on --data, as steps=500: zeros and scales stay as they are
    #[arg(long, value_name = "steps=N")]
    pub recover: Option<Recover>,
}

impl RecoverArgs {
    /// What `--plan` says of it.
    pub fn told(self) -> Option<String> {
        self.recover.map(|r| format!("recover   {r} towards the float model, zeros and scales kept"))
    }
}

/// What the outputs must keep.
#[derive(Args, Clone)]
pub struct PromiseArgs {
    /// Largest loss of accuracy, as 0.5% or 0.005
    #[arg(long, value_name = "X", value_parser = share, allow_negative_numbers = true)]
    pub max_drop: Option<f64>,
    /// Smallest SQNR of any output, in dB
    #[arg(long, value_name = "DB", value_parser = number, allow_negative_numbers = true)]
    pub min_sqnr: Option<f64>,
}

/// What the result must reach.
#[derive(Args, Clone)]
pub struct GateArgs {
    #[command(flatten)]
    promise: PromiseArgs,
    /// Smallest speed-up, as 1.2
    #[arg(long, value_name = "Y", value_parser = number)]
    pub min_speedup: Option<f64>,
}

impl GateArgs {
    pub fn gates(&self) -> Gates {
        let PromiseArgs { max_drop, min_sqnr } = self.promise;
        Gates { max_drop, min_speedup: self.min_speedup, min_sqnr }
    }
}

/// How long the search for nodes that stay float may take.
#[derive(Args, Clone)]
pub struct BudgetArgs {
    /// Time that the search for what keeps --max-drop or --min-sqnr may take, as 120s
    #[arg(long, value_name = "TIME", default_value = "120s", value_parser = seconds)]
    pub time_budget: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let (digits, unit) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60.0),
        None => (text.strip_suffix('s').unwrap_or(text), 1.0),
    };
    let time = number(digits.trim()).ok().filter(|x| (0.0..1e9).contains(x));
    time.map(|x| Duration::from_secs_f64(x * unit)).ok_or_else(|| "it is a time, as 120s or 2m".into())
}

fn share(text: &str) -> Result<f64, String> {
    let (digits, unit) = text.strip_suffix('%').map_or((text, 1.0), |t| (t, 0.01));
    let share = number(digits.trim()).ok().map(|x| x * unit).filter(|x| *x >= 0.0);
    share.ok_or_else(|| "it is a share, as 0.5% or 0.005".into())
}

/// A finite number.
pub fn number(text: &str) -> Result<f64, String> {
    text.parse::<f64>().ok().filter(|x| x.is_finite()).ok_or_else(|| "it is no finite number".into())
}

/// A count of at least one.
pub fn positive(text: &str) -> Result<usize, String> {
    text.parse::<usize>().ok().filter(|n| *n > 0).ok_or_else(|| "it is no whole number from 1 up".into())
}

/// Where the result of `model` goes, checked before any work is done; `None` with `--plan`, which writes nothing.
pub fn output<'a>(path: Option<&'a PathBuf>, plan: bool, model: &Path) -> Result<Option<&'a Path>> {
    if plan {
        return Ok(None);
    }
    let path = path.ok_or_else(|| Error::usage("--output is missing"))?;
    check_output(path)?;
    let real = |p: &Path| p.canonicalize().ok();
    if real(path).is_some_and(|output| real(model) == Some(output)) {
        tracing::warn!("{} is replaced by its result", model.display());
    }
    Ok(Some(path))
}

/// The output must be a file, or none yet, and its folder must exist: said before any work is done.
pub fn check_output(path: &Path) -> Result<()> {
    if path == Path::new("-") {
        return Err(Error::usage("an output is a file; standard output takes none (./- is a file of that name)"));
    }
    let folder = folder_of(&destination(path)?).to_path_buf();
    if !folder.is_dir() {
        return Err(Error::usage("its folder does not exist").in_file(path));
    }
    interrupt::sweeps(&folder);
    Ok(())
}
