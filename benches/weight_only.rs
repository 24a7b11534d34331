//! Weight-only int8 of a ViT-B (346 MB, made-up weights) against copying its file and reading it once.
//!
//!     cargo bench --bench weight_only
//!
//! Rounds are interleaved: copy and read, then load, simplify, quantize and write, which syncs what it wrote. The copy is
//! timed as it is and with its own sync.

mod made;

use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Instant;

use onnxpress::passes::{SimplifyOptions, simplify};
use onnxpress::quantize::{self, Format, QuantOptions};
use onnxpress::runtime::timing::quantile;

const ROUNDS: usize = 5;

fn main() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("weight_only");
    fs::create_dir_all(&folder).unwrap();
    let [model, copy, pressed] = ["vit_b.onnx", "copy.onnx", "vit_b.int8.onnx"].map(|name| folder.join(name));
    onnxpress::onnx::emit(&made::vit_b(), &model).unwrap();
    let (mut copying, mut syncing, mut pressing) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let copied = timed(|| copy_and_read(&model, &copy));
        syncing.push(copied + timed(|| fs::File::open(&copy).unwrap().sync_all().unwrap()));
        copying.push(copied);
        pressing.push(timed(|| press(&model, &pressed)));
    }
    let size = |path: &Path| fs::metadata(path).unwrap().len() as f64 / 1e6;
    println!("{:.1} MB ─► {:.1} MB", size(&model), size(&pressed));
    println!("weight-only int8 {:.2} s", quantile(&pressing, 0.5));
    for (name, own) in [("copy and read", &copying), ("copy, sync and read", &syncing)] {
        let ratios: Vec<f64> = pressing.iter().zip(own).map(|(a, b)| a / b).collect();
        println!("{name:20} {:>6.2} s {:>6.2}×", quantile(own, 0.5), quantile(&ratios, 0.5));
    }
    fs::remove_dir_all(&folder).unwrap();
}

fn press(from: &Path, to: &Path) {
    let mut model = onnxpress::onnx::load(from).unwrap();
    let _ = simplify(&mut model, &SimplifyOptions::default()).unwrap();
    let options = QuantOptions { format: Format::WeightOnly, ..QuantOptions::default() };
    let plan = quantize::plan(&model, None, &options).unwrap();
    quantize::apply(&mut model, &plan).unwrap();
    onnxpress::onnx::emit(&model, to).unwrap();
}

fn copy_and_read(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
    let mut buffer = vec![0u8; 1 << 20];
    let mut file = fs::File::open(from).unwrap();
    while file.read(&mut buffer).unwrap() > 0 {}
}

fn timed(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}
