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

/// Calibrates `model` in a process of its own; its peak, and the bytes of all that it observed.
fn calibrate(model: &Path, data: &str, calibrator: &str) -> Option<(u64, u64)> {
    let folder = tempfile::tempdir().unwrap();
    let ranges = folder.path().join("ranges.json");
    let mut child = Command::new(env!("CARGO_BIN_EXE_onnxpress"))
        .arg("calibrate")
        .arg(model)
        .args(["--quiet", "--calibrator", calibrator, "--data", data, "-o"])
        .arg(&ranges)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut peak = None;
    let status = loop {
        peak = peak.max(most_resident(child.id()));
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    assert!(status.success(), "{calibrator}: {status}");
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

/// ONNX Runtime's quantization takes 313 MB with min-max and 6.4 GB with percentile on the same model and images.
#[test]
fn a_hundred_images_take_a_fifteenth_of_the_memory_of_onnxruntime() {
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
