//! A report as one HTML file: no script, no network, readable on a phone and on paper. It knows sections, figures and tables, not what is in them.

use crate::plots::colour;

/// A part of a page.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// Its headline.
    pub title: String,
    /// A paragraph, plain text.
    pub text: String,
    /// The names of the colours: number, name.
    pub legend: Vec<(usize, String)>,
    /// Pictures with their captions.
    pub figures: Vec<Figure>,
    /// Tables.
    pub tables: Vec<Grid>,
}

/// A picture.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Above it.
    pub caption: String,
    /// SVG text.
    pub svg: String,
}

/// A table: a caption, a head, rows; the first column names the row.
#[derive(Clone, Debug)]
pub struct Grid {
    /// Above it.
    pub caption: String,
    /// The names of the columns.
    pub head: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
}

const STYLE: &str = "
:root{--ink:#1f2328;--soft:#59636e;--line:#d1d9e0}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,-apple-system,\"Segoe UI\",Roboto,\"Noto Sans\",\"DejaVu Sans\",sans-serif;color:var(--ink);background:#fff;
margin:0 auto;padding:1rem clamp(.75rem,3vw,2rem) 3rem;max-width:76rem}
h1{font-size:1.6rem;line-height:1.25;margin:.5rem 0}h2{font-size:1.2rem;margin:2.2rem 0 .4rem;border-top:1px solid var(--line);padding-top:1.1rem}
p{max-width:46rem;margin:.4rem 0}.soft,figcaption,caption{color:var(--soft)}
.figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,24rem),1fr));gap:1rem 1.5rem;align-items:start}
figure{margin:.5rem 0 0;break-inside:avoid}figure svg{width:100%;height:auto;max-width:34rem;display:block}
figcaption{font-size:.92rem;font-weight:600}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;padding:0;margin:.5rem 0;font-size:.95rem}
.legend i{display:inline-block;width:1.1em;height:.75em;border-radius:2px;margin-right:.4em;print-color-adjust:exact;-webkit-print-color-adjust:exact}
.scroll{overflow-x:auto;margin:.8rem 0;break-inside:avoid}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
caption{text-align:left;font-weight:600;font-size:.92rem;padding-bottom:.2rem}
th,td{padding:.22rem .7rem;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:#fff}
thead th{border-bottom:2px solid var(--ink);vertical-align:bottom}
code{font:.88em ui-monospace,Menlo,Consolas,\"DejaVu Sans Mono\",monospace}pre{overflow-x:auto;background:#f6f8fa;padding:.7rem;border-radius:6px}
.warning{border-left:4px solid #d55e00;padding:.2rem .8rem;background:#fff6f0}
@media print{body{max-width:none;padding:0;font-size:11pt}h2{break-after:avoid}.scroll{overflow:visible}
table{font-size:7.5pt}th,td{padding:.1rem .3rem}.figures{grid-template-columns:repeat(2,1fr)}
th:first-child,td:first-child{position:static}}
";

/// Text as HTML.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The whole file. `lead` is HTML, everything in the sections is text but the pictures.
pub fn page(title: &str, lead: &str, sections: &[Section]) -> String {
    let title = escaped(title);
    let body: String = sections.iter().map(section).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{lead}\n{body}</body>\n</html>\n"
    )
}

fn section(section: &Section) -> String {
    let Section { title, text, legend, figures, tables } = section;
    let mut html = format!("<section>\n<h2>{}</h2>\n", escaped(title));
    if !text.is_empty() {
        html += &format!("<p>{}</p>\n", escaped(text));
    }
    if !legend.is_empty() {
        let entry =
            |(number, name): &(usize, String)| format!("<li><i style=\"background:{}\"></i>{}</li>", colour(*number), escaped(name));
        html += &format!("<ul class=\"legend\">{}</ul>\n", legend.iter().map(entry).collect::<String>());
    }
    if !figures.is_empty() {
        let figure = |Figure { caption, svg }: &Figure| format!("<figure><figcaption>{}</figcaption>\n{svg}</figure>\n", escaped(caption));
        html += &format!("<div class=\"figures\">\n{}</div>\n", figures.iter().map(figure).collect::<String>());
    }
    html += &tables.iter().map(table).collect::<String>();
    html + "</section>\n"
}

fn table(Grid { caption, head, rows }: &Grid) -> String {
    let cells = |tag: &str, cells: &[String]| cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell))).collect::<String>();
    let body: String = rows.iter().map(|row| format!("<tr>{}</tr>\n", cells("td", row))).collect();
    format!(
        "<div class=\"scroll\"><table><caption>{}</caption><thead><tr>{}</tr></thead><tbody>\n{body}</tbody></table></div>\n",
        escaped(caption),
        cells("th", head)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_needs_nothing_else_and_shows_text_as_it_is() {
        let grid = Grid { caption: "c".into(), head: vec!["a<b".into()], rows: vec![vec!["1 & 2".into()]] };
        let figure = Figure { caption: "f".into(), svg: "<svg></svg>".into() };
        let section =
            Section { title: "s".into(), text: "x > y".into(), legend: vec![(0, "sgd".into())], figures: vec![figure], tables: vec![grid] };
        let html = page("T<", "<p>lead</p>", &[section]);
        for part in [
            "<title>T&lt;</title>",
            "<th>a&lt;b</th>",
            "<td>1 &amp; 2</td>",
            "x &gt; y",
            "<svg></svg>",
            "background:#0072b2",
            "<p>lead</p>",
        ] {
            assert!(html.contains(part), "{part}");
        }
        assert!(!html.contains("http") && !html.contains("<script"));
    }
}
