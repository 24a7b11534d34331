//! Folders of images.

use std::fs;

use onnxpress::data::{DataOptions, Dataset};
use onnxpress::ir::DType;
use tempfile::TempDir;

use super::{floats, input, open, options};
use crate::common::shared;

/// Class folders `b` (two images) and `a` (one), 6×4 pixels each.
fn image_folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    for (i, name) in ["b/1.png", "b/2.PNG", "a/1.bmp"].iter().enumerate() {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::RgbImage::from_pixel(6, 4, image::Rgb([i as u8 + 1, 10, 20])).save(path).unwrap();
    }
    fs::write(folder.path().join("b/notes.txt"), "not an image").unwrap();
    folder
}

#[test]
fn class_folders_give_labels() {
    let folder = image_folder();
    let inputs = [input("x", DType::F32, &["N", "3", "2", "2"])];
    let with = |synsets| DataOptions { synsets, preprocess: Some("crop=2".into()), ..options(folder.path(), 2) };
    let data = Dataset::open(&with(None), &inputs).unwrap();
    assert_eq!((data.len(), data.batch_count(), data.has_labels()), (3, 2, true));
    assert_eq!(data.batch(0).unwrap().labels.unwrap(), [0, 1]);
    assert_eq!(data.batch(1).unwrap().labels.unwrap(), [1]);
    let expected = [vec![3.0; 4], vec![10.0; 4], vec![20.0; 4], vec![1.0; 4], vec![10.0; 4], vec![20.0; 4]].concat();
    assert_eq!(floats(&data, 0, "x"), expected);
    let one = Dataset::open(&DataOptions { limit: Some(1), ..with(None) }, &inputs).unwrap();
    assert_eq!(one.len(), 1);

    let synsets = folder.path().join("synsets.txt");
    for (text, labels) in [("c\nb some words\na\n", [2, 1]), ("7\ta\tname\n5\tb\tname\n", [7, 5])] {
        fs::write(&synsets, text).unwrap();
        let data = Dataset::open(&with(Some(synsets.clone())), &inputs).unwrap();
        assert_eq!(data.batch(0).unwrap().labels.unwrap(), labels);
    }
    fs::write(&synsets, "a\n").unwrap();
    let error = Dataset::open(&with(Some(synsets)), &inputs).unwrap_err().to_string();
    assert!(error.contains("class folder \"b\" is not in"), "{error}");
}

#[test]
fn a_jpeg_that_is_cut_off_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.jpg");
    image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([x as u8, y as u8, (x * y) as u8])).save(&path).unwrap();
    let inputs = [input("x", DType::F32, &["N", "3", "64", "64"])];
    let open = || {
        let options = DataOptions { preprocess: Some("resize=64".into()), ..options(folder.path(), 1) };
        Dataset::open(&options, &inputs)
    };
    assert!(open().is_ok());
    let whole = fs::read(&path).unwrap();
    for kept in [whole.len() - 2, whole.len() / 2] {
        fs::write(&path, &whole[..kept]).unwrap();
        let error = open().unwrap_err().to_string();
        assert!(error.ends_with("a.jpg: image is cut off: its data have no end"), "{error}");
    }
    // What follows the end is no part of it, even if it looks like the start of a scan.
    fs::write(&path, [&whole[..], &[0, 0, 0, 24, 0xff, 0xda, 0xff, 0xda]].concat()).unwrap();
    assert!(open().is_ok());
}

#[test]
fn an_image_that_a_resize_would_blow_up_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.png");
    image::RgbImage::new(1, 65_535).save(&path).unwrap();
    let options = DataOptions { preprocess: Some("resize=256,crop=224".into()), ..options(folder.path(), 1) };
    let data = Dataset::open(&options, &[input("x", DType::F32, &["N", "3", "224", "224"])]);
    let error = data.and_then(|d| d.batch(0)).unwrap_err().to_string();
    assert!(error.contains("a.png") && error.contains("1x65535 pixels would become 256x16776960"), "{error}");
}

#[test]
fn images_without_labels_or_without_fit() {
    let folder = image_folder();
    let path = folder.path().join("b");
    let preprocess = |text: &str| DataOptions { preprocess: Some(text.into()), ..options(&path, 2) };
    let data = Dataset::open(&preprocess("crop=2"), &[input("x", DType::U8, &["1", "2", "2", "3"])]).unwrap();
    assert_eq!((data.len(), data.batch_count(), data.has_labels()), (2, 2, false));
    assert_eq!(data.batch(1).unwrap().inputs[0].1.to_i64().unwrap(), [2, 10, 20, 2, 10, 20, 2, 10, 20, 2, 10, 20]);
    let message = |text: &str, dims: &[&str]| {
        Dataset::open(&preprocess(text), &[input("x", DType::F32, dims)]).unwrap_err().to_string()
    };
    let error = message("crop=2", &["N", "3", "4", "4"]);
    assert!(error.contains("1.png: the preprocessed image is float32 [3, 2, 2]"), "{error}");
    assert!(message("crop=5", &["N", "3", "5", "5"]).contains("image of 6x4 pixels is smaller than crop=5x5"));
    assert!(message("crop=2", &["N", "3"]).contains("images cannot feed input \"x\""));
    let error = open(&path, 1, &[input("x", DType::F32, &["N", "3", "2", "2"])]).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("--preprocess"));
    fs::write(path.join("0.jpg"), b"\xff\xd8\xff\xe0 nothing").unwrap();
    assert!(message("crop=2", &["N", "3", "2", "2"]).contains("0.jpg: image cannot be decoded"));
}

/// calib.npz has the pictures of calib/ in order, preprocessed by Pillow before they were stored as JPEG, so the two
/// differ by what JPEG loses: 3.048 of 255 levels in the mean and 6.462 in the worst picture when Pillow decodes them.
#[test]
fn jpegs_come_out_as_pillow_makes_them() {
    let (Some(folder), Some(npz)) = (shared("data/imagenet/calib"), shared("data/imagenet/calib.npz")) else { return };
    let inputs = [input("input", DType::F32, &["N", "3", "224", "224"])];
    let text = "resize=256,crop=224,filter=bicubic,mean=127,std=128,order=rgb,layout=nchw";
    let synsets = shared("data/imagenet/synsets.txt");
    let images = DataOptions { preprocess: Some(text.into()), synsets, limit: Some(100), ..options(&folder, 1) };
    let images = Dataset::open(&images, &inputs).unwrap();
    let arrays = open(&npz, 1, &inputs).unwrap();
    assert_eq!((images.len(), arrays.len()), (100, 100));
    let (mut worst, mut sum) = (0.0f32, 0.0);
    for i in 0..100 {
        let (a, b) = (floats(&images, i, "input"), floats(&arrays, i, "input"));
        let mean = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).sum::<f32>() / a.len() as f32 * 128.0;
        worst = worst.max(mean);
        sum += mean;
    }
    println!("mean difference {:.3} levels, worst picture {worst:.3}", sum / 100.0);
    assert!((sum / 100.0 - 3.048).abs() < 0.05 && (worst - 6.462).abs() < 0.1, "{} {worst}", sum / 100.0);
    assert_eq!(images.batch(0).unwrap().labels.unwrap(), [1]);
}
