//! What several tests read, run and compare with.

use std::path::{Path, PathBuf};
use std::time::Duration;

use onnxpress::Result;
use onnxpress::data::{DataOptions, Dataset, InputSpec};
use onnxpress::ir::{Model, Tensor};
use onnxpress::quantize::{self, Activations, Granularity, QuantOptions, QuantPlan, Weights};
use onnxpress::runtime::{self, RUNTIMES, Runtime, Session, Shaped};

/// The top folder of the project.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn fixture(name: &str) -> PathBuf {
    root().join("fixtures").join(name)
}

/// A real model, or data, of the folder beside the project; where it is absent the test says so and skips.
pub fn shared(path: &str) -> Option<PathBuf> {
    let path = root().join("../shared").join(path);
    if !path.exists() {
        skipped("shared", &format!("{} is absent", path.display()));
        return None;
    }
    Some(path)
}

/// Says that a test skips; an error where `.ci/run` found that what it wants is there.
fn skipped(wants: &str, why: &str) {
    let required = std::env::var("ONNXPRESS_REQUIRE").unwrap_or_default();
    assert!(!required.split_whitespace().any(|name| name == wants), "{wants} is there and is not used: {why}");
    println!("skipped: {why}");
}

/// The files of a folder in order of name, of one extension if it is given; none where there is no folder.
pub fn files(folder: &Path, extension: Option<&str>) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let wanted = |p: &PathBuf| p.is_file() && extension.is_none_or(|wanted| p.extension().is_some_and(|e| e == wanted));
    let mut files: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).filter(wanted).collect();
    files.sort();
    files
}

/// The samples at `path` for `model`.
pub fn dataset(path: &Path, model: &Model, batch_size: usize) -> Result<Dataset> {
    let options = DataOptions { batch_size, ..DataOptions::new(path.to_string_lossy()) };
    Dataset::open(&options, &InputSpec::of(model))
}

pub fn tract() -> &'static dyn Runtime {
    runtime::find("tract").unwrap()
}

/// ONNX Runtime; where it is absent the test says so.
pub fn onnxruntime() -> Option<&'static dyn Runtime> {
    let found = runtime::find("onnxruntime").ok()?;
    match found.present() {
        Ok(()) => Some(found),
        Err(why) => {
            skipped("onnxruntime", &why.to_string());
            None
        }
    }
}

/// The runtimes that are present.
pub fn runtimes() -> Vec<&'static dyn Runtime> {
    RUNTIMES.iter().copied().filter(|r| r.present().is_ok()).collect()
}

/// A session that takes so long and gives nothing.
pub struct Waits(pub Duration);

impl Session for Waits {
    fn run(&self, _: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>> {
        std::thread::sleep(self.0);
        Ok(Vec::new())
    }
}

/// The first output of one run.
pub fn first_output(runtime: &dyn Runtime, model: &Model, inputs: &[(String, Tensor)]) -> Vec<f32> {
    Shaped::new(runtime, model, &[]).run(inputs).unwrap()[0].1.to_f32().unwrap().into_owned()
}

/// SQNR of the first outputs, in dB.
pub fn near(runtime: &dyn Runtime, float: &Model, other: &Model, inputs: &[(String, Tensor)]) -> f64 {
    let [a, b] = [float, other].map(|m| first_output(runtime, m, inputs));
    decibels(&a, &b)
}

/// SQNR of `b`, which should be `a`, in dB.
pub fn decibels(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let square = |x: f32| f64::from(x) * f64::from(x);
    let (signal, noise) = a.iter().zip(b).fold((0.0, 0.0), |(s, n), (a, b)| (s + square(*a), n + square(a - b)));
    10.0 * (signal / noise).log10()
}

/// The place of the largest.
pub fn arg_max(row: &[f32]) -> usize {
    (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap()
}

/// The model as the plan makes it.
pub fn applied(model: &Model, plan: &QuantPlan) -> Model {
    let mut applied = model.clone();
    quantize::apply(&mut applied, plan).unwrap();
    applied
}

/// Numbers in −a … a, the same for the same seed.
pub fn numbers(count: usize, a: f32, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_862_933_555_777_941_757) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1u64 << 23) as f32 - 1.0) * a
    };
    (0..count).map(|_| next()).collect()
}

/// The numbers of the initializer of this name.
pub fn constant(model: &Model, name: &str) -> Vec<f32> {
    let all = model.graph(model.main()).initializers();
    let value = all.iter().find(|v| model.name(**v) == name).unwrap();
    model.constant(*value).unwrap().to_f32().unwrap().into_owned()
}

/// Weights alone, small ones too.
pub fn alone(target: &str, weights: Weights, granularity: Granularity) -> QuantOptions {
    let base = QuantOptions::for_target(target).unwrap();
    QuantOptions { weights, granularity, activations: Activations::None, min_bytes: 0, ..base }
}
