//! `simplify` on the models in ../shared/models, beside onnxslim and onnxsim: nodes, latency, seconds and memory.
//!
//!     cargo bench --bench clean_up
//!     cargo bench --bench clean_up -- ppocr vit     only models with one of these in their names
//!
//! The peers are taken from the active Python environment (`pip install onnxslim onnxsim`), ONNX Runtime too; what is not there is a
//! dash. Ours is made for each runtime by `--target`; nodes, error, seconds and memory are those of the file for ONNX Runtime. Latency is that of the original ÷ that of the result as its file stands, interleaved, one thread, each runtime with its own
//! optimizations, ours off. How memory falls can make two equal models differ by 5 %, so that each is loaded three times
//! and the median counts. The error is the largest difference of an output from the original's, relative to its largest value.

mod made;
mod real;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use onnxpress::ir::{Model, Tensor};
use onnxpress::runtime::timing::{LatencyOptions, interleaved, quantile, ratios};
use onnxpress::runtime::{self, LoadOptions, Rewrites, Runtime, Session};
use onnxpress::validate::check::check;

const TIMING: LatencyOptions = LatencyOptions { min_runs: 9, max_runs: 150, budget: Duration::from_millis(2500) };
const LOADS: usize = 3;

/// How a file is made of another one.
struct Tool {
    name: &'static str,
    program: Option<PathBuf>,
    /// From this file to that one for this runtime, which the peers do not ask for.
    arguments: fn(&Path, &Path, &str) -> Vec<String>,
}

fn tools() -> Vec<Tool> {
    let peer = |name: &str| {
        let path = Path::new(&std::env::var_os("VIRTUAL_ENV")?).join("bin").join(name);
        path.is_file().then_some(path)
    };
    let ours = PathBuf::from(env!("CARGO_BIN_EXE_onnxpress"));
    let pair: fn(&Path, &Path, &str) -> Vec<String> =
        |from, to, _| vec![from.display().to_string(), to.display().to_string()];
    vec![
        Tool {
            name: "onnxpress",
            program: Some(ours),
            arguments: |from, to, target| {
                let [from, to] = [from, to].map(|p| p.display().to_string());
                let flags = ["--target".into(), target.into(), "--no-check".into()];
                [vec!["simplify".into(), from, "-o".into(), to], flags.into()].concat()
            },
        },
        Tool { name: "onnxslim", program: peer("onnxslim"), arguments: pair },
        Tool { name: "onnxsim", program: peer("onnxsim"), arguments: pair },
    ]
}

/// What a tool made: nodes, seconds, megabytes at the peak.
struct Made {
    path: PathBuf,
    model: Model,
    seconds: f64,
    peak_mb: f64,
}

impl Tool {
    fn make(&self, from: &Path, folder: &Path, target: &str) -> Option<Made> {
        let path = folder.join(format!("{}.{target}.onnx", self.name));
        let _ = fs::remove_file(&path);
        let start = Instant::now();
        let mut child = Command::new(self.program.as_ref()?)
            .args((self.arguments)(from, &path, target))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let status = format!("/proc/{}/status", child.id());
        let mut peak_kb = 0.0f64;
        while child.try_wait().ok()?.is_none() {
            let now = fs::read_to_string(&status).unwrap_or_default();
            let line = now.lines().find_map(|l| l.strip_prefix("VmHWM:"));
            peak_kb = line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(peak_kb).max(peak_kb);
            std::thread::sleep(Duration::from_millis(2));
        }
        let seconds = start.elapsed().as_secs_f64();
        let model = onnxpress::onnx::load(&path).ok()?;
        Some(Made { path, model, seconds, peak_mb: peak_kb / 1e3 })
    }
}

