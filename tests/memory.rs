//! What calibration holds in memory: bins for each value, whatever number of samples went by.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common;

const COUNTING: [&str; 3] = ["percentile:99.99", "entropy", "mse"];

/// The largest resident size of a process so far, in bytes; `None` once it has ended, and on systems that do not tell.
fn most_resident(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// Runs a command to its end; its peak.
fn peak(command: &mut Command) -> Option<u64> {
    let mut child = command.arg("--quiet").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut peak = None;
    let status = loop {
        peak = peak.max(most_resident(child.id()));
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    assert!(status.success(), "{command:?}: {status}");
    peak
}

/// Calibrates `model` in a process of its own; its peak, and the bytes of all that it observed.
fn calibrate(model: &Path, data: &str, calibrator: &str) -> Option<(u64, u64)> {
    let folder = tempfile::tempdir().unwrap();
    let ranges = folder.path().join("ranges.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_onnxpress"));
    command.arg("calibrate").arg(model).args(["--calibrator", calibrator, "--data", data, "-o"]).arg(&ranges);
    let peak = peak(&mut command);
    let file: serde_json::Value = serde_json::from_slice(&std::fs::read(&ranges).unwrap()).unwrap();
    let values = file["values"].as_object().unwrap().values();
    let observed: u64 = values.map(|v| v["state"]["count"].as_u64().unwrap()).sum();
    Some((peak?, observed * 4))
}

#[test]
fn more_samples_take_no_more_memory() {
    const ROOM: u64 = 4 << 20;
    let model = common::fixture("digits.onnx");
    for calibrator in ["min-max"].iter().chain(&COUNTING) {
        let of = |samples: usize| calibrate(&model, &format!("random:{samples}"), calibrator);
        let (Some((few, seen)), Some((many, seen_of_many))) = (of(48), of(8 * 48)) else {
            println!("skipped: this system does not tell the memory of a process");
            return;
        };
        // A program that kept what it observed would not fit.
        assert_eq!(seen_of_many, 8 * seen);
        assert!(seen_of_many - seen > 4 * ROOM, "{seen} and {seen_of_many} bytes seen");
        assert!(many < few + ROOM, "{calibrator}: {few} bytes at the peak with 48 samples, {many} with 384");
    }
}

/// ONNX Runtime's quantization takes 313 MB with min-max and 6.4 GB with percentile, which keeps all that it sees, on the same model and
/// images: no more is taken here with the one, and a fifteenth with the other.
#[test]
fn a_hundred_images_take_less_memory_than_in_onnxruntime() {
    let (Some(model), Some(images)) =
        (common::shared("models/effnetlite0.onnx"), common::shared("data/imagenet/calib.npz"))
    else {
        return;
    };
    let bounds = COUNTING.map(|calibrator| (calibrator, 6_400_000_000 / 15));
    for (calibrator, bound) in [("min-max", 313_000_000)].into_iter().chain(bounds) {
        let Some((peak, seen)) = calibrate(&model, &images.to_string_lossy(), calibrator) else { return };
        println!("{calibrator}: {} MB at the peak, {} MB seen", peak / 1_000_000, seen / 1_000_000);
        assert!(peak <= bound, "{calibrator}: {peak} bytes");
    }
}

/// MiniLM, 90 MB: NNCF takes 1.7 GB for SmoothQuant and GPTQ of it.
#[test]
#[ignore = "minutes, real models: cargo test --release -- --ignored"]
fn quantizing_a_transformer_takes_few_times_its_size() {
    let (Some(model), Some(data)) = (common::shared("models/minilm_l6_v2.onnx"), common::shared("data/sts/calib"))
    else {
        return;
    };
    let size = std::fs::metadata(&model).unwrap().len();
    let folder = tempfile::tempdir().unwrap();
    let gptq = ["--weights", "s4", "--granularity", "block:32", "--activations", "none"];
    for (flags, times) in [(&gptq[..], 3.5), (&[], 10.5)] {
        let begin = std::time::Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_onnxpress"));
        command
            .arg("quantize")
            .arg(&model)
            .arg("--data")
            .arg(&data)
            .args(flags)
            .arg("-o")
            .arg(folder.path().join("q.onnx"));
        let Some(peak) = peak(&mut command) else { return };
        let (taken, seconds) = (peak as f64 / size as f64, begin.elapsed().as_secs_f64());
        println!("{flags:?}: {} MB, {taken:.2} times the model, {seconds:.0} s", peak / 1_000_000);
        assert!(taken <= times, "{flags:?}: {peak} bytes");
    }
}
