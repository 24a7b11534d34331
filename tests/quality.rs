//! The quality that real models keep: `optimize` by its defaults for ONNX Runtime must not fall below what was last reached.
//!
//! Takes minutes; `.ci/run` runs it: `cargo test --test suite quality -- --ignored --nocapture`. Judged in ONNX Runtime
//! where its library is present, else in tract. Beside each floor stands what was measured when it was set.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ndarray::{Array2, ArrayD, Axis, Slice};
use ndarray_npy::{NpzReader, NpzWriter};
use onnxpress::calibrate;
use onnxpress::ir::Model;
use onnxpress::onnx;
use onnxpress::passes::SimplifyOptions;
use onnxpress::pipeline::{Data, Job, Optimize, Quantize, optimize};
use onnxpress::progress::Silent;
use onnxpress::quantize::{self, QuantOptions};
use onnxpress::report::Report;
use onnxpress::runtime::{self, Shaped};
use onnxpress::target;
use onnxpress::validate::{Gates, ValidateOptions};

use crate::common::{arg_max, dataset, shared};
use crate::inputs::{begins_and_ends, speech};

/// Where ONNX Runtime adds in 16 bits, weights are kept smaller, and less is reached.
fn on_this_processor(exact: f64, in_16_bits: f64) -> Option<f64> {
    Some(if quantize::overflows("onnxruntime") { in_16_bits } else { exact })
}

/// What a model must reach, a little less than what was measured; `None` where it has no such number.
struct Floor {
    model: &'static str,
    /// Bytes that the written file may have.
    bytes: u64,
    sqnr_db: Option<f64>,
    cosine: Option<f64>,
    agreement: Option<f64>,
    /// Share of right answers.
    top1: Option<f64>,
    text: Option<f64>,
}

const NONE: Floor = Floor { model: "", bytes: 0, sqnr_db: None, cosine: None, agreement: None, top1: None, text: None };

fn press(model: &Path, calib: &Path, eval: &Path, output: &Path) -> Report {
    let preset = target::find("onnxruntime").unwrap();
    let job = Optimize {
        output,
        job: Job {
            model,
            simplify: Some(SimplifyOptions::before_quantization(preset)),
            prune: None,
            quantize: Some(Quantize {
                options: QuantOptions::for_target(preset.name).unwrap(),
                calibrator: calibrate::parse(preset.calibrator).unwrap(),
                ranges: None,
                time_budget: Duration::from_secs(120),
            }),
            recover: None,
            seed: 0,
            runtime: runtime::find("tract").unwrap(),
        },
        runtime: runtime::closest_to(preset.name),
        beside: Vec::new(),
        validate: Some(ValidateOptions { drift_samples: 0, latency: None, ..ValidateOptions::default() }),
        gates: Gates::default(),
    };
    let data = |model: &Model| {
        Ok(Data { calibration: Some(dataset(calib, model, 4)?), validation: Some(dataset(eval, model, 4)?) })
    };
    optimize(&job, data, &Silent).unwrap_or_else(|e| panic!("{e}"))
}

/// Presses the model and compares; what falls below its floor, in words.
fn below(floor: &Floor, calib: &Path, eval: &Path, text: Option<&Path>) -> Vec<String> {
    let Some(model) = shared(&format!("models/{}.onnx", floor.model)) else { return Vec::new() };
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.onnx");
    let report = press(&model, calib, eval, &output);
    let found = report.validation.unwrap();
    let bytes = report.sizes.unwrap().1.bytes;
    let cosine = found.outputs.iter().map(|o| o.cosine).min_by(f64::total_cmp);
    let top1 = found.task.as_ref().map(|t| t.top1.rewritten);
    let text = text.map(|t| text_accuracy(&output, &model, eval, t));
    let numbers = [
        ("SQNR", found.sqnr_db(), floor.sqnr_db),
        ("cosine", cosine, floor.cosine),
        ("agreement", found.agreement(), floor.agreement),
        ("top-1", top1, floor.top1),
        ("text", text, floor.text),
    ];
    let shown: Vec<String> = numbers.iter().filter_map(|(n, v, _)| Some(format!("{n} {:.4}", (*v)?))).collect();
    println!("{}: {bytes} bytes, {} in {}, {:.0} s", floor.model, shown.join(", "), found.runtime, report.seconds);
    let mut wrong = Vec::new();
    if found.runtime == "onnxruntime" && report.ran.as_ref().is_none_or(|r| r.integers < r.planned) {
        wrong.push(format!("{}: not all that was planned runs in integers: {:?}", floor.model, report.ran));
    }
    if bytes > floor.bytes {
        wrong.push(format!("{}: {bytes} bytes, at most {} wanted", floor.model, floor.bytes));
    }
    for (name, value, least) in numbers {
        let Some(least) = least else { continue };
        if value.is_none_or(|v| v < least) {
            wrong.push(format!("{}: {name} {value:?}, at least {least} wanted", floor.model));
        }
    }
    wrong
}

