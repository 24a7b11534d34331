//! The fixtures do what `fixtures/README.md` says of them, in our runtime.

use onnxpress::calibrate;
use onnxpress::data::Dataset;
use onnxpress::ir::Model;
use onnxpress::onnx;
use onnxpress::progress::Silent;
use onnxpress::runtime::{self, Shaped};

use crate::common::{arg_max, dataset, fixture};

fn open(model: &Model, file: &str) -> Dataset {
    dataset(&fixture(file), model, 50).unwrap()
}

/// Share of samples whose largest logit is the label.
fn top1(model: &Model, dataset: &Dataset) -> f64 {
    let session = Shaped::new(runtime::find("tract").unwrap(), model, &[]);
    let mut right = 0;
    for index in 0..dataset.batch_count() {
        let batch = dataset.batch(index).unwrap();
        let results = session.run(&batch.inputs).unwrap();
        let logits = results[0].1.to_f32().unwrap();
        let labels = batch.labels.unwrap();
        for (row, label) in logits.chunks(logits.len() / labels.len()).zip(labels) {
            let best = arg_max(row);
            right += usize::from(best as i64 == label);
        }
    }
    right as f64 / dataset.len() as f64
}

#[test]
fn trained_fixtures_reach_their_accuracy() {
    for (name, samples, accuracy) in [("digits", 600, 0.9917), ("majority", 400, 0.9675)] {
        let model = onnx::load(&fixture(&format!("{name}.onnx"))).unwrap();
        let dataset = open(&model, &format!("{name}_eval.npz"));
        assert_eq!(dataset.len(), samples);
        let measured = top1(&model, &dataset);
        assert!((measured - accuracy).abs() < 0.003, "{name}: {measured}");
    }
}

#[test]
fn calibrating_the_same_data_twice_changes_nothing() {
    let model = onnx::load(&fixture("digits.onnx")).unwrap();
    let dataset = open(&model, "digits_calib.npz");
    let values = ["input".to_owned(), "logits".to_owned()];
    let tract = runtime::find("tract").unwrap();
    for spec in ["min-max", "percentile:99.9", "entropy", "mse", "std:4"] {
        let calibrator = calibrate::parse(spec).unwrap();
        let run = || calibrate::collect(&model, &dataset, tract, calibrator, &values, &Silent).unwrap();
        let once = run();
        let mut twice = run();
        twice.merge(run()).unwrap();
        assert_eq!((once.samples, twice.samples), (200, 400));
        let (once, twice) = (once.ranges(), twice.ranges());
        assert_eq!(once.ranges.len(), 2, "{spec}");
        // Every value seen twice: the same distribution, so the same range.
        for (name, range) in &once.ranges {
            let again = twice.get(name).unwrap();
            assert!(
                (range.min - again.min).abs() + (range.max - again.max).abs() < 1e-4,
                "{spec} {name}: {range:?} {again:?}"
            );
        }
        if spec == "min-max" {
            assert_eq!(once.get("input").unwrap(), calibrate::Range::new(0.0, 16.0));
        }
    }
}
