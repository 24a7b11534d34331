//! `prune` of the CIFAR-10 ResNet in ../shared, nothing trained: what zeros and what channels that go cost in top-1, and what they bring.
//!
//!     cargo bench --bench prune
//!     cargo bench --bench prune -- channel          only rows with this word in their flags
//!
//!     cargo bench --bench prune -- seconds          only the passes, beside PyTorch
//!
//! Each row is what the program's own report says of the file that it wrote, read back: weights solved on 2,000 unlabelled training images, top-1 on
//! the first 2,000 test images, latency on one thread, interleaved with the original's in the same run. PyTorch's pruners are not run here; what
//! it takes for the gradients and for SparseGPT of the same network is measured by `torch_prune.py`, where the active Python environment has torch.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

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

/// What is timed as a whole process, with the flags of `prune`, and as which part of `torch_prune.py`.
const PASSES: &[(&str, &str, &str)] = &[
    ("gradients", "--criterion gradient --algorithm mask --scope global --sparsity 0.5", "gradients"),
    ("SparseGPT", "--criterion hessian --algorithm sparse-gpt --scope layer --sparsity 0.5", "sparse-gpt"),
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
    if words.is_empty() || words.iter().any(|w| w == "seconds") {
        seconds(&model, &fit);
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

/// A table of both sides' seconds on 2,000 images: ours from start to end of the process, PyTorch's without its start.
fn seconds(model: &Path, fit: &Path) {
    println!("| seconds for 2,000 images | onnxpress | PyTorch |");
    println!("|---|---|---|");
    for (name, flags, part) in PASSES {
        let begin = Instant::now();
        let mut own = Command::new(env!("CARGO_BIN_EXE_onnxpress"));
        own.arg("prune").arg(model).args(["--plan", "--quiet", "--batch-size", "20", "--data"]).arg(fit);
        let done = own.args(flags.split(' ')).output().is_ok_and(|o| o.status.success());
        let own = if done { format!("{:.1}", begin.elapsed().as_secs_f64()) } else { "–".into() };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/torch_prune.py");
        let python = std::env::var_os("VIRTUAL_ENV").map_or("python3".into(), |v| Path::new(&v).join("bin/python3"));
        let peer = Command::new(python).args([script, part]).arg(model).arg(fit).output();
        let peer =
            peer.ok().filter(|o| o.status.success()).map(|o| String::from_utf8_lossy(&o.stdout).trim().to_string());
        println!("| {name} | {own} | {} |", peer.unwrap_or("–".into()));
    }
    println!();
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