/// Share of text lines that are read without a mistake: CTC, greedily; class 0 is the blank, the last one the space.
fn text_accuracy(written: &Path, original: &Path, eval: &Path, text: &Path) -> f64 {
    let model = onnx::load(written).unwrap();
    let original = onnx::load(original).unwrap();
    let (_, characters) = original.meta.metadata.iter().find(|(key, _)| key == "character").unwrap();
    let characters: Vec<&str> = std::iter::once("").chain(characters.lines()).chain([" "]).collect();
    let text = std::fs::read_to_string(text).unwrap();
    let wanted: Vec<&str> = text.lines().map(str::trim).collect();
    let dataset = dataset(eval, &model, 4).unwrap();
    let session = Shaped::new(runtime::closest_to("onnxruntime"), &model, &[]).with_threads(2);
    let mut read = Vec::new();
    for batch in 0..dataset.batch_count() {
        let results = session.run(&dataset.batch(batch).unwrap().inputs).unwrap();
        let [lines, steps, classes] = results[0].1.shape().try_into().unwrap();
        let scores = results[0].1.to_f32().unwrap();
        for line in 0..lines {
            let best = (0..steps).map(|s| arg_max(&scores[(line * steps + s) * classes..][..classes]));
            let mut said = String::new();
            let mut last = 0;
            for class in best {
                if class != last {
                    said += characters[class];
                }
                last = class;
            }
            read.push(said);
        }
    }
    assert_eq!(read.len(), wanted.len());
    read.iter().zip(&wanted).filter(|(a, b)| a.trim() == **b).count() as f64 / wanted.len() as f64
}

/// The first sentences of the evaluation set, under the names of the model's inputs.
fn sentences(folder: &Path) -> Option<PathBuf> {
    let mut all = NpzReader::new(std::fs::File::open(shared("data/sts/eval_dev.npz")?).unwrap()).unwrap();
    let path = folder.join("sentences.npz");
    let mut out = NpzWriter::new(std::fs::File::create(&path).unwrap());
    for (name, input) in [("ids1", "input_ids"), ("mask1", "attention_mask"), ("types1", "token_type_ids")] {
        let array: ArrayD<i64> = all.by_name(name).unwrap();
        let first: Array2<i64> =
            array.slice_axis(Axis(0), Slice::from(..200)).to_owned().into_dimensionality().unwrap();
        out.add_array(input, &first).unwrap();
    }
    out.finish().unwrap();
    Some(path)
}

/// Presses the model and fails on all that falls below its floor.
fn check(floor: &Floor, calib: &Path, eval: &Path) {
    check_text(floor, (calib, eval), None);
}

