//! `optimize` with nothing but a model and data, on every model in ../shared/models: what it makes of size, outputs, task and latency.
//!
//!     cargo bench --bench press
//!     cargo bench --bench press -- ppocr effnet     only models with one of these in their names
//!
//! Each line is what the program's own report says of the file that it wrote, read back and run in ONNX Runtime where that is present, and in tract
//! beside it: latency on one thread, interleaved with the original's. Where there is no labelled data the outputs alone are compared; on made-up data
//! (marked) their distance says little about real ones. Seconds are those of the whole process, proof included.

mod real;

use std::path::Path;
use std::process::Command;

use onnxpress::runtime::{self, EXACT_DB};
use serde_json::Value;

fn main() {
    let wanted = |name: &str| {
        let mut words = std::env::args().skip(1).filter(|a| !a.starts_with('-')).peekable();
        words.peek().is_none() || words.any(|word| name.contains(&word))
    };
    println!("| model | bytes | SQNR dB | agreement % | top-1 % | in onnxruntime | in tract | in integers | seconds |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for real in real::models().into_iter().filter(|real| wanted(real.name)) {
        match pressed(&real) {
            Ok(report) => println!("{}", row(&real, &report)),
            Err(why) => println!("| {} | {why} |", real.name),
        }
    }
}

fn pressed(real: &real::Real) -> Result<Value, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let output = folder.join(format!("{}.pressed.onnx", real.name));
    let mut command = Command::new(env!("CARGO_BIN_EXE_onnxpress"));
    command.arg("optimize").arg(&real.path).arg("-o").arg(&output).args(["--report", "json", "--quiet"]);
    command.args(["--data", &real.data.spec, "--calibration-runtime", "tract"]);
    let eval = real.data.spec.replace("calib", "eval");
    if eval != real.data.spec && Path::new(&eval).exists() {
        command.args(["--eval", &eval]);
    }
    let ort = runtime::find("onnxruntime").is_ok_and(|r| r.present().is_ok());
    command.args(["--runtime", if ort { "onnxruntime,tract" } else { "tract" }]);
    let done = command.output().map_err(|e| e.to_string())?;
    let said = String::from_utf8_lossy(&done.stderr);
    serde_json::from_slice(&done.stdout).map_err(|_| said.lines().last().unwrap_or("it said nothing").to_string())
}

fn row(real: &real::Real, report: &Value) -> String {
    let sizes = &report["sizes"];
    let megabytes = |size: &Value| size["bytes"].as_f64().map_or("–".into(), |b| format!("{:.2} M", b / 1e6));
    let proof = &report["validation"];
    let outputs = proof["outputs"].as_array().map_or(&[][..], Vec::as_slice);
    let least = |what: &str| outputs.iter().filter_map(|o| o[what].as_f64()).reduce(f64::min);
    let show = |value: Option<f64>, factor: f64| value.map_or("–".into(), |v| format!("{:.1}", v * factor));
    let top1 = &proof["task"]["top1"];
    let top1 = top1["original"].as_f64().zip(top1["rewritten"].as_f64());
    let in_runtime = |name: &str| {
        let beside = report["beside"].as_array().into_iter().flatten().map(|b| &b["validation"]);
        let found = std::iter::once(proof).chain(beside).find(|v| v["runtime"] == name);
        found.and_then(|v| v["latency"]["speedup"].as_f64()).map_or("–".into(), |s| format!("{s:.2}×"))
    };
    let ran = &report["ran"];
    let integers = ran["planned"].as_u64().map_or("–".into(), |planned| format!("{} of {planned}", ran["integers"]));
    let made_up = !real.data.spec.contains("/shared/");
    format!(
        "| {}{} | {} → {} | {} | {} | {} | {} | {} | {integers} | {:.1} |",
        real.name,
        if made_up { " (made-up data)" } else { "" },
        megabytes(&sizes[0]),
        megabytes(&sizes[1]),
        least("sqnr_db").filter(|db| *db >= EXACT_DB).map_or_else(|| show(least("sqnr_db"), 1.0), |_| "exact".into()),
        show(least("agreement"), 100.0),
        top1.map_or("–".into(), |(a, b)| format!("{:.1} → {:.1}", a * 100.0, b * 100.0)),
        in_runtime("onnxruntime"),
        in_runtime("tract"),
        report["seconds"].as_f64().unwrap_or(f64::NAN),
    )
}
