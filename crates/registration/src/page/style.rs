//! The style sheet of the pages.

use crate::page_settings::{BORDER_CONTRAST_MIN, Colors, TEXT_CONTRAST_MIN};

/// The part of the text's color in the color around the card, in percent.
const CANVAS_PERCENT: u16 = 5;

/// The part of the text's color in the edge of the card, in percent.
const EDGE_PERCENT: u16 = 15;

/// The rules that are the same for all sellers. All sizes follow the reader's text size. The card
/// fills a narrow screen.
const RULES: &str = "\
*{box-sizing:border-box}\
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}\
body{margin:0;background:var(--background);color:var(--text);font:1rem/1.6 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',sans-serif;overflow-wrap:anywhere}\
.card{max-width:40rem;margin:0 auto;padding:1.5rem 1.25rem 2rem;background:var(--background)}\
header{margin-bottom:2rem}\
header img{display:block;max-width:100%;max-height:3rem;height:auto}\
.seller{margin:0;font-size:1.125rem;font-weight:650;letter-spacing:-.01em}\
h1{margin:0 0 1rem;font-size:1.75rem;line-height:1.2;font-weight:700;letter-spacing:-.02em}\
h2{margin:0 0 .5rem;font-size:1.125rem;line-height:1.3}\
p{margin:0 0 1rem}\
a{color:var(--accent);text-underline-offset:.15em}\
.notes,.sign-in{margin:0 0 1rem;padding:1rem 1.25rem;border:1px solid var(--edge);border-radius:.75rem}\
.notes{list-style:none;padding-left:1.25rem}\
.notes li+li{margin-top:.5rem}\
.summary{margin:0 0 1.5rem;padding:1rem 1.25rem;border:2px solid var(--error);border-radius:.75rem}\
.summary ul{margin:0;padding-left:1.25rem}\
.summary a{color:var(--error)}\
form{margin:2rem 0 0}\
.field{margin:0 0 1.5rem}\
label{display:block;margin-bottom:.375rem;font-weight:600}\
.need{color:var(--quiet);font-weight:400}\
.problem{color:var(--error);font-weight:600}\
.problem p{margin:0 0 .375rem}\
input,textarea{display:block;width:100%;min-height:3rem;padding:.6rem .75rem;border:1px solid var(--border);border-radius:.5rem;background:var(--background);color:inherit;font:inherit}\
textarea{resize:vertical}\
[aria-invalid]{border:2px solid var(--error)}\
button{width:100%;min-height:3rem;padding:.7rem 1.5rem;border:2px solid transparent;border-radius:.5rem;background:var(--accent);color:var(--background);font:inherit;font-weight:600;cursor:pointer}\
button:hover{box-shadow:0 0 0 2px var(--background),0 0 0 4px var(--accent)}\
:focus-visible{outline:3px solid var(--text);outline-offset:2px}\
footer{margin-top:2.5rem;padding-top:1.25rem;border-top:1px solid var(--edge);color:var(--quiet);font-size:.9375rem}\
footer p{margin:0}\
@media(min-width:44rem){\
body{background:var(--canvas)}\
.card{margin:4rem auto;padding:3rem;border:1px solid var(--edge);border-radius:1.25rem;box-shadow:0 1rem 3rem rgb(0 0 0/.08)}\
button{width:auto}\
}";

/// The style sheet in the seller's colors. Every color of a text has enough contrast to the card's
/// background.
pub(super) fn sheet(colors: &Colors) -> String {
    let scheme = match colors.background.is_dark() {
        true => "dark",
        false => "light",
    };
    let variables = [
        ("text", colors.text),
        ("background", colors.background),
        ("accent", colors.accent),
        ("quiet", colors.mildest(TEXT_CONTRAST_MIN)),
        ("border", colors.mildest(BORDER_CONTRAST_MIN)),
        ("error", colors.error()),
        (
            "canvas",
            colors.background.mixed(colors.text, CANVAS_PERCENT),
        ),
        ("edge", colors.background.mixed(colors.text, EDGE_PERCENT)),
    ];
    let variables: String = variables
        .iter()
        .map(|(name, color)| format!("--{name}:{color};"))
        .collect();
    format!(":root{{{variables}color-scheme:{scheme}}}{RULES}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sheet_has_the_sellers_colors_and_no_end_of_its_element() {
        let colors = Colors {
            text: "#ffffff".parse().unwrap(),
            background: "#101820".parse().unwrap(),
            accent: "#7fd1ff".parse().unwrap(),
        };
        let sheet = sheet(&colors);
        assert!(sheet.starts_with(":root{--text:#ffffff;--background:#101820;--accent:#7fd1ff;"));
        assert!(sheet.contains("color-scheme:dark}"));
        assert!(!sheet.contains(['<', '&', '\n']));
        assert_eq!(sheet.matches('{').count(), sheet.matches('}').count());
    }
}