fn check_text(floor: &Floor, (calib, eval): (&Path, &Path), text: Option<&Path>) {
    let wrong = below(floor, calib, eval, text);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Calibration and evaluation data beside the models.
fn data(names: [&str; 2]) -> Option<[PathBuf; 2]> {
    let [calib, eval] = names.map(|name| shared(&format!("data/{name}")));
    Some([calib?, eval?])
}

#[test]
#[ignore = "minutes, real models: .ci/run runs it"]
fn effnetlite0_keeps_its_quality() {
    let Some([calib, eval]) = data(["imagenet/calib.npz", "imagenet/eval.npz"]) else { return };
    let floor = Floor {
        model: "effnetlite0",
        bytes: 5_070_000,                       // 4,978,912
        sqnr_db: on_this_processor(25.4, 24.8), // 25.2 in 16 bits
        agreement: Some(0.99),                  // 0.99
        top1: Some(0.835),                      // 0.85
        ..NONE
    };
    check(&floor, &calib, &eval);
}

#[test]
#[ignore = "minutes, real models: .ci/run runs it"]
fn cifar10_resnet_keeps_its_quality() {
    let Some([calib, eval]) = data(["cifar10/calib.npz", "cifar10/eval.npz"]) else { return };
    let floor = Floor {
        model: "cifar10_resnet",
        bytes: 1_160_000,       // 1,141,875
        sqnr_db: Some(36.4),    // 36.9
        agreement: Some(0.992), // 0.995
        top1: Some(0.853),      // 0.856
        ..NONE
    };
    check(&floor, &calib, &eval);
}

#[test]
#[ignore = "minutes, real models: .ci/run runs it"]
fn ppocrv4_rec_keeps_its_quality() {
    let Some([calib, eval]) = data(["ocr/rec_calib.npz", "ocr/rec_eval.npz"]) else { return };
    let floor = Floor {
        model: "ppocrv4_rec",
        bytes: 3_200_000,                       // 3,123,648
        sqnr_db: on_this_processor(17.5, 17.2), // 17.9 in 16 bits
        text: Some(0.82),
        ..NONE
    };
    check_text(&floor, (&calib, &eval), shared("data/ocr/rec_eval.txt").as_deref());
}

#[test]
#[ignore = "minutes, real models: .ci/run runs it"]
fn ppocrv4_det_keeps_its_quality() {
    let Some([calib, eval]) = data(["ocr/det_calib.npz", "ocr/det_eval.npz"]) else { return };
    let floor = Floor { model: "ppocrv4_det", bytes: 1_400_000, sqnr_db: on_this_processor(14.0, 13.5), ..NONE };
    check(&floor, &calib, &eval);
}

#[test]
#[ignore = "minutes, real models: .ci/run runs it"]
fn ppocr_v2_cls_keeps_its_quality() {
    let Some([calib, eval]) = data(["ocr/cls_calib.npz", "ocr/cls_eval.npz"]) else { return };
    let floor = Floor {
        model: "ppocr_v2_cls",
        bytes: 300_000,                             // 286,516
        sqnr_db: on_this_processor(20.2, 16.8),     // 20.6, 17.3
        agreement: on_this_processor(0.955, 0.925), // 0.973, 0.933
        ..NONE
    };
    check(&floor, &calib, &eval);
}

#[test]
#[ignore = "minutes, real models: .ci/run runs it"]
fn plcmos_v2_keeps_its_quality() {
    let folder = tempfile::tempdir().unwrap();
    let [calib, eval] = ["calib.npz", "eval.npz"].map(|name| folder.path().join(name));
    speech(&calib, 48, 1);
    speech(&eval, 100, 2);
    let floor = Floor {
        model: "plcmos_v2",
        bytes: 455_000,                         // 435,218
        sqnr_db: on_this_processor(29.0, 27.0), // 29.8, 27.6
        ..NONE
    };
    check(&floor, &calib, &eval);
}

#[test]
#[ignore = "minutes, real models: .ci/run runs it"]
fn magika_v3_3_keeps_its_quality() {
    let folder = tempfile::tempdir().unwrap();
    let [calib, eval] = ["calib.npz", "eval.npz"].map(|name| folder.path().join(name));
    begins_and_ends(&calib, 64, 1);
    begins_and_ends(&eval, 160, 2);
    let floor = Floor {
        model: "magika_v3_3",
        bytes: 840_000,                            // 818,356
        sqnr_db: on_this_processor(31.0, 32.4),    // 31.7, 34.2 (32.8 on another processor)
        agreement: on_this_processor(0.955, 0.97), // 0.969, 0.981
        ..NONE
    };
    check(&floor, &calib, &eval);
}

#[test]
#[ignore = "minutes, real models: .ci/run runs it"]
fn minilm_l6_v2_keeps_its_quality() {
    let folder = tempfile::tempdir().unwrap();
    let Some((calib, eval)) = shared("data/sts/calib").zip(sentences(folder.path())) else { return };
    let floor = Floor { model: "minilm_l6_v2", bytes: 23_200_000, sqnr_db: Some(24.5), cosine: Some(0.998), ..NONE };
    check(&floor, &calib, &eval);
}
