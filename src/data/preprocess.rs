//! What is done to an image before the model sees it.

use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

use fast_image_resize::images::Image;
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::{DynamicImage, ImageReader, Limits};

use super::nearest;
use crate::error::{Error, Result};

/// Memory that decoding one image may take.
const LARGEST_IMAGE: u64 = 512 << 20;

/// What is done to an image: resize, crop, value·scale, (value − mean) / std, channel order, layout.
///
/// Written as `resize=256,crop=224,filter=bicubic,mean=127,std=128,order=rgb,layout=nchw`; every key may be left out.
///
/// | key | | left out |
/// |---|---|---|
/// | `resize` | length of the short side (the aspect stays), or exactly `WxH` | as decoded |
/// | `crop` | side of the square, or `WxH`, cut from the centre | nothing is cut |
/// | `filter` | `nearest`, `box`, `bilinear`, `hamming`, `bicubic` or `lanczos`, antialiased, as in Pillow | `bicubic` |
/// | `scale` | factor of the 8-bit values, as a number or a fraction such as `1/255` | 1 |
/// | `mean`, `std` | one number or one per channel, in the scaled values' unit: `0.485/0.456/0.406` | 0, 1 |
/// | `order` | `rgb`, `bgr` or `gray` | `rgb`, or `gray` where the model takes one channel |
/// | `layout` | `nchw` or `nhwc` | the model's declared shape decides, else `nchw` |
///
/// Per-channel numbers are in the channels' `order` and separated by `/`, `:`, blanks or commas. The long side after
/// `resize` is rounded down and the offset of the crop to the nearest even number of half pixels, as torchvision does.
/// The orientation noted in a JPEG's metadata and transparency are ignored, as Pillow's `convert("RGB")` does.
#[derive(Debug, Clone, PartialEq)]
pub struct Preprocess {
    resize: Option<Size>,
    crop: Option<(u32, u32)>,
    filter: Filter,
    scale: f32,
    mean: Vec<f32>,
    std: Vec<f32>,
    order: Option<Order>,
    layout: Option<Layout>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Size {
    Short(u32),
    /// Width, height.
    Exact(u32, u32),
}

/// Order of the channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Rgb,
    Bgr,
    Gray,
}

/// Order of the axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    Nchw,
    Nhwc,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Filter(ResizeAlg);

const KEYS: [&str; 8] = ["resize", "crop", "filter", "scale", "mean", "std", "order", "layout"];
const FILTERS: [(&str, ResizeAlg); 6] = [
    ("nearest", ResizeAlg::Nearest),
    ("box", ResizeAlg::Convolution(FilterType::Box)),
    ("bilinear", ResizeAlg::Convolution(FilterType::Bilinear)),
    ("hamming", ResizeAlg::Convolution(FilterType::Hamming)),
    ("bicubic", ResizeAlg::Convolution(FilterType::CatmullRom)),
    ("lanczos", ResizeAlg::Convolution(FilterType::Lanczos3)),
];
const ORDERS: [(&str, Order); 3] = [("rgb", Order::Rgb), ("bgr", Order::Bgr), ("gray", Order::Gray)];
const LAYOUTS: [(&str, Layout); 2] = [("nchw", Layout::Nchw), ("nhwc", Layout::Nhwc)];

