//! The models in ../shared/models, with something to feed each.

#[allow(dead_code, reason = "each benchmark takes what it needs")]
#[path = "../made/inputs.rs"]
mod inputs;

use std::path::{Path, PathBuf};

use onnxpress::data::{DataOptions, Dataset, InputSpec};
use onnxpress::ir::{Model, Tensor};

/// Sizes by input name.
type Sizes = &'static [(&'static str, &'static [i64])];

const VOICE: Sizes = &[("input", &[1, 512]), ("state", &[2, 1, 128])];

/// Models, what they are fed, and sizes of what is made up.
const MODELS: &[(&str, &str, Sizes)] = &[
    ("effnetlite0", "imagenet/calib.npz", &[]),
    ("cifar10_resnet", "cifar10/calib.npz", &[]),
    ("cifar10_resnet_bn", "cifar10/calib.npz", &[]),
    ("minilm_l6_v2", "sts/calib", &[]),
    ("ppocrv4_rec", "ocr/rec_calib.npz", &[]),
    ("ppocrv4_det", "ocr/det_calib.npz", &[]),
    ("ppocr_v2_cls", "ocr/cls_calib.npz", &[]),
    ("magika_v3_3", "made-up files", &[]),
    ("silero_vad", "random:4", VOICE),
    ("silero_vad_16k_op15", "random:4", VOICE),
    ("plcmos_v2", "random:4", &[]),
    ("aecmos_1663915512", "random:4", &[]),
    ("tashkeel_rawi_v3_int8", "random:4", &[]),
];

/// A model that is there.
pub struct Real {
    pub name: &'static str,
    pub path: PathBuf,
    pub data: DataOptions,
}

/// Those that are there; the others are told.
pub fn models() -> Vec<Real> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let there = MODELS.iter().filter_map(|(name, data, shapes)| {
        let path = shared.join("models").join(format!("{name}.onnx"));
        if !path.is_file() {
            println!("{name} is not there");
            return None;
        }
        let spec = match *data {
            "made-up files" => made_up_files(),
            data if data.starts_with("random:") => data.to_string(),
            data => shared.join("data").join(data).display().to_string(),
        };
        let shapes = shapes.iter().map(|(input, dims)| ((*input).to_string(), dims.to_vec())).collect();
        Some(Real { name, path, data: DataOptions { shapes, limit: Some(4), ..DataOptions::new(&spec) } })
    });
    there.collect()
}

/// Where their begins and ends are.
fn made_up_files() -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("made_up_files.npz");
    inputs::begins_and_ends(&path, 16, 2);
    path.display().to_string()
}

pub fn dataset(data: &DataOptions, model: &Model) -> onnxpress::Result<Dataset> {
    Dataset::open(data, &InputSpec::of(model))
}

/// The first sample; a sample rate is one.
#[allow(dead_code, reason = "each benchmark has this module for itself")]
pub fn first(data: &DataOptions, model: &Model) -> onnxpress::Result<Vec<(String, Tensor)>> {
    let mut inputs = dataset(data, model)?.batch(0)?.inputs;
    for (name, value) in &mut inputs {
        if name == "sr" {
            *value = Tensor::from_vec(value.shape(), vec![16000i64; value.len()]);
        }
    }
    Ok(inputs)
}
