//! Whole models against gradients that PyTorch computed (fixtures/gradients.py).

use std::path::Path;

use onnxpress::data::{DataOptions, Dataset, InputSpec};
use onnxpress::gradient::{CollectOptions, Moment, collect};
use onnxpress::progress::Silent;
use onnxpress::runtime::RUNTIMES;
use serde_json::Value;

use crate::common;

/// Of the sum of magnitudes: float32 adds up some hundred thousand terms, in another order.
const TOLERANCE: f64 = 2e-4;

fn check(name: &str, model: &Path, data: &Path) {
    let text = std::fs::read_to_string(common::fixture("gradients.json")).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    let expected = &all[name];
    let model = onnxpress::onnx::load(model).unwrap();
    let count = expected["samples"].as_u64().unwrap() as usize;
    let options = DataOptions { limit: Some(count), batch_size: 8, ..DataOptions::new(data.to_string_lossy()) };
    let dataset = Dataset::open(&options, &InputSpec::of(&model)).unwrap();
    let weights: Vec<String> = expected["weights"].as_object().unwrap().keys().cloned().collect();
    let moments = [Moment::Sum, Moment::Absolute, Moment::Square];
    for runtime in RUNTIMES.iter().filter(|r| r.present().is_ok()) {
        let options = CollectOptions { moments: moments.to_vec(), labels: true, seed: 0 };
        let found = collect(&model, &dataset, *runtime, &weights, &options, &Silent).unwrap();
        assert_eq!((found.samples, found.together, found.labelled), (count, 1, true));
        let close = |a: f64, b: &Value, scale: f64, what: &str| {
            let b = b.as_f64().unwrap();
            assert!((a - b).abs() <= TOLERANCE * scale, "{name} {what} in {}: {a}, PyTorch {b}", runtime.name());
        };
        close(found.loss, &expected["loss"], expected["loss"].as_f64().unwrap().max(0.01), "loss");
        for (weight, kept) in expected["weights"].as_object().unwrap() {
            let magnitude = kept[1].as_f64().unwrap();
            // The bias of a key shifts all scores of a query alike: its gradient is zero but for rounding.
            if magnitude < 1e-3 {
                continue;
            }
            for (place, moment) in moments.iter().enumerate() {
                let sums = found.of(weight, *moment).unwrap_or_else(|e| panic!("{name} {weight}: {e}"));
                let total: f64 = sums.iter().map(|v| f64::from(*v)).sum();
                let scale = if place == 2 { kept[2].as_f64().unwrap() } else { magnitude };
                close(total, &kept[place], scale, &format!("{weight} {moment:?}"));
                if place == 0 {
                    let greatest = sums.iter().fold(0f32, |m, v| m.max(v.abs()));
                    for i in 0..4 {
                        // As numpy's linspace places them.
                        let at = ((sums.len() - 1) as f64 * i as f64 / 3.0) as usize;
                        close(sums[at].into(), &kept[3 + i], f64::from(greatest) * 5.0, &format!("{weight}[{at}]"));
                    }
                }
            }
        }
    }
}

#[test]
fn a_convolutional_network_as_in_pytorch() {
    check("digits", &common::fixture("digits.onnx"), &common::fixture("digits_eval.npz"));
}

#[test]
fn a_transformer_as_in_pytorch() {
    check("majority", &common::fixture("majority.onnx"), &common::fixture("majority_eval.npz"));
}

#[test]
fn real_networks_as_in_pytorch() {
    for name in ["cifar10_resnet", "cifar10_resnet_bn"] {
        let (Some(model), Some(data)) =
            (common::shared(&format!("models/{name}.onnx")), common::shared("data/cifar10/train2k.npz"))
        else {
            return;
        };
        check(name, &model, &data);
    }
}