impl FromStr for Preprocess {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut p = Preprocess {
            resize: None,
            crop: None,
            filter: Filter(ResizeAlg::Convolution(FilterType::CatmullRom)),
            scale: 1.0,
            mean: vec![0.0],
            std: vec![1.0],
            order: None,
            layout: None,
        };
        for (key, value) in pairs(text)? {
            let value = value.as_str();
            match key.as_str() {
                "resize" => p.resize = Some(parse_size(&key, value)?),
                "crop" => {
                    p.crop = Some(match parse_size(&key, value)? {
                        Size::Short(side) => (side, side),
                        Size::Exact(w, h) => (w, h),
                    });
                }
                "filter" => p.filter = Filter(choose(&key, value, &FILTERS)?),
                "scale" => p.scale = parse_scale(value)?,
                "mean" => p.mean = parse_channels(&key, value)?,
                "std" => p.std = parse_channels(&key, value)?,
                "order" => p.order = Some(choose(&key, value, &ORDERS)?),
                "layout" => p.layout = Some(choose(&key, value, &LAYOUTS)?),
                _ => {
                    let hint =
                        nearest(&key, KEYS.into_iter()).map_or_else(String::new, |k| format!(", is it \"{k}\"?"));
                    return Err(usage(format!("unknown key \"{key}\"{hint} (keys: {})", KEYS.join(", "))));
                }
            }
        }
        if let Some(std) = p.std.iter().find(|s| **s == 0.0) {
            return Err(usage(format!("std={std} divides by zero")));
        }
        Ok(p)
    }
}

/// `key=value` pairs; a part without `=` goes on with the list before it.
fn pairs(text: &str) -> Result<Vec<(String, String)>> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        match (part.split_once('='), pairs.last_mut()) {
            (Some((key, value)), _) => pairs.push((key.trim().to_ascii_lowercase(), value.trim().to_ascii_lowercase())),
            (None, Some((key, list))) if matches!(key.as_str(), "mean" | "std") => *list = format!("{list}/{part}"),
            (None, _) => return Err(usage(format!("\"{part}\" is not of the form key=value"))),
        }
    }
    for (i, (key, _)) in pairs.iter().enumerate() {
        if pairs[..i].iter().any(|(other, _)| other == key) {
            return Err(usage(format!("{key} is given twice")));
        }
    }
    Ok(pairs)
}

fn usage(message: impl Display) -> Error {
    Error::usage(format!("preprocess: {message}"))
}

fn parse_size(key: &str, value: &str) -> Result<Size> {
    let side = |text: &str| text.trim().parse().ok().filter(|n| (1..=32_768).contains(n));
    let size = match value.split_once('x') {
        None => side(value).map(Size::Short),
        Some((w, h)) => side(w).zip(side(h)).map(|(w, h)| Size::Exact(w, h)),
    };
    size.ok_or_else(|| usage(format!("{key}={value} is neither a length in pixels nor WIDTHxHEIGHT")))
}

fn choose<T: Copy>(key: &str, value: &str, choices: &[(&str, T)]) -> Result<T> {
    choices.iter().find(|(name, _)| *name == value).map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        usage(format!("{key}={value} is none of {}", names.join(", ")))
    })
}

fn parse_number(text: &str) -> Option<f32> {
    text.trim().parse().ok().filter(|v: &f32| v.is_finite())
}

fn parse_scale(value: &str) -> Result<f32> {
    let scale = match value.split_once('/') {
        None => parse_number(value),
        Some((a, b)) => parse_number(a).zip(parse_number(b)).map(|(a, b)| a / b).filter(|s| s.is_finite()),
    };
    scale.ok_or_else(|| usage(format!("scale={value} is neither a number nor a fraction such as 1/255")))
}

fn parse_channels(key: &str, value: &str) -> Result<Vec<f32>> {
    let parts = value.split(|c: char| matches!(c, '/' | ':') || c.is_whitespace()).filter(|p| !p.is_empty());
    let numbers = parts.map(parse_number).collect::<Option<Vec<_>>>();
    numbers
        .filter(|n| matches!(n.len(), 1 | 3))
        .ok_or_else(|| usage(format!("{key}={value} is neither one number nor three, as in {key}=0.485/0.456/0.406")))
}

