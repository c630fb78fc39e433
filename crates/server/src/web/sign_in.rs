//! `/sign-in`: a token is entered once and becomes a cookie that scripts cannot read and other
//! sites cannot send.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::actions::{back_to, expired};
use super::form::Sent;
use super::frame::{Frame, Here, Hidden, THEME_COOKIE, Theme, Visit};
use super::told::{Told, Word};
use crate::access::SESSION_DAYS;
use crate::app::App;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn<'a> {
    frame: Frame,
    title: &'a str,
    why: &'a str,
    takes_tokens: bool,
    /// So long one stays signed in.
    days: i64,
    hidden: Hidden,
    wrong: Option<&'a str>,
}

/// What the form holds.
#[derive(Deserialize)]
pub(crate) struct Entered {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    back: String,
    #[serde(default)]
    token: String,
}

/// What the form that ends a session, or changes the colours, holds.
#[derive(Deserialize)]
pub(crate) struct Plain {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    back: String,
    #[serde(default)]
    theme: String,
}

/// `GET /sign-in`.
pub(crate) async fn show(State(app): State<App>, visit: Visit) -> Response {
    let why = "Without a token you see what is public. A token shows the rest, and may let you refresh and invalidate.";
    page(&app, &visit, StatusCode::OK, ("Sign in", why), visit.hidden_for(&visit.came_from), None)
}

/// The page for one who may not do what was asked: 401 where a token could help, else 403.
pub(crate) fn no_permission(app: &App, visit: &Visit) -> Response {
    let (status, title, why) = if visit.viewer.may_read_private {
        (
            StatusCode::FORBIDDEN,
            "Your token does not allow this",
            "It lets you read. Changing the cache takes the admin token.",
        )
    } else if app.has_tokens() {
        (
            StatusCode::UNAUTHORIZED,
            "This takes a token",
            "You see what is public. Changing the cache takes the admin token.",
        )
    } else {
        (
            StatusCode::FORBIDDEN,
            "This is not allowed from here",
            "Without a token, only the machine that Larder runs on may change the cache.",
        )
    };
    refused(app, visit, status, title, why)
}

/// The page for one who is not shown what lies on this machine: 401 where a token could help, else 403.
pub(crate) fn not_shown(app: &App, visit: &Visit) -> Response {
    let (status, title, why) = if app.has_tokens() {
        (
            StatusCode::UNAUTHORIZED,
            "Local projects take a token",
            "What lies in folders on this machine is shown to those alone who have the read token or the \
             admin token.",
        )
    } else {
        (
            StatusCode::FORBIDDEN,
            "Local projects are not shown here",
            "Larder has no token configured, so it shows the folders of its machine on that machine alone.",
        )
    };
    refused(app, visit, status, title, why)
}

fn refused(app: &App, visit: &Visit, status: StatusCode, title: &str, why: &str) -> Response {
    let mut response = page(app, visit, status, (title, why), visit.hidden(), None);
    if status == StatusCode::UNAUTHORIZED {
        let how = HeaderValue::from_static("Bearer realm=\"larder\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, how);
    }
    response
}

fn page(
    app: &App,
    visit: &Visit,
    status: StatusCode,
    (title, why): (&str, &str),
    hidden: Hidden,
    wrong: Option<&str>,
) -> Response {
    let frame = visit.frame(Here::Elsewhere, title);
    visit.page(
        status,
        &SignIn { frame, title, why, takes_tokens: app.has_tokens(), days: SESSION_DAYS, hidden, wrong },
    )
}

/// `POST /sign-in`.
pub(crate) async fn enter(
    State(app): State<App>,
    visit: Visit,
    headers: HeaderMap,
    Sent(form): Sent<Entered>,
) -> Response {
    if !visit.csrf.accepts(&form.csrf) {
        if !app.has_tokens() {
            return expired(&visit, &headers, &form.back);
        }
        // The form stands here once more, so that nobody has to find the way back to it.
        let wrong = "The page with this form was too old, or it was not one of ours. Nothing was changed: enter the token once more.";
        let why = "Enter the read token or the admin token.";
        let hidden = visit.hidden_for(&back_to(&form.back));
        return page(&app, &visit, StatusCode::FORBIDDEN, ("Sign in", why), hidden, Some(wrong));
    }
    let Some(session) = app.session_cookie(form.token.trim(), &headers) else {
        let wrong = "That is not a token of this Larder's. Nothing was changed.";
        let why = "Enter the read token or the admin token.";
        let hidden = visit.hidden_for(&back_to(&form.back));
        return page(&app, &visit, StatusCode::FORBIDDEN, ("Sign in", why), hidden, Some(wrong));
    };
    let back = match back_to(&form.back) {
        back if back.starts_with("/sign-in") || back.starts_with("/actions") => "/".to_owned(),
        back => back,
    };
    let mut response = Redirect::to(&Told::new(Word::Entered, 0).on(&back)).into_response();
    response.headers_mut().append(header::SET_COOKIE, session);
    response
}

/// `POST /sign-out`.
pub(crate) async fn leave(visit: Visit, headers: HeaderMap, Sent(form): Sent<Plain>) -> Response {
    if !visit.csrf.accepts(&form.csrf) {
        return expired(&visit, &headers, &form.back);
    }
    let mut response = Redirect::to(&Told::new(Word::Left, 0).on("/")).into_response();
    if let Some(cookie) = App::no_session_cookie(&headers) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// `POST /theme`: the colours, for browsers without JavaScript.
pub(crate) async fn colours(visit: Visit, headers: HeaderMap, Sent(form): Sent<Plain>) -> Response {
    if !visit.csrf.accepts(&form.csrf) {
        return expired(&visit, &headers, &form.back);
    }
    let theme = Theme::parse(&form.theme).word();
    let cookie = format!("{THEME_COOKIE}={theme}; Path=/; Max-Age=31536000; SameSite=Strict");
    let mut response = Redirect::to(&back_to(&form.back)).into_response();
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}
