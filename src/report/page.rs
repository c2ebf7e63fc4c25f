//! The pages: one HTML document with its style, scripts and data inside, so that it opens from a file and asks nothing of any server.

use super::model::Report;

const STYLE: &str = include_str!("assets/style.css");
const UPLOT_STYLE: &str = include_str!("assets/uplot.min.css");
const UPLOT: &str = include_str!("assets/uplot.min.js");
const COMMON: &str = include_str!("assets/common.js");
const REPORT: &str = include_str!("assets/report.js");

/// Where a page may get things from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sources {
    /// From itself only.
    Nowhere,
    /// Data from the server that served it.
    OwnServer,
}

/// A whole document around `script`, which finds the elements and plots of `common.js`, uPlot, and `data` (JSON) in the element `data`.
#[must_use]
pub fn document(title: &str, data: &str, script: &str, sources: Sources) -> String {
    let connect = match sources {
        Sources::Nowhere => "'none'",
        Sources::OwnServer => "'self'",
    };
    // In a script element only `<` can end it early.
    let data = data.replace('<', "\\u003c");
    let title = escaped(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'unsafe-inline'; \
         style-src 'unsafe-inline'; img-src data:; connect-src {connect}; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{title}</title>\n<style>\n{UPLOT_STYLE}\n{STYLE}</style>\n</head>\n<body>\n\
         <noscript><p style=\"padding:1em\">The figures are drawn by the script in this page; without it they stand in the element \
         <code>data</code> as JSON, as in <code>sq report --json</code>.</p></noscript>\n\
         <script id=\"data\" type=\"application/json\">{data}</script>\n<script>{UPLOT}</script>\n<script>{COMMON}{script}</script>\n\
         </body>\n</html>\n"
    )
}

impl Report {
    /// The JSON form, one line.
    ///
    /// # Panics
    /// Never: the model has no key that is not text.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("a report is plain values")
    }

    /// The page.
    #[must_use]
    pub fn html(&self) -> String {
        document(&format!("{} - spinquote", self.title), &self.json(), REPORT, Sources::Nowhere)
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::model::Kind;
    use super::super::{Collector, Setup};
    use super::*;
    use crate::instrument::Instrument;

    #[test]
    fn text_from_outside_cannot_leave_its_place() {
        let nasty = "</script><script>alert(1)</script><!-- & ";
        let run = Collector::new(Setup {
            title: nasty.to_owned(),
            kind: Kind::Live,
            facts: vec![("who".to_owned(), nasty.to_owned())],
            instruments: vec![Instrument::synthetic("BTCUSDT", "0.1", "0.001")],
            limits: Vec::new(),
        });
        let report = run.finish();
        let page = report.html();
        assert_eq!(page.matches("</script>").count(), 3, "those of the document itself");
        assert_eq!(page.matches("<!--").count(), 0);
        let data = page.split_once("application/json\">").unwrap().1.split_once("</script>").unwrap().0;
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["facts"][0]["value"], nasty);
        assert_eq!(data, serde_json::from_str::<serde_json::Value>(&report.json()).unwrap());
    }

    #[test]
    fn the_page_names_no_other_place() {
        let page = document("t", "{}", REPORT, Sources::Nowhere);
        // Where uPlot comes from, in its first comment; nothing is loaded from there.
        let links: Vec<&str> = page.split("://").skip(1).map(|rest| rest.split(['/', ' ']).next().unwrap()).collect();
        assert_eq!(links, ["github.com"]);
        for word in ["src=\"http", "@import", "url(", "fetch(", "XMLHttpRequest", "WebSocket"] {
            assert!(!page.contains(word), "{word}");
        }
    }
}