impl Preprocess {
    /// Settles what was left open by what the model declares of the axes after the batch axis (−1: unknown).
    pub(super) fn settle(&mut self, axes: [i64; 3]) -> Result<()> {
        let is_channels = |n: i64| matches!(n, 1 | 3);
        let layout = *self.layout.get_or_insert(match axes {
            [c, _, _] if is_channels(c) => Layout::Nchw,
            [_, _, c] if is_channels(c) => Layout::Nhwc,
            _ => Layout::Nchw,
        });
        let channels = if layout == Layout::Nchw { axes[0] } else { axes[2] };
        let order = *self.order.get_or_insert(if channels == 1 { Order::Gray } else { Order::Rgb });
        if order == Order::Gray && self.mean.len().max(self.std.len()) > 1 {
            return Err(usage("mean and std have three numbers, a gray image has one channel"));
        }
        Ok(())
    }

    /// Whether all images come out at the same size.
    pub(super) fn is_fixed_size(&self) -> bool {
        self.crop.is_some() || matches!(self.resize, Some(Size::Exact(..)))
    }

    /// Decodes the image at `path` and appends its numbers to `out`; the shape without the batch axis.
    pub(super) fn load(&self, path: &Path, out: &mut Vec<f32>) -> Result<[usize; 3]> {
        let image = decode(path)?;
        let order = self.order.unwrap_or(Order::Rgb);
        let (width, height) = (image.width(), image.height());
        let (pixels, kind) = match order {
            Order::Gray => (gray(&image.into_rgb8()), PixelType::U8),
            Order::Rgb | Order::Bgr => (image.into_rgb8().into_raw(), PixelType::U8x3),
        };
        let damaged = |e: String| Error::input(format!("image cannot be resized: {e}")).in_file(path);
        let mut pixels = Image::from_vec_u8(width, height, pixels, kind).map_err(|e| damaged(e.to_string()))?;
        let (w, h) = self.resized(width, height);
        // Across, then down, with 8 bits between, is Pillow's order; in one call the crate goes the other way.
        for (w, h) in [(w, height), (w, h)] {
            if (w, h) != (pixels.width(), pixels.height()) {
                let mut resized = Image::new(w, h, kind);
                let options = ResizeOptions::new().resize_alg(self.filter.0);
                Resizer::new().resize(&pixels, &mut resized, &options).map_err(|e| damaged(e.to_string()))?;
                pixels = resized;
            }
        }
        let (cw, ch) = self.crop.unwrap_or((w, h));
        if cw > w || ch > h {
            return Err(Error::input(format!(
                "image of {w}x{h} pixels is smaller than crop={cw}x{ch}: give a resize, or a larger one"
            ))
            .in_file(path));
        }
        let window = Window { left: centred(w, cw), top: centred(h, ch), width: cw as usize, height: ch as usize };
        Ok(self.numbers(pixels.buffer(), w as usize, &window, order, out))
    }

    fn resized(&self, width: u32, height: u32) -> (u32, u32) {
        match self.resize {
            None => (width, height),
            Some(Size::Exact(w, h)) => (w, h),
            Some(Size::Short(side)) => {
                let (short, long) = (width.min(height), width.max(height));
                let scaled =
                    (u64::from(side) * u64::from(long) / u64::from(short.max(1))).min(u64::from(u32::MAX)) as u32;
                if width < height { (side, scaled) } else { (scaled, side) }
            }
        }
    }

    fn numbers(&self, pixels: &[u8], stride: usize, window: &Window, order: Order, out: &mut Vec<f32>) -> [usize; 3] {
        let channels = if order == Order::Gray { 1 } else { 3 };
        let source = |c: usize| if order == Order::Bgr { channels - 1 - c } else { c };
        let of = |list: &[f32], c: usize| list[c.min(list.len() - 1)];
        let table: Vec<[f32; 256]> = (0..channels)
            .map(|c| std::array::from_fn(|v| (v as f32 * self.scale - of(&self.mean, c)) / of(&self.std, c)))
            .collect();
        let rows = (window.top..window.top + window.height)
            .map(|y| &pixels[(y * stride + window.left) * channels..][..window.width * channels]);
        out.reserve(window.width * window.height * channels);
        if self.layout == Some(Layout::Nhwc) {
            for row in rows {
                for pixel in row.chunks_exact(channels) {
                    out.extend((0..channels).map(|c| table[c][usize::from(pixel[source(c)])]));
                }
            }
            return [window.height, window.width, channels];
        }
        for (c, table) in table.iter().enumerate() {
            for row in rows.clone() {
                out.extend(row.iter().skip(source(c)).step_by(channels).map(|v| table[usize::from(*v)]));
            }
        }
        [channels, window.height, window.width]
    }
}

