//! From an image file to the numbers that a model takes, with Pillow's arithmetic.

use std::io::Cursor;
use std::path::Path;

use fast_image_resize::images::Image;
use fast_image_resize::{PixelType, ResizeOptions, Resizer};
use image::{DynamicImage, ImageFormat, ImageReader, Limits};

use super::preprocess::{Layout, Order, Preprocess, Size};
use crate::error::{Error, Result};

/// Memory that decoding one image may take.
const LARGEST_IMAGE: u64 = 512 << 20;

impl Preprocess {
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
        if 3 * u64::from(w) * u64::from(h.max(height)) > LARGEST_IMAGE {
            return Err(damaged(format!("{width}x{height} pixels would become {w}x{h}")));
        }
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
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    let reader = ImageReader::new(Cursor::new(&bytes)).with_guessed_format();
    let mut reader = reader.map_err(|e| Error::io(path, e))?;
    if reader.format() == Some(ImageFormat::Jpeg) && is_cut(&bytes) {
        return Err(Error::input("image is cut off: its data have no end").in_file(path));
    }
    reader.limits(limits);
    reader.decode().map_err(|e| Error::input(format!("image cannot be decoded: {e}")).in_file(path).caused_by(e))
}

/// Whether a JPEG ends after a start of scan (FFDA) and before its end of image (FFD9): decoders fill what is missing with grey. What
/// follows the end, as the video of a motion photo, is no part of it, nor is a thumbnail inside a segment.
fn is_cut(jpeg: &[u8]) -> bool {
    let (mut at, mut scans) = (2, false);
    while let Some(pair) = jpeg.get(at..at + 2) {
        let [0xff, marker] = pair else {
            // Compressed data, up to the next marker.
            at += 1;
            continue;
        };
        match marker {
            0xd9 => return false,
            // Fill bytes, a stuffed 255, and restarts have no length.
            0xff => at += 1,
            0x00 | 0x01 | 0xd0..=0xd8 => at += 2,
            _ => {
                scans |= *marker == 0xda;
                let Some(length) = jpeg.get(at + 2..at + 4) else { return scans };
                at += 2 + usize::from(u16::from_be_bytes([length[0], length[1]]));
            }
        }
    }
    scans
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
}
