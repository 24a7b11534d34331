//! Pruned and quantized in one command: what integers cost a pruned network, and that zeros stay zero.

use std::path::Path;
use std::process::Command;

use onnxpress::ir::Model;
use onnxpress::onnx;
use serde_json::Value;

use crate::common::shared;

/// The report of a command that writes `output`.
fn report(flags: &[&str], [model, output, data, eval]: [&Path; 4]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onnxpress"));
    command.arg(flags[0]).arg(model).arg("-o").arg(output).args(&flags[1..]);
    command.arg("--data").arg(data).arg("--eval").arg(eval).args(["--report", "json", "--quiet"]);
    let done = command.output().unwrap();
    serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&done.stderr)))
}

fn top1(report: &Value) -> f64 {
    report["validation"]["task"]["top1"]["rewritten"].as_f64().unwrap()
}

/// For each group of four weights that are summed over one after the other, how many are zero: the least of all groups of the stored integers.
fn fewest_zeros(model: &Model) -> usize {
    let mut fewest = 4;
    for id in model.all_nodes().into_iter().filter(|n| model.node(*n).is("DequantizeLinear")) {
        let Some(t) = model.constant_input(id, 0).filter(|t| t.rank() == 2 && t.shape()[0] % 4 == 0) else { continue };
        let (Some(numbers), columns) = (t.as_slice::<i8>(), t.shape()[1]) else { continue };
        for four in numbers.chunks(4 * columns) {
            let zeros = |c: usize| (0..4).filter(|r| four[r * columns + c] == 0).count();
            fewest = fewest.min((0..columns).map(zeros).min().unwrap_or(4));
        }
    }
    fewest
}

#[test]
#[ignore = "minutes, real models: cargo test --release -- --ignored"]
fn a_resnet_without_channels_keeps_its_accuracy_in_integers() {
    let files = ["models/cifar10_resnet.onnx", "data/cifar10/train2k.npz", "data/cifar10/eval.npz"].map(shared);
    let [Some(model), Some(data), Some(eval)] = files else { return };
    let folder = tempfile::tempdir().unwrap();
    let of = |name: &str, flags: &[&str]| report(flags, [&model, &folder.path().join(name), &data, &eval]);
    let batch = ["--batch-size", "20"];
    let alone = of("pruned.onnx", &[&["prune", "--pattern", "channel", "--target-macs", "0.6"][..], &batch].concat());
    let both = of("both.onnx", &[&["optimize", "--prune", "channel:0.6", "--quantize", "int8"][..], &batch].concat());
    println!("top-1 {:.4} pruned, {:.4} in integers", top1(&alone), top1(&both));
    assert!(top1(&both) >= top1(&alone) - 0.003);
    let macs = |r: &Value| r["prune"]["channels"]["macs"].clone();
    assert_eq!(macs(&alone), macs(&both), "the same cut");
    assert!(both["quantize"].is_object() && both["plan"].is_object(), "one report");
}

#[test]
#[ignore = "minutes, real models: cargo test --release -- --ignored"]
fn a_transformer_keeps_two_of_four_in_integers() {
    let (Some(model), Some(data)) = (shared("models/minilm_l6_v2.onnx"), shared("data/sts/calib")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("both.onnx");
    let flags = ["optimize", "--prune", "2:4", "--prune-algorithm", "least-squares", "--criterion", "hessian"];
    let both = report(&flags, [&model, &output, &data, &data]);
    println!("SQNR {} dB", both["validation"]["outputs"][0]["sqnr_db"]);
    assert!(both["quantize"].is_object() && both["prune"]["tensors"] == 36, "{}", both["prune"]);
    assert_eq!(fewest_zeros(&onnx::load(&output).unwrap()), 2);
}