/// The part of an image that is kept, in pixels.
struct Window {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

fn decode(path: &Path) -> Result<DynamicImage> {
    let mut limits = Limits::default();
    limits.max_alloc = Some(LARGEST_IMAGE);
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format).map_err(|e| Error::io(path, e))?;
    let mut reader = reader;
    reader.limits(limits);
    reader.decode().map_err(|e| Error::input(format!("image cannot be decoded: {e}")).in_file(path).caused_by(e))
}

/// Luma of ITU-R 601 in Pillow's arithmetic.
fn gray(image: &image::RgbImage) -> Vec<u8> {
    let luma = |[r, g, b]: [u8; 3]| (u32::from(r) * 19595 + u32::from(g) * 38470 + u32::from(b) * 7471 + 0x8000) >> 16;
    image.pixels().map(|p| luma(p.0) as u8).collect()
}

/// Start of the centred part; half a pixel goes to the even side.
fn centred(whole: u32, part: u32) -> usize {
    (f64::from(whole - part) / 2.0).round_ties_even() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 23×17 picture, the same as in the lines of Pillow that made the numbers below.
    fn picture() -> (tempfile::TempDir, std::path::PathBuf) {
        let value = |x: u32, y: u32, c: u32| ((x * 37 + y * 91 + c * 53 + (x * y * (c + 1)) % 97 * 3) % 256) as u8;
        let image = image::RgbImage::from_fn(23, 17, |x, y| image::Rgb([0, 1, 2].map(|c| value(x, y, c))));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.png");
        image.save(&path).unwrap();
        (folder, path)
    }

    fn load(text: &str, axes: [i64; 3]) -> (Vec<f32>, [usize; 3]) {
        let (_folder, path) = picture();
        let mut preprocess: Preprocess = text.parse().unwrap();
        preprocess.settle(axes).unwrap();
        let mut out = Vec::new();
        let shape = preprocess.load(&path, &mut out).unwrap();
        (out, shape)
    }

    #[test]
    fn resizing_equals_pillow() {
        let down: [(&str, [u8; 35]); 4] = [
            (
                "bicubic",
                [
                    109, 143, 115, 127, 117, 120, 118, 141, 151, 135, 118, 129, 125, 125, 129, 128, 133, 137, 120, 139,
                    123, 133, 120, 135, 122, 120, 131, 132, 141, 131, 127, 121, 113, 132, 141,
                ],
            ),
            (
                "bilinear",
                [
                    115, 141, 120, 124, 119, 120, 119, 140, 147, 135, 119, 126, 126, 125, 128, 129, 133, 136, 120, 138,
                    127, 133, 123, 132, 125, 120, 130, 131, 139, 131, 128, 120, 114, 132, 138,
                ],
            ),
            (
                "lanczos",
                [
                    107, 144, 115, 127, 115, 121, 118, 141, 152, 135, 118, 131, 126, 126, 130, 128, 132, 137, 120, 138,
                    123, 133, 119, 138, 121, 119, 132, 130, 142, 130, 129, 121, 112, 133, 143,
                ],
            ),
            (
                "hamming",
                [
                    112, 144, 112, 123, 115, 115, 116, 143, 150, 138, 113, 125, 124, 130, 127, 124, 137, 140, 118, 143,
                    125, 133, 116, 130, 124, 123, 129, 135, 141, 130, 120, 121, 115, 131, 136,
                ],
            ),
        ];
        for (filter, expected) in down {
            let (out, shape) = load(&format!("resize=7x5,filter={filter}"), [3, -1, -1]);
            assert_eq!(shape, [3, 5, 7]);
            let worst = out.iter().zip(expected).map(|(a, b)| (a - f32::from(b)).abs()).fold(0.0, f32::max);
            assert!(worst <= if filter == "lanczos" { 1.0 } else { 0.0 }, "{filter}: {worst}");
        }
        let (out, _) = load("resize=31x29", [3, -1, -1]);
        let row = [
            132, 130, 166, 212, 108, 68, 102, 161, 62, 83, 126, 123, 167, 98, 44, 111, 184, 206, 159, 62, 134, 158,
            150, 189, 92, 91, 178, 226, 73, 30, 105,
        ];
        let ours = &out[31 * 29 + 10 * 31..][..31];
        let worst = ours.iter().zip(row).map(|(a, b)| (a - b as f32).abs()).fold(0.0, f32::max);
        assert_eq!(worst, 0.0, "{ours:?}");
    }

    #[test]
    fn gray_is_pillows_luma() {
        let (out, shape) = load("", [1, -1, -1]);
        assert_eq!(shape, [1, 17, 23]);
        let row = [60, 114, 167, 191, 94, 147, 124, 148, 202, 105, 158, 102, 155, 58, 111, 136, 189, 145, 48, 72];
        assert_eq!(out[3 * 23..][..20], row.map(|v| v as f32));
    }

    #[test]
    fn crop_order_layout_and_normalization() {
        // (23 − 4)/2 = 9.5 and (17 − 2)/2 = 7.5 both go to the even side: 10 and 8.
        let (plain, _) = load("", [3, -1, -1]);
        let at = |c: usize, y: usize, x: usize| plain[c * 17 * 23 + y * 23 + x];
        let (out, shape) = load("crop=4x2,mean=1/2/3,std=2,layout=nchw", [3, -1, -1]);
        assert_eq!(shape, [3, 2, 4]);
        assert_eq!(out[0], (at(0, 8, 10) - 1.0) / 2.0);
        assert_eq!(out[23], (at(2, 9, 13) - 3.0) / 2.0);
        let (out, shape) = load("crop=4x2,order=bgr,scale=1/255,mean=0.5,0.25,0.125", [-1, -1, 3]);
        assert_eq!(shape, [2, 4, 3]);
        assert_eq!(out[0], at(2, 8, 10) * (1.0 / 255.0) - 0.5);
        assert_eq!(out[5], at(0, 8, 11) * (1.0 / 255.0) - 0.125);
    }

    #[test]
    fn short_side_keeps_the_aspect() {
        let p: Preprocess = "resize=256".parse().unwrap();
        assert_eq!(p.resized(500, 375), (341, 256));
        assert_eq!(p.resized(375, 500), (256, 341));
        assert_eq!(p.resized(256, 256), (256, 256));
    }

    #[test]
    fn mistakes_are_usage_errors() {
        let message = |text: &str| {
            let error = text.parse::<Preprocess>().unwrap_err();
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        };
        assert!(message("resiz=256").starts_with("preprocess: unknown key \"resiz\", is it \"resize\"?"));
        assert!(message("filter=cubic").contains("is none of nearest, box, bilinear, hamming, bicubic, lanczos"));
        assert!(message("std=0").contains("divides by zero"));
        assert!(message("mean=1/2").contains("neither one number nor three"));
        assert!(message("scale=1/0").contains("scale=1/0"));
        assert!(message("resize=0").contains("neither a length"));
        assert!(message("crop=3,crop=4").contains("crop is given twice"));
        assert!(message("256").contains("not of the form key=value"));
    }
}
