//! `prune` of the CIFAR-10 ResNet in ../shared, nothing trained: what zeros and what channels that go cost in top-1, and what they bring.
//!
//!     cargo bench --bench prune
//!     cargo bench --bench prune -- channel          only rows with this word in their flags
//!
//! Each row is what the program's own report says of the file that it wrote, read back: weights solved on 2,000 unlabelled training images, top-1 on
//! the first 2,000 test images, latency on one thread, interleaved with the original's in the same run. PyTorch's pruners are not run here.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const ROWS: &[&str] = &[
    "--sparsity 0.5",
    "--sparsity 0.7",
    "--sparsity 0.8",
    "--sparsity 0.9",
    "--sparsity 0.95",
    "--pattern 2:4",
    "--pattern channel --target-macs 0.77",
    "--pattern channel --target-macs 0.61",
    "--pattern channel --target-macs 0.52",
    "--pattern channel --target-macs 0.27",
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let [model, fit, eval] = ["models/cifar10_resnet.onnx", "data/cifar10/train2k.npz", "data/cifar10/eval.npz"];
    let [model, fit, eval] = [model, fit, eval].map(|file| shared.join(file));
    if !model.exists() {
        println!("skipped: there is no {}", model.display());
        return;
    }
    println!("| flags | chosen | zeros | MACs left | top-1 | compressed | in tract | in onnxruntime | seconds |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for flags in ROWS.iter().filter(|row| words.is_empty() || words.iter().any(|w| row.contains(w))) {
        match pruned(&model, &fit, &eval, flags) {
            Ok(report) => println!("| {flags} | {} |", row(&report).join(" | ")),
            Err(why) => println!("| {flags} | {why} |"),
        }
    }
}

fn pruned(model: &Path, fit: &Path, eval: &Path, flags: &str) -> Result<Value, String> {
    let output: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pruned.onnx");
    let mut command = Command::new(env!("CARGO_BIN_EXE_onnxpress"));
    command.arg("prune").arg(model).arg("-o").arg(output).args(["--report", "json", "--quiet"]);
    command.arg("--data").arg(fit).arg("--eval").arg(eval).args(["--batch-size", "20"]);
    let done = command.args(flags.split(' ')).output().map_err(|e| e.to_string())?;
    let said = String::from_utf8_lossy(&done.stderr);
    serde_json::from_slice(&done.stdout).map_err(|_| said.lines().last().unwrap_or("it said nothing").to_string())
}

fn row(report: &Value) -> [String; 8] {
    let (before, after) = (&report["sizes"][0], &report["sizes"][1]);
    let share = |a: &Value, b: &Value| a.as_f64().zip(b.as_f64()).map_or(f64::NAN, |(a, b)| 100.0 * a / b);
    let proof = &report["validation"];
    let beside = report["beside"].as_array().into_iter().flatten().map(|b| &b["validation"]);
    let all: Vec<&Value> = std::iter::once(proof).chain(beside).collect();
    let speedup = |runtime: &str| {
        let found = all.iter().find(|v| v["runtime"] == runtime).and_then(|v| v["latency"]["speedup"].as_f64());
        found.map_or("–".into(), |s| format!("{s:.2}×"))
    };
    let top1 = &proof["task"]["top1"];
    let top1 = ["original", "rewritten"].map(|which| top1[which].as_f64().map_or(f64::NAN, |x| 100.0 * x));
    let notes = report["prune"]["notes"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let chosen = notes.filter_map(|n| n.split_once(": the best of")).map(|(way, _)| way).next();
    [
        chosen.unwrap_or("–").to_string(),
        format!("{:.1} %", share(&after["zeros"], &after["parameters"])),
        format!("{:.1} %", share(&after["macs"], &before["macs"])),
        format!("{:.2} → {:.2}", top1[0], top1[1]),
        format!("{:.1} %", share(&after["compressed"], &before["compressed"])),
        speedup("tract"),
        speedup("onnxruntime"),
        report["seconds"].as_f64().map_or("–".into(), |s| format!("{s:.0}")),
    ]
}
