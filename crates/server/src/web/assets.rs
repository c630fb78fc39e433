//! What pages load: one stylesheet, one script, one icon, compiled in. An asset's name has the hash
//! of its content, so that browsers keep it for ever and never use an old one.

use std::sync::LazyLock;

use axum::Router;
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::app::App;

/// The addresses of the assets.
pub(crate) struct Assets {
    pub(crate) css: String,
    pub(crate) js: String,
    pub(crate) icon: String,
}

struct Asset {
    stem: &'static str,
    ending: &'static str,
    content_type: &'static str,
    text: &'static str,
}

const CSS: Asset = Asset {
    stem: "site",
    ending: "css",
    content_type: "text/css; charset=utf-8",
    // What comes later wins where two say something of one thing: the narrow pages' rules over all.
    text: concat!(
        include_str!("../../assets/css/base.css"),
        include_str!("../../assets/css/frame.css"),
        include_str!("../../assets/css/controls.css"),
        include_str!("../../assets/css/page.css"),
        include_str!("../../assets/css/badges.css"),
        include_str!("../../assets/css/cards.css"),
        include_str!("../../assets/css/trackers.css"),
        include_str!("../../assets/css/empty.css"),
        include_str!("../../assets/css/cache.css"),
        include_str!("../../assets/css/projects.css"),
        include_str!("../../assets/css/demo.css"),
        include_str!("../../assets/css/keys.css"),
        include_str!("../../assets/css/narrow.css"),
    ),
};
const JS: Asset = Asset {
    stem: "site",
    ending: "js",
    content_type: "text/javascript; charset=utf-8",
    // One function of them all: nothing of it is known outside.
    text: concat!(
        "// What the pages can do with JavaScript; each page is whole without it.\n(() => {\n\"use strict\";\n",
        include_str!("../../assets/js/page.js"),
        include_str!("../../assets/js/list.js"),
        include_str!("../../assets/js/hands.js"),
        include_str!("../../assets/js/live.js"),
        "})();\n",
    ),
};
const ICON: Asset = Asset {
    stem: "icon",
    ending: "svg",
    content_type: "image/svg+xml",
    text: include_str!("../../assets/icon.svg"),
};

pub(crate) static ASSETS: LazyLock<Assets> =
    LazyLock::new(|| Assets { css: CSS.address(), js: JS.address(), icon: ICON.address() });

impl Asset {
    fn file_name(&self) -> String {
        let hash = blake3::hash(self.text.as_bytes());
        format!("{}.{}.{}", self.stem, &hash.to_hex()[..12], self.ending)
    }

    fn address(&self) -> String {
        format!("/assets/{}", self.file_name())
    }
}

/// The routes of the assets.
pub(crate) fn routes() -> Router<App> {
    Router::new().route("/assets/{name}", get(asset))
}

async fn asset(uri: Uri) -> Response {
    let known = [CSS, JS, ICON];
    let is_asked = |asset: &&Asset| {
        let known = match asset.ending {
            "css" => &ASSETS.css,
            "js" => &ASSETS.js,
            _ => &ASSETS.icon,
        };
        known == uri.path()
    };
    match known.iter().find(is_asked) {
        Some(asset) => (
            [
                (header::CONTENT_TYPE, asset.content_type),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ],
            asset.text,
        )
            .into_response(),
        None => crate::api::not_found(),
    }
}
