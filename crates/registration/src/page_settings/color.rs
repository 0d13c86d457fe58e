//! The colors of the pages, and how well they can be told apart.

use std::fmt;
use std::str::FromStr;

use marketplace::text::excerpt;
use serde::{Deserialize, Serialize};

/// The smallest contrast between a text and its background, as a ratio to one (WCAG 2.2, success
/// criterion 1.4.3).
pub(crate) const TEXT_CONTRAST_MIN: f64 = 4.5;

/// The smallest contrast between the border of a field and its background, as a ratio to one (WCAG
/// 2.2, success criterion 1.4.11).
pub(crate) const BORDER_CONTRAST_MIN: f64 = 3.0;

/// A color without transparency, written as in `#16191f`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Color([u8; 3]);

/// The error for a text that is not a color.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("color {value:?} is not valid: a color is # and six hexadecimal digits, as in #16191f")]
pub struct InvalidColor {
    /// The text, cut off after 40 characters.
    pub value: String,
}

impl FromStr for Color {
    type Err = InvalidColor;

    fn from_str(text: &str) -> Result<Self, InvalidColor> {
        let invalid = || InvalidColor {
            value: excerpt(text, 40),
        };
        let digits = text.strip_prefix('#').ok_or_else(invalid)?;
        if digits.len() != 6 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(invalid());
        }
        let [_, red, green, blue] = u32::from_str_radix(digits, 16)
            .map_err(|_| invalid())?
            .to_be_bytes();
        Ok(Self([red, green, blue]))
    }
}

impl TryFrom<String> for Color {
    type Error = InvalidColor;

    fn try_from(text: String) -> Result<Self, InvalidColor> {
        text.parse()
    }
}

impl From<Color> for String {
    fn from(color: Color) -> Self {
        color.to_string()
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([red, green, blue]) = self;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl fmt::Debug for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Color {
    /// The contrast between two colors, from 1 to 21 (WCAG 2.2, "contrast ratio").
    pub(crate) fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }

    /// Whether white text would be easier to read on this color than black text.
    pub(crate) fn is_dark(self) -> bool {
        self.contrast(Self([255; 3])) > self.contrast(Self([0; 3]))
    }

    /// This color with a part of another one, in percent.
    pub(crate) fn mixed(self, other: Self, percent: u16) -> Self {
        let mix = |own: u8, other: u8| {
            let percent = percent.min(100);
            let sum = u16::from(own) * (100 - percent) + u16::from(other) * percent;
            u8::try_from(sum / 100).unwrap_or(u8::MAX)
        };
        let (Self([r, g, b]), Self([other_r, other_g, other_b])) = (self, other);
        Self([mix(r, other_r), mix(g, other_g), mix(b, other_b)])
    }

    /// The brightness from 0 to 1, as eyes see it (WCAG 2.2, "relative luminance").
    fn luminance(self) -> f64 {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            match part <= 0.04045 {
                true => part / 12.92,
                false => ((part + 0.055) / 1.055).powf(2.4),
            }
        };
        let Self([red, green, blue]) = self;
        0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
    }
}

/// The colors of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Colors {
    /// The color of texts.
    pub text: Color,
    /// The color behind texts, and of the text on buttons.
    pub background: Color,
    /// The color of links and buttons.
    pub accent: Color,
}

impl Default for Colors {
    fn default() -> Self {
        Self {
            text: Color([0x16, 0x19, 0x1f]),
            background: Color([0xff, 0xff, 0xff]),
            accent: Color([0x0b, 0x57, 0xb0]),
        }
    }
}

impl Colors {
    /// The mildest color between the background and the text that still has this contrast to the
    /// background.
    pub(crate) fn mildest(&self, contrast_min: f64) -> Color {
        (0..100)
            .step_by(5)
            .map(|percent| self.background.mixed(self.text, percent))
            .find(|color| color.contrast(self.background) >= contrast_min)
            .unwrap_or(self.text)
    }

    /// The color of errors: a red that can be read on the background, or else the color of texts.
    pub(crate) fn error(&self) -> Color {
        let reds = [Color([0xb3, 0x1b, 0x1b]), Color([0xff, 0xb4, 0xab])];
        reds.into_iter()
            .find(|red| red.contrast(self.background) >= TEXT_CONTRAST_MIN)
            .unwrap_or(self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn color(text: &str) -> Color {
        text.parse().unwrap()
    }

    #[test]
    fn a_color_is_six_hexadecimal_digits() {
        assert_eq!(color("#16191F").to_string(), "#16191f");
        for text in [
            "",
            "#",
            "#fff",
            "16191f",
            "#16191g",
            "#16191f00",
            "#+6191f",
            "red",
            "#äöü",
        ] {
            let error = text.parse::<Color>().unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn contrast_is_that_of_wcag() {
        #[track_caller]
        fn check(one: &str, two: &str, expect: f64) {
            for contrast in [
                color(one).contrast(color(two)),
                color(two).contrast(color(one)),
            ] {
                assert!((contrast - expect).abs() < 0.01, "{one} {two}: {contrast}");
            }
        }
        check("#000000", "#ffffff", 21.0);
        check("#ffffff", "#ffffff", 1.0);
        check("#777777", "#ffffff", 4.48);
        check("#767676", "#ffffff", 4.54);
        check("#ff0000", "#ffffff", 4.0);
        check("#0000ff", "#ffffff", 8.59);
    }

    #[test]
    fn the_default_colors_can_be_read() {
        let colors = Colors::default();
        assert!(colors.text.contrast(colors.background) >= TEXT_CONTRAST_MIN);
        assert!(colors.accent.contrast(colors.background) >= TEXT_CONTRAST_MIN);
    }

    #[test]
    fn derived_colors_can_be_read_on_every_background() {
        for (text, background) in [
            ("#000000", "#ffffff"),
            ("#ffffff", "#000000"),
            ("#767676", "#ffffff"),
            ("#ffffff", "#767676"),
            ("#102040", "#e0d0c0"),
        ] {
            let colors = Colors {
                text: color(text),
                background: color(background),
                accent: color(text),
            };
            for derived in [colors.error(), colors.mildest(TEXT_CONTRAST_MIN)] {
                let contrast = derived.contrast(colors.background);
                assert!(contrast >= TEXT_CONTRAST_MIN, "{derived} on {background}");
            }
            let border = colors.mildest(BORDER_CONTRAST_MIN);
            assert!(border.contrast(colors.background) >= BORDER_CONTRAST_MIN);
        }
    }

    #[test]
    fn colors_are_mixed_by_percent() {
        let (black, white) = (color("#000000"), color("#ffffff"));
        assert_eq!(white.mixed(black, 0), white);
        assert_eq!(white.mixed(black, 100), black);
        assert_eq!(black.mixed(white, 50).to_string(), "#7f7f7f");
        assert!(black.is_dark() && !white.is_dark());
    }
}
