//! A visitor of the pages, as a browser without JavaScript is one.

use reqwest::header::{HeaderMap, HeaderName};
use reqwest::redirect::Policy as Redirects;
use reqwest::{Client, RequestBuilder, Response};

use crate::world::Served;

/// A visitor with cookies, as a browser keeps them; redirects are looked at, not followed.
pub(crate) struct Visitor<'a> {
    served: &'a Served,
    http: Client,
    pub(crate) cookies: Vec<String>,
}

impl<'a> Visitor<'a> {
    pub(crate) fn new(served: &'a Served) -> Self {
        let http = Client::builder().redirect(Redirects::none()).build().unwrap();
        Visitor { served, http, cookies: Vec::new() }
    }

    /// The same, of whom a proxy says so with each request.
    pub(crate) fn saying(self, name: &'static str, value: &str) -> Self {
        let said = HeaderMap::from_iter([(HeaderName::from_static(name), value.parse().unwrap())]);
        let http = Client::builder().redirect(Redirects::none()).default_headers(said).build().unwrap();
        Visitor { http, ..self }
    }

    /// The same visitor, whom a proxy brings to another instance.
    pub(crate) fn at<'b>(&self, served: &'b Served) -> Visitor<'b> {
        Visitor { served, http: self.http.clone(), cookies: self.cookies.clone() }
    }

    pub(crate) fn form(&self, path: &str) -> RequestBuilder {
        let request = self.http.post(format!("{}{path}", self.served.url));
        request.header("content-type", "application/x-www-form-urlencoded")
    }

    pub(crate) async fn send(&mut self, request: RequestBuilder) -> Response {
        let response = request.header("cookie", self.cookies.join("; ")).send().await.unwrap();
        for set in response.headers().get_all("set-cookie") {
            let pair = set.to_str().unwrap().split(';').next().unwrap().to_owned();
            let name = pair.split('=').next().unwrap().to_owned();
            self.cookies.retain(|known| !known.starts_with(&format!("{name}=")));
            self.cookies.push(pair);
        }
        response
    }

    pub(crate) async fn page(&mut self, path: &str) -> String {
        let response = self.send(self.served.get(path)).await;
        assert_eq!(response.status(), 200, "{path}");
        response.text().await.unwrap()
    }

    /// Sends a form of a page's, with its token.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Response {
        let page = self.page("/sign-in").await;
        self.post_with(&csrf(&page), path, fields).await
    }

    pub(crate) async fn post_with(&mut self, csrf: &str, path: &str, fields: &[(&str, &str)]) -> Response {
        let mut form = vec![("csrf", csrf)];
        form.extend(fields);
        let body: Vec<String> =
            form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        self.send(self.form(path).body(body.join("&"))).await
    }
}

impl Visitor<'_> {
    /// Sends a form as the script does; what it is told.
    pub(crate) async fn script(&mut self, path: &str, csrf: &str) -> serde_json::Value {
        let form = self.form(path).header("accept", "application/json").body(format!("csrf={csrf}"));
        self.send(form).await.json().await.unwrap()
    }
}

pub(crate) fn csrf(page: &str) -> String {
    between(page, r#"name="csrf" value=""#, "\"").to_owned()
}

pub(crate) fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat()
}

pub(crate) fn between<'t>(text: &'t str, start: &str, end: &str) -> &'t str {
    let from = text.find(start).unwrap_or_else(|| panic!("no `{start}` in {text}")) + start.len();
    &text[from..from + text[from..].find(end).unwrap()]
}
