//! A model larger than one protobuf message: 2.4 GB of weights, in a file full of holes.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use onnxpress::onnx::{emit, load};
use prost::Message;

use crate::bad_input::{model, node, outside};

const SIDE: u64 = 24_576;
const BYTES: u64 = SIDE * SIDE * 4;

/// y = x · w with w float32 [24576, 24576] in `w.bin`.
fn write_model(folder: &Path) {
    std::fs::File::create(folder.join("w.bin")).unwrap().set_len(BYTES).unwrap();
    let w = outside(&[SIDE as i64; 2], "w.bin", "", &BYTES.to_string());
    let model = model(vec![node("MatMul", &["x", "w"], &["y"])], vec![w]);
    std::fs::write(folder.join("m.onnx"), model.encode_to_vec()).unwrap();
}

/// Memory of this process beyond the page cache, in bytes.
fn anonymous() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("RssAnon:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// The largest growth of [`anonymous`] while `work` runs.
fn growth(work: impl FnOnce() + Send) -> Option<u64> {
    let before = anonymous()?;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                most = most.max(anonymous().unwrap_or_default());
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            most
        });
        work();
        done.store(true, Ordering::Relaxed);
        Some(watch.join().ok()?.saturating_sub(before))
    })
}

#[test]
fn a_model_beyond_two_gigabytes_is_mapped_and_streamed() {
    if anonymous().is_none() {
        println!("skipped: this system does not tell the memory of a process");
        return;
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    write_model(folder.path());
    // A process of its own, so that no other test's memory counts.
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "large::in_a_process_of_its_own", "--ignored", "--nocapture"])
        .env("ONNXPRESS_LARGE", folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(child.status.success(), "{said}{}", String::from_utf8_lossy(&child.stderr));
    println!("{}", said.lines().find(|l| l.starts_with("loaded")).unwrap());
}

#[test]
#[ignore = "the test above runs it in a process of its own"]
fn in_a_process_of_its_own() {
    let Some(folder) = std::env::var_os("ONNXPRESS_LARGE") else { return };
    let folder = Path::new(&folder);
    let mut model = None;
    let begin = Instant::now();
    let loading = growth(|| model = Some(load(&folder.join("m.onnx")).unwrap())).unwrap();
    let seconds = begin.elapsed().as_secs_f64();
    let mut model = model.unwrap();

    // By itself: as if the weights had come inside the file.
    model.external_data = false;
    let out = folder.join("out.onnx");
    let writing = growth(|| emit(&model, &out).unwrap()).unwrap();

    println!("loaded in {seconds:.3} s with {loading} bytes, written with {writing} bytes");
    assert!(seconds < 0.2, "loading took {seconds} s");
    assert!(loading < 64 << 20 && writing < 64 << 20, "{loading} and {writing} bytes");
    let files = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let data = files.filter(|p| p.to_string_lossy().ends_with(".data")).collect::<Vec<_>>();
    assert_eq!(data.len(), 1);
    assert!((BYTES..BYTES + 8192).contains(&data[0].metadata().unwrap().len()));
    let written = load(&out).unwrap();
    let w = written.graph(written.main()).initializers()[0];
    assert_eq!(written.value(w).initializer().unwrap().byte_len() as u64, BYTES);
}