fn main() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clean_up");
    fs::create_dir_all(&folder).unwrap();
    let tools = tools();
    let names: Vec<&str> = tools.iter().map(|t| t.name).collect();
    println!("nodes, and latency of the original ÷ that of the result; {}", names.join(" / "));
    println!("| model | before | nodes | in onnxruntime | in tract | error | seconds | peak MB |");
    println!("|---|---|---|---|---|---|---|---|");
    let wanted = |name: &str| {
        let mut words = std::env::args().skip(1).filter(|a| !a.starts_with('-')).peekable();
        words.peek().is_none() || words.any(|word| name.contains(&word))
    };
    for real in real::models().into_iter().filter(|real| wanted(real.name)) {
        let original = onnxpress::onnx::load(&real.path).unwrap();
        let made: Vec<Option<Made>> = tools.iter().map(|t| t.make(&real.path, &folder, "onnxruntime")).collect();
        let for_tract = tools[0].make(&real.path, &folder, "tract");
        let inputs = real::first(&real.data, &original).unwrap();
        let models: Vec<Option<&Model>> = made.iter().map(|m| m.as_ref().map(|m| &m.model)).collect();
        let mut tract_models = models.clone();
        tract_models[0] = for_tract.as_ref().map(|m| &m.model);
        let speed = |models: &[_], name| row(&speeds(&original, models, &inputs, name), |s| format!("{s:.2}"));
        let (ort, tract) = (speed(&models, "onnxruntime"), speed(&tract_models, "tract"));
        println!(
            "| {} | {} | {} | {ort} | {tract} | {} | {} | {} |",
            real.name,
            original.operator_count(),
            row(&models, |m| m.operator_count().to_string()),
            error(&original, models[0], &real),
            row(&made, |m| format!("{:.2}", m.seconds)),
            row(&made, |m| format!("{:.0}", m.peak_mb)),
        );
    }
    if wanted("vit_b") {
        large(&tools, &folder);
    }
    fs::remove_dir_all(&folder).unwrap();
}

fn row<T>(cells: &[Option<T>], show: impl Fn(&T) -> String) -> String {
    cells.iter().map(|c| c.as_ref().map_or("–".into(), &show)).collect::<Vec<String>>().join(" / ")
}

/// A ViT-B/16 of 346 MB with made-up weights: time and memory alone.
fn large(tools: &[Tool], folder: &Path) {
    let path = folder.join("vit_b.onnx");
    onnxpress::onnx::emit(&made::vit_b(), &path).unwrap();
    let before = onnxpress::onnx::load(&path).unwrap().operator_count();
    let made: Vec<Option<Made>> = tools.iter().map(|t| t.make(&path, folder, "onnxruntime")).collect();
    println!(
        "| ViT-B/16, made up | {before} | {} | | | | {} | {} |",
        row(&made, |m| m.model.operator_count().to_string()),
        row(&made, |m| format!("{:.2}", m.seconds)),
        row(&made, |m| format!("{:.0}", m.peak_mb)),
    );
    made.iter().flatten().for_each(|m| drop(fs::remove_file(&m.path)));
}

fn present(name: &str) -> Option<&'static dyn Runtime> {
    runtime::find(name).ok().filter(|r| r.present().is_ok())
}

/// Latency of the original ÷ that of each, the median of several loads; `None` where one cannot be run.
fn speeds(original: &Model, models: &[Option<&Model>], inputs: &[(String, Tensor)], name: &str) -> Vec<Option<f64>> {
    let rounds: Vec<Vec<Option<f64>>> = (0..LOADS).map(|_| round(original, models, inputs, name)).collect();
    let median = |i: usize| {
        let all = rounds.iter().map(|round| round[i]).collect::<Option<Vec<f64>>>()?;
        Some(quantile(&all, 0.5))
    };
    (0..models.len()).map(median).collect()
}

fn round(original: &Model, models: &[Option<&Model>], inputs: &[(String, Tensor)], name: &str) -> Vec<Option<f64>> {
    let Some(runtime) = present(name) else { return vec![None; models.len()] };
    let load = |model: &Model| -> Option<Box<dyn Session>> {
        let options = LoadOptions { rewrites: Rewrites::Runtime, ..LoadOptions::for_run(model, inputs) };
        let session = runtime.load(model, &options).ok()?;
        session.run(inputs).ok()?;
        Some(session)
    };
    let Some(first) = load(original) else { return vec![None; models.len()] };
    let others: Vec<Option<Box<dyn Session>>> = models.iter().map(|m| load((*m)?)).collect();
    let sessions: Vec<_> = std::iter::once(&first).chain(others.iter().flatten()).map(|s| (&**s, inputs)).collect();
    let times = interleaved(&sessions, &TIMING).unwrap();
    let mut found = times[1..].iter().map(|t| quantile(&ratios(&times[0], t), 0.5));
    others.iter().map(|o| o.as_ref().and_then(|_| found.next())).collect()
}

/// The largest error of ours in ONNX Runtime without optimizations.
fn error(original: &Model, ours: Option<&Model>, real: &real::Real) -> String {
    let checked = || {
        let data = real::dataset(&real.data, original).ok()?;
        let seen = check(original, ours?, &data, 4, present("onnxruntime")?).ok()?;
        Some(format!("{:.1e}", seen.worst().map_or(0.0, |w| w.1)))
    };
    checked().unwrap_or("–".into())
}
