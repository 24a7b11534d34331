//! What calibration costs beside inference: the same samples on all cores, without taps and with each calibrator.
//!
//!     cargo bench --bench calibrate [-- MODEL DATA]
//!
//! Rounds are interleaved; a ratio is the median over the rounds of calibration ÷ inference. Loading is part of both.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use onnxpress::calibrate::{Calibrator, collect, parse};
use onnxpress::data::{DataOptions, Dataset, InputSpec};
use onnxpress::ir::Model;
use onnxpress::passes::{SimplifyOptions, simplify};
use onnxpress::progress::Silent;
use onnxpress::quantize::{QuantOptions, values_to_observe};
use onnxpress::runtime::{self, Runtime, Shaped, timing::quantile};

const CALIBRATORS: &[&str] = &["min-max", "percentile:99.99", "entropy", "mse"];
const ROUNDS: usize = 5;

fn main() {
    let given: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let (model, data) = match given.as_slice() {
        [model, data, ..] => (PathBuf::from(model), PathBuf::from(data)),
        _ => defaults(),
    };
    let (path, mut model) = (model.clone(), onnxpress::onnx::load(&model).unwrap());
    let _ = simplify(&mut model, &SimplifyOptions::default()).unwrap();
    let inputs = model.user_inputs().into_iter();
    let inputs = inputs.map(|v| InputSpec { name: model.name(v).into(), ty: model.tensor_type(v) });
    let dataset = Dataset::open(&DataOptions::new(data.display().to_string()), &inputs.collect::<Vec<_>>()).unwrap();
    let values = values_to_observe(&model, &QuantOptions::default());
    let tract = runtime::find("tract").unwrap();

    let calibrators: Vec<Calibrator> = CALIBRATORS.iter().map(|spec| parse(spec).unwrap()).collect();
    let mut seconds = vec![Vec::new(); calibrators.len() + 1];
    for _ in 0..ROUNDS {
        seconds[0].push(timed(|| infer(&model, &dataset, tract)));
        for (calibrator, seconds) in calibrators.iter().zip(&mut seconds[1..]) {
            seconds.push(timed(|| {
                collect(&model, &dataset, tract, *calibrator, &values, &Silent).unwrap().ranges();
            }));
        }
    }
    println!("{}: {}, {} values", path.display(), dataset.describe(), values.len());
    println!("{:20} {:>8.2} s", "inference", quantile(&seconds[0], 0.5));
    for (name, own) in CALIBRATORS.iter().zip(&seconds[1..]) {
        let ratios: Vec<f64> = own.iter().zip(&seconds[0]).map(|(a, b)| a / b).collect();
        println!("{name:20} {:>8.2} s {:>6.2}×", quantile(own, 0.5), quantile(&ratios, 0.5));
    }
}

/// A real model where there is one, else the digits of the fixtures.
fn defaults() -> (PathBuf, PathBuf) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = root.join("../shared");
    let real = (shared.join("models/effnetlite0.onnx"), shared.join("data/imagenet/calib.npz"));
    if real.0.is_file() { real } else { (root.join("fixtures/digits.onnx"), root.join("fixtures/digits_calib.npz")) }
}

fn timed(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

/// Every batch once, on all cores.
fn infer(model: &Model, dataset: &Dataset, runtime: &dyn Runtime) {
    let session = Shaped::new(runtime, model, &[]);
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= dataset.batch_count() {
                return;
            }
            session.run(&dataset.batch(index).unwrap().inputs).unwrap();
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
}
